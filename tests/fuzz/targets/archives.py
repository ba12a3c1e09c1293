"""Files that hold a log: an archive, and Kafka's record batches as a broker hands them over."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing

import fastavro
import lz4.frame
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from ledger.logs.archive import SCHEMA, ArchiveLog
from ledger.logs.kafka_records import BoundedBatch, install
from ledger.ports import CONTENTS, EVENTS, Bounds, Record
from tests.fuzz.case import Target
from tests.fuzz.targets.scratch import scratch

install()
_ATTRIBUTES = slice(21, 23)
_HEADER = 61


def archive(data: bytes) -> None:
    """A file, opened and read to its end as ``verify`` does."""
    path = scratch("archive") / "copy.avro"
    path.write_bytes(data)
    with closing(ArchiveLog(path)) as log:
        for topic in (EVENTS, CONTENTS):
            assert isinstance(log.identity(topic), str)
            for partition, (first, end) in log.bounds(topic).items():
                for record in log.read(topic, partition, first, end):
                    assert first <= record.offset < end
                    assert isinstance(record.append_time, int)


def batch(data: bytes) -> None:
    """A record batch whose frame a broker let pass: the lengths fit and the magic is 2; all else is a stranger's."""
    body = data[12:].ljust(_HEADER - 17, b"\0")
    read_batch(data[:8].ljust(8, b"\0") + (len(body) + 5).to_bytes(4, "big") + bytes(4) + b"\2" + body)


def packed(data: bytes) -> None:
    """Records in a good batch: the first byte chooses the compression, and how often the rest, up to 16 KiB, is repeated."""
    how = data[0] if data else 0
    plain = (data[1:] * (1, 16, 64, 256)[how >> 2 & 3])[: 1 << 14]
    squeezed = [plain, _gzip(plain), lz4.frame.compress(plain), plain][how & 3]
    head = bytearray(_good()[:_HEADER])
    head[_ATTRIBUTES] = bytes([0, (0, 1, 3, 4)[how & 3]])
    head[8:12] = (len(squeezed) + _HEADER - 12).to_bytes(4, "big")
    head[57:61] = (data[1:3].ljust(2, b"\0")).rjust(4, b"\0")
    read_batch(bytes(head) + squeezed)


def read_batch(data: bytes) -> None:
    """Whatever a batch holds, it gives records."""
    batches = MemoryRecords(data)
    while batches.has_next():
        held = batches.next_batch()
        assert isinstance(held, BoundedBatch)
        for record in held:
            assert record.value is None or isinstance(record.value, bytes)


def _gzip(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data, 1)


def _good(compression: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=compression, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=4096,
    )  # fmt: skip
    for number in range(3):
        builder.append(number, 5, b"key", b"value" * 4, [("name", b"held")])
    return bytes(builder.build())


def _batches() -> Iterator[bytes]:
    for compression in (0, 1, 3):
        good = _good(compression)
        yield good[:12] + good[17:]


def _packed() -> Iterator[bytes]:
    records = _good()[_HEADER:]
    for how in range(16):
        yield bytes([how]) + records


def _archives() -> Iterator[bytes]:
    record = Record(EVENTS, 0, 0, 5, b"key", b"value")
    yield written([record, record._replace(offset=1, key=None), record._replace(offset=2, value=None)])
    yield written([record, record._replace(topic=CONTENTS, partition=3, offset=9)])
    yield written([])


def written(records: list[Record]) -> bytes:
    """An archive of ``records``, whose bounds are theirs."""
    import json

    bounds: dict[str, dict[str, Bounds]] = {EVENTS: {"0": Bounds(0, 0)}, CONTENTS: {}}
    for each in records:
        bounds[each.topic][str(each.partition)] = Bounds(0, each.offset + 1)
    meta = {topic: {"identity": "one", "bounds": held} for topic, held in bounds.items()}
    file = io.BytesIO()
    writer = fastavro.write.Writer(
        file,
        fastavro.parse_schema(SCHEMA),
        codec="null",
        sync_marker=b"S" * 16,
        metadata={"answerable.topics": json.dumps(meta)},
    )
    for each in records:
        writer.write(each._asdict())
        writer.flush()
    return file.getvalue()


TARGETS = (
    Target(
        "archive", archive, _archives, short=500, words=(b'"bounds":', b'"identity":', b'"ledger.events":', b"S" * 16)
    ),
    Target("kafka-batch", batch, _batches, short=1000),
    Target("kafka-records", packed, _packed, short=300),
)
