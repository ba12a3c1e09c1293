"""Files of JSON as exports come: one document, several after each other, one a line; plain or gzip. Bounded in memory.

A document is held whole, up to ``DOCUMENT_BYTES`` unpacked. A larger file is read line by line, if its lines are documents.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from ledger.errors import ConfigurationError
from ledger.importers.account import Refusal
from ledger.importers.json_text import Json, Refused, parse

DOCUMENT_BYTES: Final = 64 * 1024 * 1024
LINE_BYTES: Final = 16 * 1024 * 1024
_PROBED: Final = 50
"""Lines by which a file of lines is told from a broken document."""
_PIECE: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_BROKEN: Final = (EOFError, zlib.error, gzip.BadGzipFile)


def documents(path: Path) -> Iterator[Json | Refusal]:
    """Every document in the file at ``path``, in order, and a refusal for each part that is none.

    Raises ``ConfigurationError`` where the file cannot be read at all.
    """
    try:
        with path.open("rb") as file:
            yield from documents_in(file)
    except _BROKEN:
        yield Refusal("bad_gzip", "the file begins as gzip and does not unpack")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from None


def documents_in(file: BinaryIO) -> Iterator[Json | Refusal]:
    """The same for an open, seekable file."""
    head = _head(_unpacked(file))
    if len(head) <= DOCUMENT_BYTES:
        yield from _of_bytes(head)
        return
    if not _lines_hold_documents(head):
        yield Refusal(
            "too_large", f"one document of more than {DOCUMENT_BYTES >> 20} MiB; split it, or write one a line"
        )
        return
    del head
    file.seek(0)
    yield from _by_line(_unpacked(file))


def _head(stream: BinaryIO) -> bytes:
    """A whole document, or one byte more than it may have. In pieces: a reader makes room for all that it is asked for."""
    held = io.BytesIO()
    while piece := stream.read(min(_PIECE, DOCUMENT_BYTES + 1 - held.tell())):
        held.write(piece)
    return held.getvalue()


def _unpacked(file: BinaryIO) -> BinaryIO:
    start = file.read(2)
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if start == _GZIP else file  # type: ignore[return-value]


def _of_bytes(data: bytes) -> Iterator[Json | Refusal]:
    """A whole document; failing that, several; failing that, lines."""
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        yield from _lines_or_refusal(data, Refused("not_json", "not UTF-8"))
        return
    if not text.strip():
        return
    try:
        yield parse(text)
    except Refused as error:
        if (several := _after_each_other(text)) is not None:
            yield from several
        else:
            yield from _lines_or_refusal(text.encode("utf-8", "surrogatepass"), error)


def _after_each_other(text: str) -> list[Json] | None:
    """The documents that stand after each other in ``text``, if it holds nothing else."""
    found: list[Json] = []
    depth = start = 0
    inside = escaped = False
    if len(text) > LINE_BYTES:
        return None
    for position, character in enumerate(text):
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "{[":
            if depth == 0:
                start = position
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth == 0:
                try:
                    found.append(parse(text[start : position + 1]))
                except Refused:
                    return None
            if depth < 0:
                return None
        elif depth == 0 and not character.isspace() and character != ",":
            return None
    return found if depth == 0 and not inside and found else None


def _lines_or_refusal(data: bytes, error: Refused) -> Iterator[Json | Refusal]:
    if _lines_hold_documents(data):
        yield from _by_line(io.BytesIO(data))
    else:
        yield Refusal(error.reason, error.detail)


def _lines_hold_documents(data: bytes) -> bool:
    """Whether at least half of the first lines are a document each."""
    stream = io.BytesIO(data)
    seen = good = 0
    for document in _by_line(stream):
        seen += 1
        good += isinstance(document, dict | list) and len(document) > 0
        if seen == _PROBED:
            break
    return seen >= 2 and good * 2 >= seen


def _by_line(stream: BinaryIO) -> Iterator[Json | Refusal]:
    while line := stream.readline(LINE_BYTES + 1):
        if len(line) > LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(LINE_BYTES)
            yield Refusal("too_large", f"a line of more than {LINE_BYTES >> 20} MiB")
        elif stripped := line.strip():
            yield _line(stripped)


def _line(line: bytes) -> Json | Refusal:
    try:
        return parse(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Refusal("not_json", "not UTF-8")
    except Refused as error:
        return Refusal(error.reason, error.detail)
