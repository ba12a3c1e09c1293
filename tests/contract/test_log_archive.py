"""A log as a file: what is changed, cut or no archive at all; and how a log's URL is read."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path

import fastavro
import pytest

from ledger.errors import ConfigurationError
from ledger.logs import open_log
from ledger.logs.archive import SCHEMA, ArchiveLog, write_archive
from ledger.logs.kafka import KafkaLog
from ledger.logs.postgres import PostgresLog
from ledger.ports import CONTENTS, EVENTS, Outgoing, Record
from tests.contract.logs import TIMEOUT, event, from_start
from tests.sealing import zigzag


@pytest.fixture
def path(database: str, tmp_path: Path) -> Path:
    log = PostgresLog(database, partitions=2)
    log.prepare()
    log.append([event(n, partition=n % 2) for n in range(20)], timeout=TIMEOUT)
    log.append([Outgoing(CONTENTS, 0, b"key", b"personal"), Outgoing(CONTENTS, 0, b"key", None)], timeout=TIMEOUT)
    write_archive(log, tmp_path / "copy.avro")
    log.close()
    return tmp_path / "copy.avro"


def test_a_byte_changed_inside_a_value_is_read_as_it_is(path: Path) -> None:
    changed = path.read_bytes().replace(b"value 7", b"value X")
    path.write_bytes(changed)
    archive = ArchiveLog(path)
    assert [r.value for r in archive.read(EVENTS, 1, 3, 4)] == [b"value X"]
    archive.close()


def test_a_file_that_is_cut_or_broken_is_named_with_its_place(path: Path) -> None:
    whole = path.read_bytes()
    for end in range(len(whole) - 400, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(ConfigurationError, match=r"damaged at byte \d+|not an archive"):
            ArchiveLog(path)
    path.write_bytes(whole + b"\xff" * 30)
    with pytest.raises(ConfigurationError, match="damaged"):
        ArchiveLog(path)
    path.write_bytes(b"no avro at all")
    with pytest.raises(ConfigurationError, match="not an archive"):
        ArchiveLog(path)


HEADER_END = b"S" * 16


def made(*records: Record, meta: object = None) -> bytes:
    """An archive that another program wrote: a block a record, and any ``meta`` about them."""
    bounds = {EVENTS: {"identity": "one", "bounds": {"0": [0, 10]}}}
    file = io.BytesIO()
    told = {"answerable.topics": json.dumps(bounds if meta is None else meta)}
    writer = fastavro.write.Writer(
        file, fastavro.parse_schema(SCHEMA), codec="null", sync_marker=HEADER_END, metadata=told
    )
    for record in records:
        writer.write(record._asdict())
    writer.flush()
    return file.getvalue()


@pytest.mark.parametrize("size", [-1, -(1 << 40), 1 << 27, 1 << 40, 1 << 62])
def test_no_memory_is_taken_for_the_size_that_a_block_states(tmp_path: Path, size: int) -> None:
    path = tmp_path / "hostile.avro"
    path.write_bytes(made() + zigzag(1) + zigzag(size) + bytes(100))
    tracemalloc.start()
    with pytest.raises(ConfigurationError, match=r"damaged at byte \d+: a block of 1 records"):
        ArchiveLog(path)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


RECORD = Record(EVENTS, 0, 0, 5, b"key", b"value")


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([RECORD, RECORD._replace(partition=1, offset=1)], "several partitions"),
        ([RECORD, RECORD._replace(topic=CONTENTS, offset=1)], "several partitions"),
        ([RECORD, RECORD._replace(offset=10)], "outside of the bounds"),
        ([RECORD._replace(offset=-1)], "outside of the bounds"),
        ([RECORD._replace(partition=7)], "outside of the bounds"),
        ([RECORD._replace(topic="hidden")], "outside of the bounds"),
    ],
)
def test_a_record_that_nothing_would_reach_does_not_hide_in_an_archive(
    tmp_path: Path, records: list[Record], told: str
) -> None:
    path = tmp_path / "hostile.avro"
    path.write_bytes(made(RECORD, RECORD._replace(offset=9)))
    ArchiveLog(path).close()
    path.write_bytes(made(*records))
    with pytest.raises(ConfigurationError, match=told):
        ArchiveLog(path)


@pytest.mark.parametrize(
    "meta",
    [
        [],
        {EVENTS: {"identity": 5, "bounds": {}}},
        {EVENTS: {"identity": "one", "bounds": []}},
        {EVENTS: {"identity": "one", "bounds": {"0": ["0", "9"]}}},
        {EVENTS: {"identity": "one", "bounds": {"0": [0]}}},
        {EVENTS: {"identity": "one", "bounds": {"x": [0, 1]}}},
        {EVENTS: {"identity": "one", "bounds": {"0": [0, 1.5]}}},
    ],
)
def test_an_archive_that_describes_itself_wrongly_is_none(tmp_path: Path, meta: object) -> None:
    path = tmp_path / "hostile.avro"
    path.write_bytes(made(meta=meta))
    with pytest.raises(ConfigurationError, match="not an archive"):
        ArchiveLog(path)


def test_contents_are_copied_only_where_named(path: Path, database: str) -> None:
    assert b"personal" not in path.read_bytes()
    log = PostgresLog(database)
    log.append([Outgoing(CONTENTS, 0, b"other", b"personal")], timeout=TIMEOUT)
    whole = path.with_name("whole.avro")
    write_archive(log, whole, (EVENTS, CONTENTS))
    archive = ArchiveLog(whole)
    assert [r.value for r in archive.read(CONTENTS, 0, 0, 10)] == [None, b"personal"]
    archive.close()
    log.close()


def test_an_archive_is_never_overwritten(path: Path, database: str) -> None:
    before = path.read_bytes()
    log = PostgresLog(database)
    with pytest.raises(ConfigurationError, match="exists"):
        write_archive(log, path)
    assert path.read_bytes() == before
    log.close()


def test_an_archive_can_only_be_read(path: Path) -> None:
    archive = ArchiveLog(path)
    assert archive.problems() == []
    for write in (
        archive.prepare,
        lambda: archive.append([event(0)], timeout=1.0),
        lambda: archive.subscribe(EVENTS, "group", from_start),
    ):
        with pytest.raises(ConfigurationError, match="only be read"):
            write()
    archive.close()


def test_a_url_says_which_log(path: Path) -> None:
    for url, kind in (
        ("kafka://a:9092,b:9092/prefix.", KafkaLog),
        ("kafka://a:9092", KafkaLog),
        ("kafka://a:9092/p?partitions=3&tls=1", KafkaLog),
        ("postgresql://user@host/db", PostgresLog),
        (f"file:{path}", ArchiveLog),
        (f"file://{path}", ArchiveLog),
    ):
        log = open_log(url)
        assert isinstance(log, kind)
        log.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://host/db", "no log at mysql"),
        ("kafka:///prefix", "no broker's host"),
        ("kafka://[::1/prefix", "no host that can be read"),
        ("kafka://a:9092/p?partition=3", "unknown settings partition"),
        ("kafka://a:9092/p?partitions=many", "no number"),
        ("file:/nowhere/copy.avro", "cannot be read"),
    ],
)
def test_a_url_that_names_no_log_is_refused_with_what_to_do(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        open_log(url)


def test_a_file_without_file_in_front_is_recognized(tmp_path: Path) -> None:
    (tmp_path / "copy.avro").touch()
    with pytest.raises(ConfigurationError, match=f"did you mean file:{tmp_path}/copy.avro"):
        open_log(f"{tmp_path}/copy.avro")
