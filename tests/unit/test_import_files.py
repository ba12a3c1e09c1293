"""Exports come as one document, several, or one a line, plain or gzip; what is none is refused, in bounded memory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import ConfigurationError
from ledger.importers import files
from ledger.importers.account import Refusal
from ledger.importers.files import documents
from ledger.importers.json_text import DEPTH, NODES, Refused, clean, parse
from tests.bounding import bounded


def read(tmp_path: Path, data: bytes) -> list[Any]:
    path = tmp_path / "export"
    path.write_bytes(data)
    return list(documents(path))


def test_a_document_may_be_plain_or_gzip_or_in_another_unicode(tmp_path: Path) -> None:
    for data in (b'{"a": 1}', gzip.compress(b'{"a": 1}'), b'\xef\xbb\xbf{"a": 1}', '{"a": 1}'.encode("utf-16")):
        assert read(tmp_path, data) == [{"a": 1}]


def test_documents_may_stand_one_a_line_or_after_each_other(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"a": 1}\n\n{"a": 2}\r\n') == [{"a": 1}, {"a": 2}]
    pretty = json.dumps({"a": "}{\\"}, indent=2).encode()
    assert read(tmp_path, pretty + b"\n" + pretty) == [{"a": "}{\\"}] * 2


def test_a_broken_line_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, b'{"a": 1}\n{"a": \n{"a": 3}\n\xff{}\n{"a": 4}')
    assert [each for each in found if not isinstance(each, Refusal)] == [{"a": 1}, {"a": 3}, {"a": 4}]
    assert [each.reason for each in found if isinstance(each, Refusal)] == ["not_json", "not_json"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"Records": [{"a": 1},\n {"b', "not_json"),
        (b"key,value\n1,2\n", "not_json"),
        (b"\xff\xfe\xfd\x00\x01", "not_json"),
        (gzip.compress(b'{"a": 1}', mtime=0)[:-9], "bad_gzip"),
        (b"\x1f\x8b nothing", "bad_gzip"),
        (b"[" * 200_000, "not_json"),
    ],
)
def test_what_is_no_json_is_one_refusal(tmp_path: Path, data: bytes, reason: str) -> None:
    (only,) = read(tmp_path, data)
    assert only.reason == reason


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, b"") == []
    assert read(tmp_path, b" \n ") == []


def test_a_decompression_bomb_is_refused_and_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DOCUMENT_BYTES", 1 << 20)
    bomb = gzip.compress(b" " * (100 << 20), compresslevel=1)
    assert len(bomb) < 1_000_000
    with bounded(seconds=1, megabytes=8):
        (only,) = read(tmp_path, bomb)
    assert only.reason == "too_large"


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    with bounded(seconds=1, megabytes=4):
        assert read(tmp_path, b"{}") == [{}]


def test_a_large_file_of_lines_is_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DOCUMENT_BYTES", 100)
    monkeypatch.setattr(files, "LINE_BYTES", 50)
    lines = [b'{"a": %d}' % number for number in range(40)]
    lines[7] = b'{"a": "' + b"x" * 200 + b'"}'
    found = read(tmp_path, b"\n".join(lines))
    assert [each.reason for each in found if isinstance(each, Refusal)] == ["too_large"]
    assert [each["a"] for each in found if not isinstance(each, Refusal)] == [n for n in range(40) if n != 7]


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        list(documents(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="cannot read"):
        list(documents(tmp_path))


def test_numbers_that_cannot_be_kept_exactly_stay_text() -> None:
    assert parse("[1, 1.5, 9007199254740993, 1e999, NaN, -Infinity]") == [
        1,
        1.5,
        "9007199254740993",
        "1e999",
        "NaN",
        "-Infinity",
    ]
    assert parse("1" * 10_000) == "1" * 10_000


def test_text_that_cannot_be_stored_is_replaced() -> None:
    assert clean(parse(r'{"a\u0000": "x\ud800y\u0000", "b": "\ud83d\ude00"}')) == {"a�": "x�y�", "b": "😀"}


def test_a_record_is_bounded() -> None:
    deep: Any = 1
    for _ in range(DEPTH + 1):
        deep = [deep]
    for value, reason in (
        (deep, "too_deep"),
        ([0] * NODES, "too_large"),
        (parse('{"a": {"b": 1, "b": 2}}'), "duplicate_key"),
    ):
        with pytest.raises(Refused) as refused:
            clean(value)
        assert refused.value.reason == reason
