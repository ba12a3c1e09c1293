"""The log as one file: an Avro object container of {topic, partition, offset, append_time, key, value}, read-only.

What an auditor takes away and ``verify`` reads, on a machine without Kafka or Postgres. The file carries the identity and
bounds of each topic, so that a record missing inside is told from one that retention took before. It proves nothing by
itself: whatever was changed in it, the verifier finds.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import fastavro

from ledger.errors import ConfigurationError, PositionLost, TopicAbsent
from ledger.ports import EVENTS, Bounds, Log, Outgoing, Problem, Record, Subscription

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Record",
    "namespace": "answerable.archive.v1",
    "fields": [
        {"name": "topic", "type": "string"},
        {"name": "partition", "type": "int"},
        {"name": "offset", "type": "long"},
        {"name": "append_time", "type": "long"},
        {"name": "key", "type": ["null", "bytes"]},
        {"name": "value", "type": ["null", "bytes"]},
    ],
}
_PARSED = fastavro.parse_schema(SCHEMA)
_HEADER = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Header",
        "namespace": "org.apache.avro.file",
        "fields": [
            {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
            {"name": "meta", "type": {"type": "map", "values": "bytes"}},
            {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
        ],
    }
)
_MAGIC = b"Obj\1"
_SYNC = 16
_META = "answerable.topics"
_BLOCK_BYTES = 1 << 20
_HEADER_MOST = 4 << 20
_BLOCK_MOST = 32 << 20
"""A block ends with the record that makes it longer than ``_BLOCK_BYTES``, and none has more than 9 MiB."""


class _Topic(NamedTuple):
    identity: str
    bounds: dict[int, Bounds]

    def holds(self, record: Record) -> bool:
        bounds = self.bounds.get(record.partition)
        return bounds is not None and bounds.first <= record.offset < bounds.end


class _Block(NamedTuple):
    position: int
    first: int
    last: int


def write_archive(log: Log, path: Path | str, topics: Sequence[str] = (EVENTS,)) -> int:
    """Copies what ``log`` holds now to a new file and returns the number of records.

    Contents stay out unless named: what must be erasable must not be copied by the way. A file that exists is refused.
    """
    target = Path(path)
    if target.exists():
        raise ConfigurationError(f"{target} exists: choose another name, an archive is never overwritten")
    described = {t: _Topic(log.identity(t), dict(log.bounds(t))) for t in topics}
    fresh = target.with_name(target.name + ".part")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        count = _write(file, log, described)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(target)
    return count


def _write(file: BinaryIO, log: Log, described: Mapping[str, _Topic]) -> int:
    meta = {
        t: {"identity": d.identity, "bounds": {str(p): b for p, b in d.bounds.items()}} for t, d in described.items()
    }
    writer = fastavro.write.Writer(
        file, _PARSED, codec="null", sync_interval=_BLOCK_BYTES, metadata={_META: json.dumps(meta, sort_keys=True)}
    )
    count = 0
    for topic, description in described.items():
        for partition, bounds in sorted(description.bounds.items()):
            for record in log.read(topic, partition, bounds.first, bounds.end):
                writer.write(record._asdict())
                count += 1
            writer.flush()  # a block holds one partition only: that is what makes the file's index
    return count


class ArchiveLog:
    """A ``Log`` that can only be read. Opening it reads the file once, for the index."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise ConfigurationError(f"the archive {self._path} cannot be read: {error.strerror}") from error
        try:
            self._topics, self._blocks = self._index()
        except BaseException:
            self._file.close()
            raise

    def prepare(self) -> None:
        raise self._refusal()

    def problems(self) -> list[Problem]:
        return []

    def partitions(self, topic: str) -> int:
        return len(self._topic(topic).bounds)

    def identity(self, topic: str) -> str:
        return self._topic(topic).identity

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:  # noqa: ARG002
        raise self._refusal()

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        return self._topic(topic).bounds

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        bounds = self._topic(topic).bounds.get(partition)
        if bounds is None:
            raise ConfigurationError(f"the archive {self._path} has no partition {partition} of {topic}")
        if start < bounds.first and start < stop:
            raise PositionLost(f"the archive {self._path} begins {topic}[{partition}] at {bounds.first}, not {start}")
        for block in self._blocks.get((topic, partition), ()):
            if block.last < start:
                continue
            if block.first >= stop:
                return
            self._file.seek(block.position)
            for record in self._records():
                if (record.topic, record.partition) == (topic, partition) and start <= record.offset < stop:
                    yield record

    def subscribe(
        self,
        topic: str,  # noqa: ARG002
        group: str,  # noqa: ARG002
        assigned: Callable[[Sequence[int]], Mapping[int, int]],  # noqa: ARG002
    ) -> Subscription:
        raise self._refusal()

    def close(self) -> None:
        self._file.close()

    def _topic(self, topic: str) -> _Topic:
        if topic not in self._topics:
            raise TopicAbsent(
                f"the archive {self._path} does not hold {topic}; make one that does, or give the log itself"
            )
        return self._topics[topic]

    def _refusal(self) -> ConfigurationError:
        return ConfigurationError(f"the archive {self._path} can only be read")

    def _index(self) -> tuple[dict[str, _Topic], dict[tuple[str, int], list[_Block]]]:
        topics = self._header()
        blocks: dict[tuple[str, int], list[_Block]] = {}
        while True:
            position = self._file.tell()
            first = last = None
            for record in self._records():
                first, last = first or record, record
                # What no question would reach must not stand in the file: nobody would see it.
                if (record.topic, record.partition) != (first.topic, first.partition):
                    raise self._damaged(position, "a block of several partitions")
                if first.topic not in topics or not topics[first.topic].holds(record):
                    raise self._damaged(position, "a record outside of the bounds that the file states")
            if first is None or last is None:
                return topics, blocks
            blocks.setdefault((first.topic, first.partition), []).append(_Block(position, first.offset, last.offset))

    def _header(self) -> dict[str, _Topic]:
        """Reads the header, after which the blocks begin."""
        try:
            data = io.BytesIO(self._file.read(_HEADER_MOST))
            header: Any = fastavro.schemaless_reader(data, _HEADER, None)
            described = json.loads(header["meta"][_META])
            topics = {_text(topic): _read_topic(d["identity"], d["bounds"]) for topic, d in described.items()}
            self._sync: bytes = header["sync"]
            if header["magic"] != _MAGIC or len(self._sync) != _SYNC:
                raise ValueError("no object container")
        except Exception as error:
            raise ConfigurationError(f"{self._path} is not an archive of a log") from error
        self._file.seek(data.tell())
        return topics

    def _records(self) -> Iterator[Record]:
        """The records of the block that begins here; none at the end of the file. The next block follows when one was taken."""
        position = self._file.tell()
        try:
            head = self._file.read(1)
            if not head:
                return
            self._file.seek(position)
            count, size = _read_long(self._file), _read_long(self._file)
            if not 0 < count <= size <= _BLOCK_MOST:
                raise ValueError(f"a block of {count} records in {size} bytes")
            data = io.BytesIO(self._file.read(size))
            if self._file.read(_SYNC) != self._sync:
                raise ValueError("a block does not end where it should")
            for _ in range(count):
                yield _record(data)
            if data.tell() != size:
                raise ValueError("a block has bytes after its records")
        except Exception as error:
            raise self._damaged(position, str(error)) from error

    def _damaged(self, position: int, why: str) -> ConfigurationError:
        return ConfigurationError(f"the archive {self._path} is damaged at byte {position}: {why}")


def _read_topic(identity: object, bounds: Mapping[str, Sequence[object]]) -> _Topic:
    return _Topic(_text(identity), {int(partition): Bounds(*map(_number, held)) for partition, held in bounds.items()})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a number")
    return value


def _record(data: BinaryIO) -> Record:
    found: Any = fastavro.schemaless_reader(data, _PARSED, None)
    return Record(**found)


def _read_long(file: BinaryIO) -> int:
    """An Avro long: zigzag, in groups of seven bits, the least first."""
    value = 0
    for shift in range(0, 64, 7):
        (byte,) = file.read(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1)
    raise ValueError("a number is too long")
