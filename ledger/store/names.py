"""Surrogate numbers of strings that repeat, cached. Filled in transactions of its own and in sorted order: no deadlocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import psycopg

_MOST: Final = 200_000


class Names:
    """Numbers of names, by one connection of its own."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._known: dict[str, int] = {}

    def numbers(self, names: Iterable[str]) -> dict[str, int]:
        """A mapping that holds the number of each of ``names`` (and of others); what is new is committed when it returns."""
        missing = sorted({name for name in names if name not in self._known})
        if missing:
            if len(self._known) > _MOST:
                self._known = {}
                return self.numbers(names)
            self._add(missing)
        return self._known

    def _add(self, missing: list[str]) -> None:
        find = "select name, id from names where name = any(%s)"
        found: dict[str, int] = dict(self._connection.execute(find, [missing]).fetchall())
        if new := [name for name in missing if name not in found]:
            insert = "insert into names (name) select unnest(%s::text[]) on conflict do nothing"
            self._connection.execute(insert, [new])
            found.update(self._connection.execute(find, [new]).fetchall())
        self._known.update(found)
