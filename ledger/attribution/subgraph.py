"""What is fetched from the store to answer one question: events near the one asked about, the people they name, the chains.

Values only. ``Index`` finds events by id and by the names that they answer to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ledger.attribution.joins import names_of, statement_names
from ledger.format.content import Person
from ledger.format.event import AUTHORIZED_BY, COMPENSATES, EventHeader
from ledger.format.kinds import KINDS, Kind, from_avro

if TYPE_CHECKING:
    from ledger.attribution.answer import Party


class Ref(NamedTuple):
    """One event: two events may share an id."""

    event_id: bytes
    digest: bytes


class Typed:
    """A payload as the class of its kind, made when it is first asked for: to make it costs as much as to read the payload, and
    of most events in a long lineage nobody asks. Equal where the payloads are."""

    __slots__ = ("_datum", "_kind", "fact")

    fact: Kind

    def __init__(self, kind: str, datum: Mapping[str, Any]) -> None:
        self._kind = kind
        self._datum = datum

    def __getattr__(self, name: str) -> Kind:
        """``fact``, the first time."""
        if name != "fact":
            raise AttributeError(name)
        made = self.fact = from_avro(self._kind, self._datum)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Typed) and (self._kind, self._datum) == (other._kind, other._datum)

    __hash__ = None  # type: ignore[assignment]  # as of the payload


def typed(kind: str, payload: Mapping[str, Any] | None) -> Typed | None:
    """A payload of ``kind``; None where it is not there, or of a kind that is not known here."""
    return Typed(kind, payload) if payload is not None and kind in KINDS else None


class Node(NamedTuple):
    """A materialized event. Times are µs UTC; ``sequence`` and ``number`` are those of one sighting in its chain.

    ``payload`` and ``fact`` (the same, typed) are None where the payload was erased or its schema is unknown here.
    ``effective`` is False where the key may not state this kind: such an event has no effect on any answer.
    """

    ref: Ref
    header: EventHeader
    payload: Mapping[str, Any] | None
    typed: Typed | None
    service: str
    key_id: str
    chain_id: bytes
    importer: bool
    effective: bool
    number: int
    sequence: int
    sealed_at: int
    append_time: int
    sightings: int = 1
    findings: tuple[str, ...] = ()

    @property
    def event_id(self) -> bytes:
        return self.ref.event_id

    @property
    def digest(self) -> bytes:
        return self.ref.digest

    @property
    def kind(self) -> str:
        return self.header.kind

    @property
    def fact(self) -> Kind | None:
        held = self.typed
        return None if held is None else held.fact

    @property
    def at(self) -> int:
        return self.header.occurred_at

    @property
    def author(self) -> tuple[str, str]:
        """Whose word it is: service and key."""
        return self.service, self.key_id


class KnownPerson(NamedTuple):
    """What is known of a person's digest. ``state``: named, erased, unresolved or, as of a time, erased_since; ``person`` only
    where named."""

    digest: bytes
    state: str
    person: Person | None = None


class ChainCoverage(NamedTuple):
    """How far a chain is known: every sequence below ``verified_up_to`` is there (None: not even its first seal).

    ``silent_since`` is when the next seal was due and did not come; ``findings`` names what is open on the chain.
    """

    service: str
    key_id: str
    chain_id: bytes
    verified_up_to: int | None
    last_append: int | None
    silent_since: int | None
    closed: bool
    findings: tuple[str, ...] = ()


class Refusal(NamedTuple):
    """An event that came and was refused."""

    event_id: bytes
    reason: str
    detail: str


class Limits(NamedTuple):
    """Bounds of one question: events fetched, links walked in a row, answers looked at for one join, the nearest by id before
    the event that follows it, and as many after."""

    nodes: int = 1000
    depth: int = 256
    candidates: int = 16

    @property
    def beside(self) -> int:
        """How much of what stands beside events is looked at for one name, on either side of the event asked about."""
        return SURROUNDING * self.candidates

    def uses(self, allowed: int | None) -> int:
        """How many uses of an approval are looked at: as many as it allows, where that is more."""
        return max(self.beside, min(allowed or 0, self.nodes))

    @property
    def answers(self) -> int:
        """How much answers at the most to a name of an account of a use, on both sides of the event asked about."""
        return 2 * (self.candidates + 2)

    @property
    def accounts(self) -> int:
        """How many accounts of the uses of approvals are looked at in all."""
        return SURROUNDING * self.nodes


SURROUNDING: Final = 4
"""Times the candidates of a join: so many registrations of an agent, or uses of an approval, before and after the event asked
about are read. And times the events fetched: so many accounts of those uses."""

DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """Everything that one answer is made from. ``cut`` are ids that a limit kept from being fetched; ``archived`` those whose
    events were moved out of the store; ``nearby`` are events fetched for themselves alone: their causes were not asked for. Nor
    were anybody's where it was not asked ``upwards``: a cause that is not there is not missing then. ``crowded`` are names of
    uses of approvals, or of accounts of these, to which more may answer than was fetched."""

    asked: bytes
    nodes: Sequence[Node]
    persons: Mapping[bytes, KnownPerson] = field(default_factory=dict)
    refused: Mapping[bytes, Refusal] = field(default_factory=dict)
    archived: frozenset[bytes] = frozenset()
    nearby: frozenset[Ref] = frozenset()
    upwards: bool = True
    cut: frozenset[bytes] = frozenset()
    crowded: frozenset[str] = frozenset()
    chains: Sequence[ChainCoverage] = ()
    limits: Limits = DEFAULT_LIMITS
    as_of: int | None = None


def rights_cited(node: Node) -> list[bytes]:
    """The ids of what an action states as having authorized it."""
    if node.kind != "api_action" or not node.effective:
        return []
    return [cause.event_id for cause in node.header.causes if cause.relation == AUTHORIZED_BY]


def undone_by(node: Node) -> list[bytes]:
    """The ids of what an action states that it takes back."""
    if node.header.kind != "api_action" or not node.effective:
        return []
    return [cause.event_id for cause in node.header.causes if cause.relation == COMPENSATES]


def _states(node: Node, right: Node) -> bool:
    return any(
        cause.event_id == right.event_id and cause.relation == AUTHORIZED_BY and cause.digest in (None, right.digest)
        for cause in node.header.causes
    )


_id_of: Final = attrgetter("ref.event_id")


_in_time: Final = attrgetter("header.occurred_at", "ref")


_PERSON: Final = "principal:"
Named = tuple[list[str], list[str]]
"""The names that an event answers to, and those that it follows."""


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
