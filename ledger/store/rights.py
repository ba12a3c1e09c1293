"""What the group roles of ``0002_roles.sql`` may still do in the store: a dump is often restored without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import psycopg

from ledger.store.connect import translated

_NEEDS: Final = {
    "answerable_reader": ("select",),
    "answerable_writer": ("select", "insert", "update", "delete"),
}
_READ_ONLY: Final = ("migrations",)
_TABLES: Final = """
select c.relname from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
   and not c.relispartition order by 1"""


class Lacking(NamedTuple):
    """A role that is missing (``tables`` None), or what it may not do."""

    role: str
    rights: str
    tables: Sequence[str] | None


def missing_rights(connection: psycopg.Connection) -> list[Lacking]:
    """Rights that a role lacks, by role and right."""
    found = []
    with translated():
        tables = [name for (name,) in connection.execute(_TABLES)]
        known = {name for (name,) in connection.execute("select rolname from pg_roles")}
        for role, rights in _NEEDS.items():
            if role not in known:
                found.append(Lacking(role, "", None))
                continue
            for right in rights:
                lacking = [
                    table
                    for table in tables
                    if (right == "select" or table not in _READ_ONLY) and not _may(connection, role, table, right)
                ]
                if lacking:
                    found.append(Lacking(role, right, lacking))
    return found


def _may(connection: psycopg.Connection, role: str, table: str, right: str) -> bool:
    row = connection.execute("select has_table_privilege(%s, %s::regclass, %s)", [role, table, right]).fetchone()
    return bool(row and row[0])
