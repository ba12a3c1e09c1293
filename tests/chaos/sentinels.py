"""What the sentinels came to: behind nothing, nobody accused, and what a fresh one makes of the same store."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

import psycopg

from ledger.ports import CONTENTS
from ledger.schema_files import load_schemas
from ledger.store.connect import connect
from ledger.store.criteria import standing
from ledger.store.natural import Rows
from ledger.store.row_stream import fields, shown, stream
from ledger.store.sentinel import PostgresSentinel, behind
from ledger.store.sentinel_digest import SENTINEL_ROWS, sentinel_digest
from ledger.trust.bundle import TrustBundle

_STEPS: Final = 10_000
_TABLES: Final = (
    "judgements, judgement_waits, contradictions, sentinel_positions, sentinel_stale, sentinel_looks, sentinel_erasures"
)
_OPEN: Final = """
select t.name, c.event_id, c.rule, c.detail from contradictions c join names t on t.id = c.tenant
 where c.closed_at is null order by c.rule, c.event_id"""


def awaited(store: str) -> str:
    """What a store's sentinels have not done yet; empty where they are behind nothing."""
    with connect(store) as connection:
        return _awaited(connection)


def _awaited(connection: psycopg.Connection[Any]) -> str:
    far, kept = behind(connection), standing(connection)
    looked = connection.execute(
        "select contents = (select coalesce(sum(next_offset), 0) from positions where topic = %s) from sentinel",
        [CONTENTS],
    ).fetchone()
    left = [
        *([f"{far.unswept} events not swept, {far.stale} judgements to be made"] if far.unswept or far.stale else []),
        *(["judgements by criteria of before"] if kept.again else []),
        *(["people whose names came"] if looked != (True,) else []),
    ]
    return ", ".join(left)


def sentinel_faults(store: str, ledger: str, bundle: TrustBundle, counts: dict[str, int]) -> list[str]:
    """Everything that is wrong with what the sentinels of ``store`` left, which none works on any more. Judges it anew."""
    with connect(store) as connection:
        left = _awaited(connection)
        accused = connection.execute(_OPEN).fetchall()
        kept, before = _rows(connection), sentinel_digest(store)
        connection.execute(f"truncate {_TABLES}".encode())
        connection.execute(
            "update sentinel set lines = 0, schemas = '', contents = 0, house = '', release = '', again = null"
        )
    found = [f"the sentinels have left {left}"] if left else []
    found += [f"the sentinels accuse {len(accused)} honest events, first {accused[0]}"] if accused else []
    counts["judgements"] = before.rows["judgements"]
    counts["contradictions that were closed"] = before.rows["contradictions"] - len(accused)
    if not before.rows["judgements"]:
        found.append("the sentinels have judged nothing")
    _judge(store, ledger, bundle)
    if sentinel_digest(store) != before:
        with connect(store) as connection:
            found.append(f"a fresh sentinel comes to others: {_first_difference(kept, _rows(connection))}")
    return found


def _judge(store: str, ledger: str, bundle: TrustBundle) -> None:
    """A fresh sentinel, to the end."""
    with closing(PostgresSentinel(store, load_schemas(), ledger, lambda: bundle)) as fresh:
        for _ in range(_STEPS):
            if not fresh.step().more:
                return
    raise AssertionError("a fresh sentinel comes to no end")


def _rows(connection: psycopg.Connection[Any]) -> dict[str, set[bytes]]:
    return {rows.table: set(stream(connection, rows, ordered=False)) for rows in SENTINEL_ROWS}


def _first_difference(kept: dict[str, set[bytes]], fresh: dict[str, set[bytes]]) -> str:
    for rows in SENTINEL_ROWS:
        before, now = kept[rows.table] - fresh[rows.table], fresh[rows.table] - kept[rows.table]
        if before or now:
            first = {name: _told(rows, min(found)) for name, found in (("kept", before), ("fresh", now)) if found}
            return f"{len(before)} rows of {rows.table} are not the fresh one's, {len(now)} not the kept ones, first {first}"
    return "rows that are the same"


def _told(rows: Rows, row: bytes) -> dict[str, str]:
    return {of.label: shown(value, of) for of, value in zip(rows.columns, fields(row), strict=True)}
