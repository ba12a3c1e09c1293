"""Events fetched together for many questions, and what each question would have fetched alone, read out of them.

An answer must not depend on which other questions were asked with it: so each one gets the subgraph that it would have had
by itself, and the events are decoded once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from ledger.attribution.joins import names_of
from ledger.attribution.subgraph import DEFAULT_LIMITS, KnownPerson, Limits, Named, Node, Ref, Subgraph
from ledger.format.kinds import ApiAction

SURROUNDING: Final = 4
"""Times the candidates of a join: so many registrations of an agent, or uses of an approval, before and after the event asked
about are read."""


class Overfull(Exception):
    """The question meets a limit, at which what was fetched for many is not what it would have fetched: it is asked alone."""


class Pool:
    """``nodes`` hold, for each event asked about, all that is above it, with what answers to the names that surround it.

    ``crowded`` are names to which more events answer than were fetched.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        persons: Mapping[bytes, KnownPerson],
        *,
        crowded: Collection[str] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._persons, self._crowded, self._limits = persons, crowded, limits
        self._by_id: dict[bytes, list[Node]] = {}
        self._answering: dict[str, list[bytes]] = {}
        self.names: dict[Ref, Named] = {}
        for node in nodes:
            self._by_id.setdefault(node.event_id, []).append(node)
            if node.effective:
                named = self.names[node.ref] = names_of(node.header, node.payload)
                for name in named[0]:
                    self._answering.setdefault(name, []).append(node.event_id)
        for answers in self._answering.values():
            answers[:] = sorted(dict.fromkeys(answers))
        self._next: dict[bytes, tuple[bytes, ...]] = {}

    def about(self, event_id: bytes, *, as_of: int | None = None) -> Subgraph:
        """What a question about an event is answered from; raises ``Overfull``. With ``as_of`` of what came by that append time.

        A name that more events answer to than are looked at is as crowded then as it is now.
        """
        walked = self._walk(event_id, as_of)
        above = [node for each in walked for node in self._seen(each, as_of)]
        met = {node.ref for node in above}
        around = {node.ref: node for each in self._around(event_id, above) for node in self._seen(each, as_of)}
        nearby = frozenset(around.keys() - met)
        nodes = (*above, *(around[ref] for ref in sorted(nearby)))
        if as_of is None and not above:
            raise KeyError(event_id)
        return Subgraph(
            asked=event_id, nodes=nodes, persons=self._persons, nearby=nearby, limits=self._limits, as_of=as_of
        )

    def _seen(self, event_id: bytes, as_of: int | None) -> list[Node]:
        nodes = self._by_id.get(event_id, [])
        return nodes if as_of is None else [node for node in nodes if node.append_time <= as_of]

    def _walk(self, event_id: bytes, as_of: int | None) -> list[bytes]:
        """Every id above an event, the nearest first."""
        walked, frontier = {event_id: None}, [event_id]
        while frontier:
            reached: list[bytes] = []
            for each in frontier:
                if as_of is None or self._seen(each, as_of):
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
            reached: dict[bytes, None] = {}
            for node in self._by_id.get(event_id, ()):
                if node.effective:
                    reached.update(dict.fromkeys(cause.event_id for cause in node.header.causes))
                    for name in self.names[node.ref][1]:
                        reached.update(dict.fromkeys(self._nearest(name, event_id)))
            found = self._next[event_id] = tuple(reached)
        return found

    def _nearest(self, name: str, event_id: bytes) -> list[bytes]:
        answers = self._answering.get(name, [])
        bound = self._limits.candidates + 1
        if len(answers) <= bound:
            return answers
        place = bisect_right(answers, event_id)
        return answers[max(place - bound, 0) : place + bound]

    def _around(self, event_id: bytes, nodes: Sequence[Node]) -> Iterable[bytes]:
        for name in dict.fromkeys(surrounding(nodes, {event_id})):
            if name in self._crowded:
                raise Overfull
            yield from self._answering.get(name, ())


def surrounding(nodes: Iterable[Node], asked: Collection[bytes]) -> list[str]:
    """The names of what is looked at beside events: registrations of the agents that they name, other uses of an approval, starts
    and ends of their runs; and what else was done under the idempotency keys of the actions asked about."""
    names: list[str] = []
    known = list(nodes)
    actions = {node.fact.action_id for node in known if node.event_id in asked and isinstance(node.fact, ApiAction)}
    for node in known:
        if node.header.execution_id is not None:
            names.append(f"run_state:{node.header.execution_id.hex()}")
        if isinstance(node.fact, ApiAction) and node.fact.action_id in actions:
            names += [each for each in names_of(node.header, node.payload)[0] if each.startswith("idempotency:")]
        if node.header.agent_id is not None:
            names.append(f"agent:{node.header.agent_id}")
        payload = node.payload
        if payload is not None and node.kind == "token_issuance" and payload["act"] is not None:
            for actor in payload["act"]["chain"]:
                if actor["sub"] is not None:
                    names += [f"agent:{actor['sub']}", f"agent:{actor['iss']}#{actor['sub']}"]
        if payload is not None and node.kind == "oversight":
            names.append(f"oversight_use:{payload['oversight_id']}")
    return names


__all__ = ["SURROUNDING", "Overfull", "Pool", "surrounding"]
