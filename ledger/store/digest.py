"""The state digest: two stores that hold the same have the same, however they came to it.

It is the sum, modulo 2^256, of SHA-256 over each row of ``ledger.store.natural``, so that no order enters. What is hashed of a
row is the name of its sort, a zero byte, and the row as COPY BINARY has it: the count of its fields, then each with its length
(4 bytes, big-endian; −1 is null). It is summed here, not by the server, whose functions its owner can replace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import psycopg

from ledger.store.connect import connect, translated
from ledger.store.natural import ROWS, Rows
from ledger.store.row_stream import stream

_MODULUS: Final = 1 << 256
_HASH: Final = 32


class StateDigest(NamedTuple):
    """The digest, and how many rows of each sort went into it."""

    digest: bytes
    rows: Mapping[str, int]


def state_digest(url: str, *, schema: str | None = None) -> StateDigest:
    """The digest of a store, of one moment; raises ``BackendError``."""
    return digest_of(url, ROWS, schema=schema)


def digest_of(url: str, sorts: Iterable[Rows], *, schema: str | None = None) -> StateDigest:
    """The digest over some sorts of rows."""
    with connect(url, schema=schema) as connection, translated(), connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        total, counts = 0, {}
        for rows in sorts:
            part, counts[rows.table] = _sum(connection, rows)
            total += part
    return StateDigest((total % _MODULUS).to_bytes(_HASH, "big"), counts)


def _sum(connection: psycopg.Connection[Any], rows: Rows) -> tuple[int, int]:
    total = count = 0
    sort = sha256(rows.table.encode() + b"\0")
    for row in stream(connection, rows, ordered=False):
        hashed = sort.copy()
        hashed.update(row)
        total += int.from_bytes(hashed.digest(), "big")
        count += 1
    return total, count
