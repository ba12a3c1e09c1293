"""A store as a release before left it: its tables, filled with the rows of a store of now as far as there were columns."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import sql

from ledger.store.migrations import FIRST_YEAR
from ledger.store.partitions import make_years

_COLUMNS: Final = """
select c.relname, array_agg(a.attname order by a.attnum) from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and a.attnum > 0
   and not a.attisdropped group by 1 order by 1"""
_COUNTERS: Final = """
select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and a.attidentity <> '' and not c.relispartition"""
YEARS: Final = range(FIRST_YEAR, 2031)


def published() -> list[str]:
    """Every migration's name, in order."""
    return sorted(
        each.name for each in files("ledger.store").joinpath("migrations").iterdir() if each.name.endswith(".sql")
    )


def apply(connection: psycopg.Connection[Any], name: str) -> None:
    """One migration, as ``migrate`` applies it."""
    text = files("ledger.store").joinpath("migrations", name).read_text()
    connection.execute(text.encode())
    connection.execute("insert into migrations values (%s, %s)", [name, sha256(text.encode()).hexdigest()])


def make_older(url: str, source: str, last: str) -> list[str]:
    """Makes the tables of the release whose last migration begins with ``last`` in the empty database ``url``, and fills them
    with the rows of ``source``; returns the migrations that are left to apply."""
    names = published()
    until = next(n for n, name in enumerate(names, 1) if name.startswith(last))
    with psycopg.connect(url, autocommit=True) as new, psycopg.connect(source, autocommit=True) as old:
        new.execute("create table migrations (name text primary key, checksum text not null)")
        with new.transaction():
            for name in names[:until]:
                apply(new, name)
            make_years(new, YEARS)
        for table, columns in new.execute(_COLUMNS).fetchall():
            if table != "migrations":
                _copy(old, new, table, columns)
        for table, column in new.execute(_COUNTERS).fetchall():
            given = {"named": sql.Literal(table), "of": sql.Literal(column)}
            counter = sql.SQL("pg_get_serial_sequence({named}, {of})").format(**given)
            most = sql.SQL("(select coalesce(max({}), 0) + 1 from {})").format(
                sql.Identifier(column), sql.Identifier(table)
            )
            new.execute(sql.SQL("select setval({}, {}, false)").format(counter, most))
        new.execute("select setval('seal_ids', coalesce(max(id), 0) + 1, false) from seals")
    return names[until:]


def _copy(old: psycopg.Connection[Any], new: psycopg.Connection[Any], table: str, columns: Sequence[str]) -> None:
    name, listed = sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    new.execute(sql.SQL("truncate {}").format(name))
    out = sql.SQL("copy (select {} from {}) to stdout (format binary)").format(listed, name)
    into = sql.SQL("copy {} ({}) from stdin (format binary)").format(name, listed)
    with old.cursor().copy(out) as source, new.cursor().copy(into) as target:
        for data in source:
            target.write(data)
