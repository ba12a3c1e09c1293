"""One question to the store: what was fetched for it and stands beside it, with what is known of chains, people and refusals.

``ledger.store.lineage`` asks it upwards, ``ledger.store.downwards`` downwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from ledger.attribution.subgraph import ChainCoverage, KnownPerson, Limits, Node, Refusal, Subgraph
from ledger.format.kinds import digests_of
from ledger.store.arrays import of_ids
from ledger.store.beside import Surrounded
from ledger.store.fetched import Connection
from ledger.store.nodes import CHAIN, Reading, query_bounded
from ledger.store.observed import continuations
from ledger.store.persons import people_asked, persons_named, persons_read

_REFUSED: Final = """
select r.reason, r.detail, r.raw from (
    select reason, detail, raw from rejected
     where (tenant = %(tenant)s or tenant is null) and raw is not null
       and (%(as_of)s::bigint is null or append_time <= %(as_of)s) order by id desc limit 500
) r"""


@cache
def _around(bounded: bool) -> bytes:
    """What stands around a question: one look-up for what answers name beside events, and for people."""
    people = query_bounded("persons_named.sql", bounded)
    nothing = b", ".join([b"null"] * 11)
    return query_bounded("lineage_around.sql", bounded) + (
        b"union all\nselect 'person', " + nothing + b", p.digest, p.value from (" + people + b") p (digest, value)"
    )


class Question(Surrounded):
    """One question on one connection."""

    def __init__(
        self, connection: Connection, reading: Reading, tenant: str, limits: Limits, as_of: int | None
    ) -> None:
        super().__init__(connection, reading, tenant, limits, as_of)
        self._chains: list[tuple[Sequence[Any], set[str]]] = []
        self._people: list[tuple[bytes, bytes | None]] | None = None

    def nodes(self) -> tuple[Node, ...]:
        """The events fetched, with the findings about each. What is said of their chains, and whom they name, is looked up with
        them."""
        given = {
            **people_asked(self.tenant, _people_in(self.decoded.values())),
            "ids": of_ids(event_id for event_id, _ in self.rows),
            "chains": list({row[CHAIN] for row in self.rows.values()} - {None}),
            "as_of": self.as_of,
        }
        by_event: dict[bytes, list[tuple[str, bytes | None]]] = {}
        by_seal: dict[tuple[int, int | None], list[str]] = {}
        by_chain: dict[int, set[str]] = {}
        self._chains, self._people = [], []
        query = _around(self.as_of is not None)
        for what, chain, *coverage, event_id, number, name, digest, value in self.connection.execute(query, given):
            if what == "person":
                self._people.append((digest, value))
            elif what == "chain":
                self._chains.append((coverage, by_chain.setdefault(chain, set())))
            elif event_id is not None:
                by_event.setdefault(event_id.bytes, []).append((name, digest))
            else:
                by_seal.setdefault((chain, number), []).append(name)
                by_chain.setdefault(chain, set()).add(name)
        if not by_event and not by_seal:
            return tuple(self.decoded.values())
        nodes = []
        for key, node in self.decoded.items():
            found = [
                name
                for name, digest in by_event.get(key[0], ())
                if digest in (None, key[1]) and name != "schema_unknown"  # its bytes tell, if they are still there
            ]
            found += by_seal.get((self.rows[key][CHAIN], node.number), ())
            nodes.append(node._replace(findings=tuple(sorted({*node.findings, *found}))) if found else node)
        return tuple(nodes)

    def subgraph(self, nodes: Sequence[Node], persons: Mapping[bytes, KnownPerson]) -> Subgraph:
        """What was fetched, without what surrounds it: for those who follow links alone."""
        return Subgraph(asked=nodes[0].event_id, nodes=nodes, persons=persons, limits=self.limits, as_of=self.as_of)

    def persons(self, nodes: Collection[Node]) -> Mapping[bytes, KnownPerson]:
        """Everybody whom the events name, as far as their contents stand and verify; the events are those of ``nodes()``, where
        that was asked."""
        asking = self.connection, self.reading, self.tenant
        if self._people is not None:
            return persons_read(*asking, self._people, as_of=self.as_of)
        return persons_named(*asking, _people_in(nodes), as_of=self.as_of)

    def chains(self, now: int) -> tuple[ChainCoverage, ...]:
        """How far each chain of the ``nodes`` is known at ``now``. One that another chain continues promises nothing any more."""
        found = sorted(_coverage(row, findings, now) for row, findings in self._chains)
        silent = [each for each in found if each.silent_since is not None]
        if not silent:
            return tuple(found)
        continued = continuations(
            self.connection,
            self.reading,
            self.tenant,
            of={each.chain_id for each in silent},
            services=sorted({each.service for each in silent}),
            as_of=self.as_of,
        )
        ended = {each.chain for each in continued}
        return tuple(each._replace(silent_since=None) if each[:3] in ended else each for each in found)

    def refused(self, dangling: Collection[bytes]) -> Mapping[bytes, Refusal]:
        """Which of the causes that are not there came and were refused, as far as the latest refusals tell."""
        found: dict[bytes, Refusal] = {}
        for reason, detail, raw in (
            self.connection.execute(_REFUSED, {"tenant": self.tenant, "as_of": self.as_of}) if dangling else ()
        ):
            for event_id in dangling:
                if event_id in raw:
                    found.setdefault(event_id, Refusal(event_id, reason, detail))
        return found


def _coverage(row: Sequence[Any], findings: Iterable[str], now: int) -> ChainCoverage:
    service, key_id, chain_id, closed, last, within, verified = row
    due = last + within * 1_000_000 if within and last is not None and not closed else None
    silent = due if due is not None and due < now else None
    return ChainCoverage(service, key_id, chain_id, verified, last, silent, closed, tuple(sorted(findings)))


def _people_in(nodes: Collection[Node]) -> set[bytes]:
    """Digests that events may mean a person by; contents that name nobody are told apart when they are read."""
    people = {node.header.principal for node in nodes if node.header.principal is not None}
    return people.union(*(digests_of(node.header.kind, node.payload) for node in nodes if node.payload is not None))
