"""Rows as the server sends them in COPY BINARY: bytes that are the same where the rows are, read without building values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg

from ledger.store.natural import Column, Rows
from ledger.store.rows import HEADER, TRAILER

_NULL: Final = -1


def stream(connection: psycopg.Connection[Any], rows: Rows, *, ordered: bool) -> Iterator[bytes]:
    """Each row: the number of its fields (2 bytes), then the length (4 bytes, signed; −1 is null) and bytes of each."""
    first = True
    with connection.cursor().copy(f"copy ({rows.query(ordered=ordered)}) to stdout (format binary)".encode()) as sent:
        for part in sent:
            data = bytes(part)
            if first:
                data, first = data[len(HEADER) :], False
            if data and data != TRAILER:
                yield data


def fields(row: bytes) -> list[bytes | None]:
    """The fields of a row."""
    found: list[bytes | None] = []
    at = 2
    for _ in range(int.from_bytes(row[:2], "big")):
        size = int.from_bytes(row[at : at + 4], "big", signed=True)
        at += 4
        found.append(None if size == _NULL else row[at : at + size])
        at += max(size, 0)
    return found


def sort_key(row: bytes, key: Sequence[Column]) -> tuple[tuple[bool, int | bytes], ...]:
    """A row's key as it sorts on the server."""
    return tuple(
        (
            value is None,
            b"" if value is None else int.from_bytes(value, "big", signed=True) if of.kind == "int" else value,
        )
        for of, value in zip(key, fields(row), strict=False)
    )


def shown(value: bytes | None, of: Column) -> str:
    """A value of a key, for people."""
    if value is None:
        return "null"
    if of.kind == "text":
        return value.decode(errors="backslashreplace")
    if of.kind == "int":
        return str(int.from_bytes(value, "big", signed=True))
    if of.kind == "uuid":
        return str(UUID(bytes=value))
    return value.hex()
