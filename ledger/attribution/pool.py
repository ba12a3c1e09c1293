"""Events fetched together for many questions, and what each question would have fetched alone, read out of them.

An answer must not depend on which other questions were asked with it: so each one gets the subgraph that it would have had
by itself, and the events are decoded once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ledger.attribution.index import Named
from ledger.attribution.joins import names_of
from ledger.attribution.subgraph import (
    DEFAULT_LIMITS,
    KnownPerson,
    Limits,
    Node,
    Ref,
    Subgraph,
    rights_cited,
    undone_by,
)
from ledger.attribution.surroundings import (
    ACCOUNTS,
    accounts_beside,
    accounts_cited,
    beside_cited,
    in_doubt,
    names_alike,
    relied_on,
    repeated,
    reused,
    statements_of,
    surrounding,
)
from ledger.format.kinds import ApiAction


class Overfull(Exception):
    """The question meets a limit, at which what was fetched for many is not what it would have fetched: it is asked alone."""


class Extent(NamedTuple):
    """What one question is answered from: the ids above an event, itself among them, and of what is looked at beside them."""

    above: frozenset[bytes]
    beside: frozenset[bytes]


class Pool:
    """``nodes`` hold, for each event asked about, all that is above it, with what answers to the names that surround it.

    ``crowded`` are names to which more events answer than were fetched, ``unsure`` the ids of actions of which further accounts
    may not have been. ``named`` are the names of events that were read before.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        persons: Mapping[bytes, KnownPerson],
        *,
        named: Mapping[Ref, Named] | None = None,
        crowded: Collection[str] = (),
        unsure: Collection[bytes] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._persons, self._crowded, self._unsure, self._limits = persons, crowded, frozenset(unsure), limits
        self._citing: dict[bytes, dict[bytes, None]] = {}
        self._by_id: dict[bytes, list[Node]] = {}
        self._undone: set[bytes] = set()
        self._answering: dict[str, list[bytes]] = {}
        self._actions: dict[bytes, frozenset[str]] = {}
        self._alike: dict[bytes, frozenset[str]] = {}
        self._accounts_of: dict[str, list[bytes]] = {}
        self.names: dict[Ref, Named] = {}
        for node in nodes:
            event_id = node.ref.event_id
            self._by_id.setdefault(event_id, []).append(node)
            if node.kind == "api_action" and isinstance(node.fact, ApiAction):
                self._actions[event_id] = self._actions.get(event_id, _NO_ACTION) | {node.fact.action_id}
                alike = names_alike(node)
                self._alike[event_id] = self._alike.get(event_id, _NO_ACTION).union(alike)
                for name in alike:
                    self._accounts_of.setdefault(name, []).append(event_id)
            if node.effective:
                known = named.get(node.ref) if named is not None else None
                own = self.names[node.ref] = known or names_of(node.header, node.payload)
                undone = undone_by(node)
                self._undone.update(undone)
                for name in (*own[0], *relied_on((*rights_cited(node), *accounts_cited(node), *undone))):
                    self._answering.setdefault(name, []).append(event_id)
                for cited in accounts_cited(node):
                    self._citing.setdefault(cited, {})[event_id] = None
        self._in_doubt = bool(self._undone)
        for name, answers in self._answering.items():
            if len(answers) > 1:
                answers[:] = sorted(dict.fromkeys(answers))
                self._in_doubt |= name.startswith("idempotency:") and self._are_several(answers)
        self._reused = reused(node for nodes in self._by_id.values() for node in nodes)
        self._statements = statements_of(node for nodes in self._by_id.values() for node in nodes)
        self._next: dict[bytes, tuple[bytes, ...]] = {}
        self._closures: dict[bytes, frozenset[bytes]] = {}
        self._extents: dict[tuple[frozenset[bytes], frozenset[str]], Extent] = {}
        self._names_beside: dict[bytes, list[str]] = {}

    def _are_several(self, answers: Iterable[bytes]) -> bool:
        return len({action for each in answers for action in self._actions.get(each, ())}) > 1

    def whole(self) -> Subgraph:
        """All of it: what follows from events wherever they stand is found out once for every question."""
        return self._subgraph(b"", [node for nodes in self._by_id.values() for node in nodes], frozenset())

    def extent(self, event_id: bytes) -> Extent:
        """What a question about an event is answered from; raises ``Overfull``, and ``KeyError`` where it is not there."""
        asked, closure = self._by_id[event_id], self._closure(event_id)
        actions = self._actions.get(event_id, _NO_ACTION)
        extent = self._extents.get((closure, actions))
        if extent is None:  # accounts of one action, each above the other, share it
            above, accounts = self._with_accounts(asked, closure)
            extent = self._extents[closure, actions] = self._extent(above, accounts, actions)
        return extent

    def _extent(self, above: frozenset[bytes], accounts: frozenset[bytes], actions: frozenset[str]) -> Extent:
        names = dict.fromkeys(relied_on(accounts & self._undone))
        known = self._names_beside
        for each in above:
            beside = known.get(each)
            if beside is None:
                beside = self._beside(each)
            if beside:
                names.update(dict.fromkeys(beside))
        for action in actions:
            for each in self._accounts_of[f"action:{action}"]:
                if each in above:
                    names.update(dict.fromkeys(name for node in self._by_id[each] for name in repeated(node, actions)))
        return Extent(above, frozenset(self._answering_beside(names)) - above if names else _NOTHING)

    def part(self, event_id: bytes, extent: Extent) -> Subgraph:
        """The subgraph that one question would have had alone."""
        above = [node for each in extent.above for node in self._by_id.get(each, ())]
        beside = [node for each in extent.beside for node in self._by_id.get(each, ())]
        return self._subgraph(event_id, above + beside, frozenset(node.ref for node in beside))

    def part_as_of(self, event_id: bytes, moment: int) -> Subgraph:
        """The same of what came by an append time.

        A name that more events answer to than are looked at is as crowded then as it is now.
        """
        walk = frozenset(self._walk(event_id, moment))
        walked, accounts = self._with_accounts(self._seen(event_id, moment), walk, moment)
        above = [node for each in walked for node in self._seen(each, moment)]
        met = {node.ref for node in above}
        names = dict.fromkeys(surrounding(above, {event_id}, self._persons, named=self.names))
        names |= dict.fromkeys(relied_on(accounts & self._undone))
        around = {node.ref: node for each in self._answering_beside(names) for node in self._seen(each, moment)}
        nearby = frozenset(around.keys() - met)
        return self._subgraph(event_id, [*above, *(around[ref] for ref in nearby)], nearby, moment)

    def _subgraph(
        self, asked: bytes, nodes: Sequence[Node], nearby: frozenset[Ref], as_of: int | None = None
    ) -> Subgraph:
        return Subgraph(
            asked=asked, nodes=nodes, persons=self._persons, nearby=nearby, limits=self._limits, as_of=as_of
        )

    def _closure(self, event_id: bytes) -> frozenset[bytes]:
        """Every id above an event, and its own. What is above an event that was asked about before is not walked again."""
        known = self._closures.get(event_id)
        if known is None:
            found, frontier = {event_id}, [event_id]
            while frontier and known is None:
                for each in self._above(frontier.pop()):
                    if each not in found:
                        above = self._closures.get(each)
                        if above is None:
                            found.add(each)
                            frontier.append(each)
                        elif event_id in above:  # each is above the other: accounts of one thing
                            known = above
                            break
                        else:
                            found |= above
                if len(found) >= self._limits.nodes:
                    raise Overfull
            known = self._closures[event_id] = known or frozenset(found)
        return known

    def _with_accounts(
        self, asked: Sequence[Node], above: frozenset[bytes], moment: int | None = None
    ) -> tuple[frozenset[bytes], frozenset[bytes]]:
        """Above an action also the accounts that cite one of its own, by whatever action id, and what is above these; then which
        of all these are its accounts."""
        new, accounts = {node.event_id for node in asked}, _NOTHING
        for _ in range(ACCOUNTS):
            front = self._accounts(new, above)
            accounts |= front
            if front & self._unsure:
                raise Overfull
            new = {
                each
                for at in front
                for each in self._citing.get(at, ())
                if each not in above and self._is_seen(each, moment)
            }
            if not new:
                break
            for each in new:
                above |= self._closure(each) if moment is None else frozenset(self._walk(each, moment))
            if len(above) >= self._limits.nodes:
                raise Overfull
        else:
            front = self._accounts(new, above)
            accounts |= front
            if front & self._unsure or any(each not in above for at in front for each in self._citing.get(at, ())):
                raise Overfull
        return above, accounts

    def _accounts(self, ids: Collection[bytes], above: frozenset[bytes]) -> frozenset[bytes]:
        """The actions among ``ids``, and of those above all that have the action id of one, or tell of one call with it."""
        ahead = [each for each in ids if each in above and each in self._alike]
        found, met = set(ahead), set[str]()
        while ahead:
            for name in self._alike[ahead.pop()] - met:
                met.add(name)
                new = [each for each in self._accounts_of[name] if each in above and each not in found]
                found.update(new)
                ahead += new
        return frozenset(found)

    def _is_seen(self, event_id: bytes, moment: int | None) -> bool:
        return moment is None or bool(self._seen(event_id, moment))

    def _seen(self, event_id: bytes, moment: int) -> list[Node]:
        return [node for node in self._by_id.get(event_id, ()) if node.append_time <= moment]

    def _walk(self, event_id: bytes, moment: int) -> list[bytes]:
        """Every id that was above an event."""
        walked, frontier = {event_id: None}, [event_id]
        while frontier:
            reached: list[bytes] = []
            for each in frontier:
                if self._seen(each, moment):
                    reached += self._above(each)
            frontier = [each for each in dict.fromkeys(reached) if each not in walked]
            walked.update(dict.fromkeys(frontier))
            if len(walked) >= self._limits.nodes:
                raise Overfull
        return list(walked)

    def _above(self, event_id: bytes) -> tuple[bytes, ...]:
        """What an event states as its causes, and what answers to the names that it follows."""
        found = self._next.get(event_id)
        if found is None:
            reached: list[bytes] = []
            for node in self._by_id.get(event_id, ()):
                if node.effective:
                    reached += [cause.event_id for cause in node.header.causes]
                    for name in self.names[node.ref][1]:
                        if name in self._answering:
                            reached += self._nearest(name, event_id)
            found = self._next[event_id] = tuple(dict.fromkeys(reached))
        return found

    def _nearest(self, name: str, event_id: bytes) -> list[bytes]:
        answers = self._answering[name]
        bound = self._limits.candidates + 1
        if len(answers) <= bound:
            return answers
        place = bisect_right(answers, event_id)
        return answers[max(place - bound, 0) : place + bound]

    def _beside(self, event_id: bytes) -> list[str]:
        """The names that surround an event whoever asks, as far as anything answers to them."""
        found = surrounding(self._by_id.get(event_id, ()), (), self._persons, self._statements, self.names)
        names = [each for each in found if each in self._answering or each in self._crowded]
        self._names_beside[event_id] = names
        return names

    def _answering_beside(self, names: Iterable[str]) -> list[bytes]:
        """What answers to the names that surround events; what stands beside those approvals among it that are cited by other
        statements; and the accounts of all actions that rely on an approval which may have been used too often, or of which it
        depends on what was undone what was done twice."""
        names = list(names)
        found = list(self._answers(names))
        more = beside_cited(names, self._nodes(found), self._persons)
        found += self._answers(more)
        looked = self._reused.intersection((*names, *more)) if self._reused else set()
        looked |= in_doubt(names, self._nodes(found)) if self._in_doubt else set()
        room = self._limits.accounts - self._limits.answers
        for _ in range(ACCOUNTS if looked else 0):
            new = accounts_beside(looked, self._nodes(found))
            if not new:
                break
            looked |= new
            accounts = list(self._answers(new))
            room -= len(accounts)
            if room < 0:
                raise Overfull
            found += accounts
        return found

    def _nodes(self, ids: Iterable[bytes]) -> Iterator[Node]:
        return (node for each in ids for node in self._by_id.get(each, ()))

    def _answers(self, names: Iterable[str]) -> Iterable[bytes]:
        for name in names:
            if name in self._crowded:
                raise Overfull
            yield from self._answering.get(name, ())


_NOTHING: Final[frozenset[bytes]] = frozenset()
_NO_ACTION: Final[frozenset[str]] = frozenset()


__all__ = ["Extent", "Overfull", "Pool"]
