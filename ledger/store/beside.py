"""What stands beside a question: other accounts of its action, and what answers to the names that surround what was fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from ledger.attribution.index import Named
from ledger.attribution.joins import names_of
from ledger.attribution.subgraph import KnownPerson, Limits, Node, Ref, undone_by
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
from ledger.format.kinds import ApiAction, Oversight
from ledger.store.arrays import of_ids, of_plain
from ledger.store.fetched import COPIES, LAST, Connection, Fetched
from ledger.store.nodes import Reading, Row
from ledger.store.persons import persons_named
from ledger.store.seals import CHANGED

EFFECTS: Final = 256
"""Effects of an account among which other accounts of its action are looked for, the earliest first."""


class Surrounded(Fetched):
    """What was fetched, with what stands beside it. ``named`` are the names of those events that were read."""

    def __init__(
        self, connection: Connection, reading: Reading, tenant: str, limits: Limits, as_of: int | None
    ) -> None:
        super().__init__(connection, reading, tenant, limits, as_of)
        self.named: Mapping[Ref, Named] = {}
        self._looked: set[str] = set()
        self._beside: tuple[Collection[tuple[bytes, bytes]], set[str]] = (), set()
        self._met: set[bytes] = set()
        self._approved_by: dict[bytes, KnownPerson] = {}
        self._aside: list[Row] = []

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
            near=(near or LAST).hex(),
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

    def _within(self, room: int, names: Collection[str], most: int, near: bytes = LAST) -> int:
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


__all__ = ["EFFECTS", "Surrounded"]
