"""What is fetched from the store for one question: rows, each verified and decoded once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg

from ledger.attribution.joins import key_of, names_of
from ledger.attribution.subgraph import Limits, Node
from ledger.attribution.surroundings import RELIED, relied_on
from ledger.store.arrays import of_ids, of_plain
from ledger.store.nodes import Reading, Row, query_bounded, query_events
from ledger.store.seals import CHANGED

Connection = psycopg.Connection[Any]

COPIES: Final = 10_000
"""Effects of any tenant among which those, or the uses of an approval, are looked for: other tenants may copy an id."""
_CROWDED: Final = """
select i.id from unnest(%(ids)s::uuid[]) i (id)
 where exists (select from causes c where c.cause = i.id and c.effect <= %(near)s::uuid
                order by c.effect desc offset %(effects)s limit 1)
    or exists (select from causes c where c.cause = i.id and c.effect > %(near)s::uuid
                order by c.effect offset %(effects)s limit 1)"""
"""Which of some events have more effects than are looked at, before `near` or after it."""
LAST: Final = b"\xff" * 16
_CHUNK: Final = 64 if psycopg.capabilities.has_stream_chunked() else 1
"""Rows that are taken over at once while more arrive: a part of what a socket holds, so that the server goes on meanwhile."""


class Fetched:
    """Events fetched on one connection. ``rows`` are by id and digest, ``crowded`` names to which more may answer than is looked
    at: see ``Subgraph``."""

    def __init__(
        self, connection: Connection, reading: Reading, tenant: str, limits: Limits, as_of: int | None
    ) -> None:
        self.connection = connection
        self.reading = reading
        self.tenant = tenant
        self.limits = limits
        self.as_of = as_of
        self.rows: dict[tuple[bytes, bytes], Row] = {}
        self.decoded: dict[tuple[bytes, bytes], Node] = {}
        self.crowded: set[str] = set()
        self._full: list[tuple[str, Sequence[bytes]]] = []

    def walk(self, file: str, start: Sequence[bytes]) -> set[bytes]:
        """Fetches from ``start`` on; returns every id walked, with or without an event."""
        found = self.walk_near(file, start, self.limits.nodes)
        if len(found) >= self.limits.nodes:
            self._full.append((file, start))
        return found

    def beyond(self, walked: Collection[bytes]) -> set[bytes]:
        """What walks that met the limit left out, at least one where there was more: so many and one cannot all be ``walked``."""
        left: set[bytes] = set()
        for file, start in self._full:
            query = query_bounded(file, self.as_of is not None) + b"select id from wanted"
            parameters = self._asked(file, start=of_ids(start), nodes=len(walked) + 1)[1]
            left |= {row[0].bytes for row in self.connection.execute(query, parameters, binary=True)}
        return left.difference(walked)

    def by_keys(self, names: Iterable[str], candidates: int, near: bytes = LAST) -> set[bytes]:
        """What answers to the names: so many a name, the nearest to ``near``; without one, the latest. The name of an event that
        has more effects than are looked at is ``crowded``."""
        wanted = dict.fromkeys(names)
        keys = self._keys(each for each in wanted if not each.startswith(RELIED))
        cited = {bytes.fromhex(each.removeprefix(RELIED)) for each in wanted if each.startswith(RELIED)}
        given = {"candidates": candidates, "near": near.hex()}
        found = self.fetch("lineage_keys.sql", **given, keys=of_plain(keys)) if keys else set()
        relying = self.fetch("relying.sql", **given, ids=of_ids(sorted(cited)), effects=COPIES) if cited else set()
        if came_back := relying & cited:  # for it has more effects, or is one of another
            asked = {"ids": of_ids(sorted(came_back)), "near": near.hex(), "effects": COPIES}
            rows = self.connection.execute(_CROWDED, asked).fetchall()
            self.crowded.update(relied_on(row[0].bytes for row in rows))
        return found | relying

    def _keys(self, names: Iterable[str]) -> list[int]:
        return [key_of(self.tenant, name) for name in names]

    def fetch(self, file: str, **given: object) -> set[bytes]:
        """Fetches what a query finds; returns every id of it, with or without an event."""
        found = self._look(file, **given)
        self.take([row for row in found if row[1] is not None])
        return {row[0].bytes for row in found}

    def walk_near(self, file: str, start: Sequence[bytes], nodes: int) -> set[bytes]:
        """As ``walk``, up to so many ids: one more than the limit tells whether it left anything out."""
        return self.fetch(file, start=of_ids(start), nodes=nodes)

    def walk_far(self, file: str, start: Sequence[bytes], nodes: int) -> set[bytes]:
        """As ``walk_near``, where many events may come: they are opened while the server looks for more. Its plan is made anew
        each time, which for few events is more than is won."""
        found: set[bytes] = set()

        def arriving() -> Iterator[Row]:
            asked = self._asked(file, start=of_ids(start), nodes=nodes)
            for row in cursor.stream(*asked, binary=True, size=_CHUNK):
                event_id = row[0].bytes
                found.add(event_id)
                if row[1] is not None and (ref := (event_id, row[1])) not in self.rows:
                    self.rows[ref] = row
                    yield row

        with self.connection.cursor() as cursor:
            opened = self.reading.opened(self.tenant, arriving())
        self.decoded |= {node.ref: node for node in self.reading.proven(self.connection, self.tenant, opened)}
        return found

    def _look(self, file: str, **given: object) -> list[Row]:
        return self.connection.execute(*self._asked(file, **given), binary=True).fetchall()

    def _asked(self, file: str, **given: object) -> tuple[bytes, Mapping[str, object]]:
        parameters = {"tenant": self.tenant, "as_of": self.as_of, "candidates": self.limits.candidates, **given}
        return query_events(file, self.as_of is not None), parameters

    def take(self, rows: Sequence[Row]) -> None:
        """Decodes rows that are not among those fetched yet."""
        new = {ref: row for row in rows if (ref := (row[0].bytes, row[1])) not in self.rows}
        self.rows |= new
        self.decoded |= zip(new, self.reading.nodes(self.connection, self.tenant, list(new.values())), strict=True)

    def keep(self, first: Collection[bytes], most: int) -> bool:
        """Drops what was fetched last, but for events of the ids ``first``, so that ``most`` are left or these alone. Returns
        whether there was any."""
        others = [ref for ref in self.rows if ref[0] not in first]
        left = others[max(most - (len(self.rows) - len(others)), 0) :]
        for ref in left:
            del self.rows[ref], self.decoded[ref]
        return bool(left)

    def keep_reached(self, starts: Iterable[bytes]) -> None:
        """Drops what no event leads to from ``starts`` on. A name leads to an id, for which another event stood at an earlier
        time than the one that bears the name. Rows that cannot be read stay: what they led to is not known.
        """
        answering: dict[str, set[bytes]] = {}
        leading: dict[bytes, list[Node]] = {}
        for node in self.decoded.values():
            leading.setdefault(node.event_id, []).append(node)
            for name in names_of(node.header, node.payload)[0] if node.effective else ():
                answering.setdefault(name, set()).add(node.event_id)
        reached: set[bytes] = set()
        ahead = {*starts, *(node.event_id for node in self.decoded.values() if CHANGED in node.findings)}
        while ahead:
            reached |= ahead
            nodes = [node for event_id in ahead for node in leading.get(event_id, ()) if node.effective]
            ahead = {cause.event_id for node in nodes for cause in node.header.causes}
            for node in nodes:
                ahead = ahead.union(*(answering.get(name, ()) for name in names_of(node.header, node.payload)[1]))
            ahead -= reached
        for ref in [ref for ref in self.rows if ref[0] not in reached]:
            del self.rows[ref], self.decoded[ref]


__all__ = ["COPIES", "LAST", "Connection", "Fetched"]
