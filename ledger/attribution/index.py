"""Events of a subgraph found by id, and by the names that they answer to."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from ledger.attribution.joins import names_of, statement_names
from ledger.attribution.subgraph import KnownPerson, Node, Ref, Subgraph, rights_cited
from ledger.format.event import AUTHORIZED_BY

if TYPE_CHECKING:
    from ledger.attribution.answer import Party


_PERSON: Final = "principal:"
Named = tuple[list[str], list[str]]
"""The names that an event answers to, and those that it follows."""
_id_of: Final = attrgetter("ref.event_id")
_in_time: Final = attrgetter("header.occurred_at", "ref")


class Index:
    """Events of a subgraph by id and by the names that they answer to. Ineffective events answer to nothing.

    ``named`` holds the names of events that were read before. What was found out about an event by itself, or about a person,
    the parts of one whole share.
    """

    def __init__(self, graph: Subgraph, named: Mapping[Ref, Named] | None = None) -> None:
        self.graph = graph
        self.by_id: dict[bytes, list[Node]] = {}
        self.answering = defaultdict[str, list[Node]](list)
        self.named: dict[Ref, Named] = {}
        self.parties: dict[bytes, Party] = {}
        self.marks: dict[Ref, int] = {}
        self._is_part = False
        self._unknown: dict[bytes, tuple[bytes, ...]] | None = None
        self._places: dict[bytes, int] | None = None
        self._by_id: dict[tuple[str, str | None], list[Node]] = {}
        self._relying: dict[bytes, list[Node]] | None = None
        self._unresolved: tuple[bytes, ...] | None = None
        for node in sorted(graph.nodes, key=_in_time):
            self.by_id.setdefault(node.event_id, []).append(node)
            if not node.effective:
                continue
            known = named.get(node.ref) if named is not None else None
            own = self.named[node.ref] = known or names_of(node.header, node.payload)
            for name in dict.fromkeys(own[0]):
                self.answering[name].append(node)

    def part(self, graph: Subgraph, ids: Iterable[bytes]) -> Index:
        """The index of ``graph``, all events of some ids, whose names are not put in order again."""
        self._unknown_of()
        if self._places is None:
            self._places = {event_id: place for place, event_id in enumerate(self.by_id)}
        part = Index.__new__(Index)  # as copy.copy, which costs five times as much
        vars(part).update(vars(self))
        part.graph = graph
        part.by_id = {each: self.by_id[each] for each in sorted(ids, key=self._places.__getitem__)}
        part._is_part = True
        part._by_id = {}
        part._unresolved = None
        part._relying = None
        return part

    def follows(self, node: Node) -> list[str]:
        """The names that an event follows, and those of what it cites as its authority: there may be more statements of it."""
        if node.ref not in self.named:
            return []
        own = self.named[node.ref][1]
        cited = [
            name
            for cause in node.header.causes
            if cause.relation == AUTHORIZED_BY
            for each in self.by_id.get(cause.event_id, ())
            if each.effective and cause.digest in (None, each.digest)
            for name in statement_names(each.kind, each.payload)
        ]
        return list(dict.fromkeys([*cited, *own])) if cited else own

    @property
    def unresolved(self) -> tuple[bytes, ...]:
        """Of whom nothing is known: the digests that any event names a person by, and that have no content which verifies."""
        if self._unresolved is None:
            unknown = self._unknown_of()
            self._unresolved = tuple(sorted({each for event_id in self.by_id for each in unknown.get(event_id, ())}))
        return self._unresolved

    def _unknown_of(self) -> dict[bytes, tuple[bytes, ...]]:
        """By event, the digests of the people whom it names and of whom nothing is known."""
        if self._unknown is None:
            persons, self._unknown = self.graph.persons, {}
            for ref, (names, _) in self.named.items():
                people = [bytes.fromhex(name[len(_PERSON) :]) for name in names if name.startswith(_PERSON)]
                unknown = [each for each in people if each not in persons or persons[each].state == "unresolved"]
                if unknown:
                    self._unknown[ref.event_id] = (*self._unknown.get(ref.event_id, ()), *unknown)
        return self._unknown

    def answers(self, name: str) -> Sequence[Node]:
        """The effective events that answer to ``name``, in order of time."""
        found = self.answering.get(name, ())
        if not self._is_part or not found:
            return found
        if len(found) <= len(self.by_id):
            return [node for node in found if node.ref.event_id in self.by_id]
        nodes = (node for nodes in self.by_id.values() for node in nodes if node.effective)
        return sorted((node for node in nodes if name in self.named[node.ref][0]), key=_in_time)

    def answer_to(self, name: str, kind: str) -> list[Node]:
        """The effective events of ``kind`` that answer to ``name``, in order of time."""
        return [node for node in self.answers(name) if node.kind == kind]

    def relying_on(self, right: Node) -> list[Node]:
        """The actions that state an event as what authorized them, in order of time."""
        if self._relying is None:
            self._relying = {}
            for nodes in self.by_id.values():
                for node in nodes:
                    for cited in rights_cited(node):
                        self._relying.setdefault(cited, []).append(node)
        found = self._relying.get(right.event_id, ())
        return sorted((node for node in found if _states(node, right)), key=_in_time)

    def near(self, name: str, node: Node, kind: str | None = None) -> list[Node]:
        """Of the events (of ``kind``) that answer to ``name`` those nearest to ``node`` by id, and one more than are looked at on
        each side, in order of time: a name that thousands answer to must not join each to each."""
        answers = list(self.answers(name)) if kind is None else self.answer_to(name, kind)
        bound = self.graph.limits.candidates + 1
        if len(answers) <= bound:
            return answers
        by_id = self._in_order_of_id(name, kind)
        place = bisect_right(by_id, node.event_id, key=_id_of)
        kept = by_id[max(place - bound, 0) : place + bound]
        return sorted(kept, key=_in_time)

    def has_more(self, node: Node) -> bool:
        """Whether more events answer to a name that ``node`` follows than are looked at, before its id or after it."""
        most = self.graph.limits.candidates
        for name in self.follows(node):
            if len(self.answers(name)) > most:
                by_id = self._in_order_of_id(name)
                place = bisect_right(by_id, node.event_id, key=_id_of)
                if place > most or len(by_id) - place > most:
                    return True
        return False

    def _in_order_of_id(self, name: str, kind: str | None = None) -> list[Node]:
        if (name, kind) not in self._by_id:
            answers = self.answers(name)
            self._by_id[name, kind] = sorted((each for each in answers if kind in (None, each.kind)), key=_id_of)
        return self._by_id[name, kind]

    def person(self, digest: bytes | None) -> KnownPerson | None:
        """Who stands behind a digest; unresolved where nothing is known; None for no digest."""
        if digest is None:
            return None
        return self.graph.persons.get(digest) or KnownPerson(digest, "unresolved")


def _states(node: Node, right: Node) -> bool:
    return any(
        cause.event_id == right.event_id and cause.relation == AUTHORIZED_BY and cause.digest in (None, right.digest)
        for cause in node.header.causes
    )


__all__ = ["Index", "Named"]
