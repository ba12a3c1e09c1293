"""One question to the store: what is fetched for it, row by row verified and decoded, and what stands beside that.

``ledger.store.lineage`` asks it upwards, ``ledger.store.downwards`` downwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import psycopg

from ledger.attribution.index import Named
from ledger.attribution.joins import key_of, names_of
from ledger.attribution.subgraph import ChainCoverage, KnownPerson, Limits, Node, Ref, Refusal, Subgraph, undone_by
from ledger.attribution.surroundings import (
    ACCOUNTS,
    RELIED,
    accounts_alike,
    accounts_beside,
    accounts_cited,
    approvers,
    beside_cited,
    calls_named,
    in_doubt,
    names_answered,
    own_names,
    relied_on,
    reused,
    surrounding,
)
from ledger.format.kinds import ApiAction, Oversight, digests_of
from ledger.store.arrays import of_ids, of_plain
from ledger.store.nodes import CHAIN, Reading, Row, query_bounded, query_events
from ledger.store.observed import continuations
from ledger.store.persons import people_asked, persons_named, persons_read
from ledger.store.seals import CHANGED

Connection = psycopg.Connection[Any]

_REFUSED: Final = """
select r.reason, r.detail, r.raw from (
    select reason, detail, raw from rejected
     where (tenant = %(tenant)s or tenant is null) and raw is not null
       and (%(as_of)s::bigint is null or append_time <= %(as_of)s) order by id desc limit 500
) r"""

EFFECTS: Final = 256
"""Effects of an account among which other accounts of its action are looked for, the earliest first."""
COPIES: Final = 10_000
"""Effects of any tenant among which those, or the uses of an approval, are looked for: other tenants may copy an id."""
_CROWDED: Final = """
select i.id from unnest(%(ids)s::uuid[]) i (id)
 where exists (select from causes c where c.cause = i.id and c.effect <= %(near)s::uuid
                order by c.effect desc offset %(effects)s limit 1)
    or exists (select from causes c where c.cause = i.id and c.effect > %(near)s::uuid
                order by c.effect offset %(effects)s limit 1)"""
"""Which of some events have more effects than are looked at, before `near` or after it."""
_LAST: Final = b"\xff" * 16
_CHUNK: Final = 64 if psycopg.capabilities.has_stream_chunked() else 1
"""Rows that are taken over at once while more arrive: a part of what a socket holds, so that the server goes on meanwhile."""


@cache
def _around(bounded: bool) -> bytes:
    """What stands around a question: one look-up for what answers name beside events, and for people."""
    people = query_bounded("persons_named.sql", bounded)
    nothing = b", ".join([b"null"] * 11)
    return query_bounded("lineage_around.sql", bounded) + (
        b"union all\nselect 'person', " + nothing + b", p.digest, p.value from (" + people + b") p (digest, value)"
    )


class Question:
    """One question on one connection, and what was fetched for it. ``rows`` are by id and digest, ``named`` the names of
    those that were read, ``crowded`` names to which more may answer than is looked at: see ``Subgraph``."""

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
        self.named: Mapping[Ref, Named] = {}
        self.crowded: set[str] = set()
        self._full: list[tuple[str, Sequence[bytes]]] = []
        self._looked: set[str] = set()
        self._beside: tuple[Collection[tuple[bytes, bytes]], set[str]] = (), set()
        self._met: set[bytes] = set()
        self._approved_by: dict[bytes, KnownPerson] = {}
        self._aside: list[Row] = []
        self._chains: list[tuple[Sequence[Any], set[str]]] = []
        self._people: list[tuple[bytes, bytes | None]] | None = None

    def walk(self, file: str, start: Sequence[bytes]) -> set[bytes]:
        """Fetches from ``start`` on; returns every id walked, with or without an event."""
        found = self.fetch(file, start=of_ids(start), nodes=self.limits.nodes)
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

    def accounts(self, asked: Collection[bytes], walked: set[bytes], near: bytes | None = None) -> set[bytes]:
        """Fetches the accounts that cite those of the actions asked about, by whatever action id, and what is above them; adds
        every id walked to ``walked``. Returns the ids of accounts of which there are more, or may be: they have more effects than
        are looked at, or other accounts were found of accounts as often as they are looked for.

        ``near``: ``surroundings`` follow; as far as known already they are looked up with the accounts, and are set aside.
        """
        unsure: set[bytes] = set()
        new, begun, looked = set(asked), set(asked), set[bytes]()
        for _ in range(ACCOUNTS):
            front = accounts_alike(new, self.decoded.values())
            looked |= front
            new = self._citing(front, unsure, near) - looked if front else set()
            if not new:
                break
            begun |= new
            if ahead := new if near is not None else new - walked:
                walked |= self.walk("lineage_up.sql", sorted(ahead))
            if self.as_of is not None:
                self.keep_reached(begun)
        else:
            front = accounts_alike(new, self.decoded.values())
            more = self._citing(front, unsure, None) - looked - front if front else set()
            if more - (set() if near is None else {event_id for event_id, _ in self.rows}):
                unsure |= front
        return unsure

    def _citing(self, front: frozenset[bytes], unsure: set[bytes], near: bytes | None) -> set[bytes]:
        """The accounts not fetched yet that say that they are of the action of one of ``front``. Without ``near``, those fetched
        too: what stands above one of several events asked about may be new to another."""
        names = (
            {each for each in self._names_beside(near) if not each.startswith(RELIED)} if near is not None else set()
        )
        rows = self._look(
            "lineage_beside.sql",
            ids=of_ids(sorted(front)),
            effects=EFFECTS,
            copies=COPIES,
            keys=of_plain(self._keys(sorted(names))),
            candidates=self.limits.beside + 2,
            near=(near or _LAST).hex(),
        )
        unsure |= {row[0].bytes for row in rows if row[0].bytes in front}
        met = {ref for row in rows if (ref := (row[0].bytes, row[1])) in self.rows} if near is None else set()
        rows = [row for row in rows if row[1] is not None and (row[0].bytes, row[1]) not in self.rows]
        nodes = self.reading.nodes(self.connection, self.tenant, rows)
        citing = {node.event_id for node in nodes if any(cause.event_id in front for cause in node.header.causes)}
        beside = {  # not what was met because it bears the id of one that cites
            node.event_id
            for node in nodes
            if node.event_id not in citing
            or not front.isdisjoint(undone_by(node))
            or not names.isdisjoint(names_of(node.header, node.payload)[0])
            or CHANGED in node.findings
        }
        self._aside += [row for row, node in zip(rows, nodes, strict=True) if node.event_id in beside]
        nodes += [self.decoded[ref] for ref in met]
        return {node.event_id for node in nodes if not front.isdisjoint(accounts_cited(node))}

    def by_keys(self, names: Iterable[str], candidates: int, near: bytes = _LAST) -> set[bytes]:
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

    def surroundings(self, near: bytes) -> None:
        """Registrations of the agents met, the other uses of the approvals met, when the runs met were started and ended, and
        what else was done under the idempotency key of the action asked about: nothing follows from these upwards."""
        names, most = self._names_beside(near), self.limits.beside + 2
        own = own_names(near, self.decoded.values())
        self.by_keys(names, most, near)
        self.take(self._aside)
        if any(each.startswith("oversight:") for each in self._looked):
            more = beside_cited(self._looked, self.decoded.values(), self._approvers())
            self.by_keys(more - names - self._looked, most, near)
        self._count_uses(near)
        if uses := reused(self.decoded.values(), own) | in_doubt(self._looked, self.decoded.values()):
            self.accounts_of_uses(uses, near, own)

    def accounts_of_uses(self, uses: Collection[str], near: bytes, own: Collection[str] = ()) -> None:
        """Fetches the accounts of the actions that answer to the names of ``uses``, what took these back, and theirs in turn; the
        accounts of the action asked about are known, which answer to its ``own``. Where it ends at a bound, the names are
        ``crowded``."""
        looked, room = {*uses}, self.limits.accounts
        for _ in range(ACCOUNTS):
            new = accounts_beside(looked, self.decoded.values())
            if new.issubset(own):
                break
            looked |= new
            room = self._within(room, new.difference(own), self.limits.answers // 2, near)
        else:
            self.crowded |= accounts_beside(looked, self.decoded.values()).difference(own)
        self.told_if_full(looked.difference(uses, own), near, self.limits.answers // 2)

    def _within(self, room: int, names: Collection[str], most: int, near: bytes = _LAST) -> int:
        """Fetches what answers to the names, so many a name, as long as there is room for all that may; returns what is left."""
        ahead = sorted(names)
        while some := ahead[: room // (2 * most)]:
            ahead = ahead[len(some) :]
            room -= len(self.by_keys(some, most, near))
        self.crowded |= {*ahead}
        return room

    def told_if_full(self, names: Collection[str], near: bytes, most: int) -> None:
        """Says of those names of uses and accounts that are ``crowded`` to which so many answer, before ``near`` or after it."""
        answering: dict[str, set[bytes]] = {}
        for node in self.decoded.values() if names else ():
            for name in names_answered(node):
                if name in names:
                    answering.setdefault(name, set()).add(node.event_id)
        sides = ((name, sum(each <= near for each in ids), len(ids)) for name, ids in answering.items())
        self.crowded |= {name for name, before, both in sides if max(before, both - before) >= most}

    def _count_uses(self, near: bytes) -> None:
        """The uses of approvals that allow more of them than are looked at otherwise: as many as they allow, the one
        asked about, and one more: then it is known that there were more."""
        names: dict[int, list[str]] = {}
        for node in self.decoded.values():
            fact = node.fact if node.kind == "oversight" and node.effective else None
            most = self.limits.uses(fact.uses_allowed) if isinstance(fact, Oversight) else 0
            if isinstance(fact, Oversight) and most > self.limits.beside:
                names.setdefault(most, []).append(f"oversight_use:{fact.oversight_id}")
                names[most] += relied_on([node.event_id])
        for most, wanted in sorted(names.items()):
            self.by_keys(wanted, most + 2, near)

    def _names_beside(self, near: bytes) -> set[str]:
        """The names that surround what was fetched, each once; who relies on an approval is looked for when all are known."""
        of, names = self._beside
        if self.decoded.keys() != of:
            names = set(surrounding(self.decoded.values(), {near}, self._approvers()))
            self._beside = frozenset(self.decoded), names
        new = names - self._looked
        self._looked |= {each for each in new if not each.startswith(RELIED)}
        return new

    def _approvers(self) -> Mapping[bytes, KnownPerson]:
        """Whoever approved or denied, as far as they are known: each is looked up once."""
        if new := approvers(self.decoded.values()) - self._met:
            self._met |= new
            self._approved_by |= persons_named(self.connection, self.reading, self.tenant, new, as_of=self.as_of)
        return self._approved_by

    def crowds(self, asked: Collection[bytes]) -> list[str]:
        """Fetches the surroundings for any event: the latest of each name. Returns the names to which more answer than one
        question looks at on either side."""
        most = self.limits.beside
        self.named = {node.ref: names_of(node.header, node.payload) for node in self.decoded.values() if node.effective}
        names = dict.fromkeys(surrounding(self.decoded.values(), asked, self._approvers(), named=self.named))
        self.by_keys(names, 2 * most)
        self.take(self._aside)
        more = beside_cited(names, self.decoded.values(), self._approvers()) - names.keys()
        self.by_keys(more, 2 * most)
        names |= dict.fromkeys(more)
        decoded = self.decoded.values()
        accounts = self._accounts_of_all(reused(decoded) | in_doubt(names, decoded))
        names |= dict.fromkeys(accounts)
        called = any(each.startswith("correlation:") for each in accounts)
        counts = Counter(
            name
            for node in self.decoded.values()
            if _surrounds(node, names, called)
            for name in (self.named.get(node.ref) or names_of(node.header, node.payload))[0]
        )
        actions = [node for node in self.decoded.values() if node.kind == "api_action" and node.effective]
        counts.update(relied_on(cause.event_id for node in actions for cause in node.header.causes))
        few, crowded = self.limits.candidates, self.crowded
        return [name for name in names if counts[name] > (few if name in accounts else most) or name in crowded]

    def _accounts_of_all(self, uses: Collection[str]) -> set[str]:
        """As ``accounts_of_uses``, for any event: the latest. Returns the names."""
        looked, room = {*uses}, self.limits.nodes
        for _ in range(ACCOUNTS if uses else 0):
            new = accounts_beside(looked, self.decoded.values())
            if not new:
                break
            looked |= new
            room = self._within(room, new, 2 * self.limits.candidates)
        return looked.difference(uses)

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


def _surrounds(node: Node, names: Collection[str], called: bool) -> bool:
    """Whether an event may answer to one of the names that surround others: see ``surrounding``. ``called``: there are some of
    calls among them."""
    if called and not calls_named(node).isdisjoint(names):
        return True
    if isinstance(node.fact, ApiAction):
        many = node.fact.idempotency_key is not None or bool(node.fact.oversight_ids)
        return many or f"action:{node.fact.action_id}" in names
    return node.kind in _SURROUNDING


_SURROUNDING: Final = frozenset(
    {
        "agent_registration", "execution_control", "trigger_registration", "policy_decision", "oversight", "grant",
        "token_issuance", "token_revocation",
    }
)  # fmt: skip


def _people_in(nodes: Collection[Node]) -> set[bytes]:
    """Digests that events may mean a person by; contents that name nobody are told apart when they are read."""
    people = {node.header.principal for node in nodes if node.header.principal is not None}
    return people.union(*(digests_of(node.header.kind, node.payload) for node in nodes if node.payload is not None))
