"""What is fetched from the store to answer one question: events near the one asked about, the people they name, the chains.

Values only; ``ledger.attribution.index`` finds events among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ledger.format.content import Person
from ledger.format.event import AUTHORIZED_BY, COMPENSATES, EventHeader
from ledger.format.kinds import KINDS, Kind, from_avro


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
