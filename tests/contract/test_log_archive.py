"""A log as a file: what is changed, cut or no archive at all; and how a log's URL is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import ConfigurationError
from ledger.logs import open_log
from ledger.logs.archive import ArchiveLog, write_archive
from ledger.logs.kafka import KafkaLog
from ledger.logs.postgres import PostgresLog
from ledger.ports import CONTENTS, EVENTS, Outgoing
from tests.contract.logs import TIMEOUT, event, from_start


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
        ("kafka://a:9092/p?partition=3", "unknown settings partition"),
        ("kafka://a:9092/p?partitions=many", "no number"),
        ("file:/nowhere/copy.avro", "cannot be read"),
    ],
)
def test_a_url_that_names_no_log_is_refused_with_what_to_do(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        open_log(url)
