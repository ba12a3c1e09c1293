"""Partitions of ``events`` and ``causes`` by the time in an event id: a year each, and DEFAULT for what is in none of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg import sql

from ledger.store.connect import translated

_MOVE: Final = """
with moved as (delete from {default} where {key} >= {low}::uuid and {key} < {high}::uuid returning *)
insert into {part} select * from moved
"""
_KEYS: Final = {"events": "event_id", "causes": "cause"}


def make_years(connection: psycopg.Connection, years: Iterable[int]) -> list[int]:
    """Makes the missing partitions of ``years`` and moves there the rows that lie in DEFAULT, in one transaction."""
    with connection.transaction():
        for table in _KEYS:
            _make_default(connection, table)
        made = {year for year in years for table in _KEYS if _make_year(connection, table, year)}
    return sorted(made)


def years_in_default(connection: psycopg.Connection, latest: int) -> list[int]:
    """The years up to ``latest`` whose rows lie in DEFAULT, sorted."""
    query = "select distinct substr(event_id::text, 1, 8) || substr(event_id::text, 10, 4) from events_default"
    with translated():
        found = {_year_of(int(row[0], 16)) for row in connection.execute(query)}
    return sorted(year for year in found if year <= latest)


def missing_years(connection: psycopg.Connection, years: Iterable[int]) -> list[int]:
    """Those of ``years`` that a table has no partition for, sorted."""
    names = {f"{table}_{year}": year for year in years for table in _KEYS}
    with translated():
        found = connection.execute(
            "select name from unnest(%s::text[]) name where to_regclass(name) is null", [list(names)]
        ).fetchall()
    return sorted({names[name] for (name,) in found})


def may_alter(connection: psycopg.Connection) -> bool:
    """Whether this connection owns the tables: a worker under the writer role leaves partitions to ``migrate``."""
    row = connection.execute(
        "select pg_has_role(relowner, 'usage') from pg_class where oid = 'events'::regclass"
    ).fetchone()
    return bool(row and row[0])


def _make_default(connection: psycopg.Connection, table: str) -> None:
    connection.execute(
        sql.SQL("create table if not exists {} partition of {} default").format(
            sql.Identifier(f"{table}_default"), sql.Identifier(table)
        )
    )


def _make_year(connection: psycopg.Connection, table: str, year: int) -> bool:
    """Attaching scans DEFAULT for rows that belong to the new partition: they are moved out first, under its lock."""
    part, default = sql.Identifier(f"{table}_{year}"), sql.Identifier(f"{table}_default")
    exists = connection.execute("select to_regclass(%s) is not null", [f"{table}_{year}"]).fetchone()
    if exists and exists[0]:
        return False
    low, high = sql.Literal(_bound(year)), sql.Literal(_bound(year + 1))
    names = {"part": part, "default": default, "parent": sql.Identifier(table), "low": low, "high": high}
    names["key"] = sql.Identifier(_KEYS[table])
    for statement in (
        "create table {part} (like {parent} including defaults)",
        "lock table {parent} in access exclusive mode",
        _MOVE,
        "alter table {parent} attach partition {part} for values from ({low}) to ({high})",
    ):
        connection.execute(sql.SQL(statement).format(**names))
    return True


def _bound(year: int) -> str:
    milliseconds = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000
    return f"{milliseconds:012x}" + "0" * 20


def _year_of(milliseconds: int) -> int:
    """The year of a time; far ones, which no calendar here has, are year 9999."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).year
    except (ValueError, OverflowError):
        return 9999
