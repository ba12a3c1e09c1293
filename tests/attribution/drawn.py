"""Random ledgers for the oracle, by Hypothesis: each as records for a store and, apart from that, as plain facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from hypothesis import strategies as st

from ledger.format.content import Person as Named
from ledger.format.content import encode_content, person_content
from ledger.format.event import Cause
from ledger.ports import Record
from ledger.schema_files import load_schemas
from tests.attribution.oracle import LEADING, Cite, Fact, Person
from tests.services.forge import EMPTY, START, Forge, Made, blank

SERVICES = ("one", "two")
PEOPLE = {
    "alice": Person("named", "alice"),
    "alias": Person("named", "alice"),  # the same, under another digest
    "bob": Person("named", "bob"),
    "gone": Person("erased", "gone"),
    "lost": Person("unresolved", "lost"),
}
KINDS = (
    "human",
    "human",
    "human",
    "agent",
    "schedule",
    "handoff",
    "step",
    "step",
    "step",
    "action",
    "action",
    "action",
)
RELATIONS = (*sorted(LEADING), *sorted(LEADING), "started_by", "informed_by", "retries", "result_of")
MILLISECOND = 1000
PLAIN, ODD = 0, 1
"""Partitions of the log: a chain that repeats no event is in the one, any other and all erasures in the other."""


class Drawn(NamedTuple):
    """One event as drawn. ``cites`` are (back, how, relation): so many events back (none: a later one, or nothing at all)."""

    kind: str
    service: str
    tenant: int
    who: str | None
    run: int | None
    cites: tuple[tuple[int, str, str], ...]
    twin: bool
    copied: bool
    erased: bool
    waits: int


_CITE = st.tuples(
    st.integers(1, 8),
    st.sampled_from(["digest"] * 5 + ["id"] * 3 + ["other", "ahead", "nothing"]),
    st.sampled_from(RELATIONS),
)
_rarely = st.sampled_from([False] * 11 + [True])
_EVENT = st.builds(
    Drawn,
    kind=st.sampled_from(KINDS),
    service=st.sampled_from(SERVICES),
    tenant=st.sampled_from([0, 0, 0, 0, 1]),
    who=st.sampled_from([None, "alice", "alice", "alias", "bob", "bob", "gone", "lost"]),
    run=st.sampled_from([None, None, 0, 1]),
    cites=st.lists(_CITE, max_size=3).map(tuple),
    twin=_rarely,
    copied=_rarely,
    erased=_rarely,
    waits=st.integers(0, 30),
)
SMALL = st.lists(_EVENT, min_size=4, max_size=24)
"""Mostly of six events or so: there are not many more in what went wrong so far."""
LARGE = st.lists(_EVENT, min_size=14, max_size=24)


@dataclass
class World:
    """A ledger: the records in the order in which the log took them, and what is told by them, by tenant."""

    name: str
    events: Sequence[Drawn]
    forges: dict[tuple[int, str], Forge] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    arrived: dict[bytes, int] = field(default_factory=dict)
    """By digest of an event: when the log first took it."""

    def __post_init__(self) -> None:
        self.ids: list[bytes] = []
        for number in range(len(self.events)):
            self.ids.append(self._id(number))
        for number, drawn in enumerate(self.events):
            self._make(number, drawn)

    def tenant(self, number: int) -> str:
        return f"{self.name}-{number}"

    def of(self, tenant: int, until: int | None = None) -> list[Fact]:
        """What one tenant's part of the log told by a time."""
        return [
            fact
            for fact, drawn in zip(self.facts, self.events, strict=True)
            if drawn.tenant == tenant and (until is None or self.arrived[fact.digest] <= until)
        ]

    def _id(self, number: int) -> bytes:
        twins = [each for each in range(number) if self.events[each].tenant == self.events[number].tenant]
        if self.events[number].twin and twins:
            return self.ids[twins[-1]]
        return (START // 1000 + number).to_bytes(6, "big") + b"\x70\x00\x80" + self._hash(f"id/{number}")[:7]

    def _hash(self, word: str) -> bytes:
        return sha256(f"{self.name}/{word}".encode()).digest()

    def person(self, who: str, tenant: int) -> tuple[bytes, bytes]:
        """The record that names somebody, and its digest."""
        named = Named(issuer="idp", subject=PEOPLE[who].identity, name=who)
        return encode_content(
            load_schemas(), person_content(self.tenant(tenant), sha256(who.encode()).digest()[:16], named)
        )

    def _make(self, number: int, drawn: Drawn) -> None:
        key = drawn.tenant, drawn.service
        if key not in self.forges:
            self.forges[key] = Forge(name=drawn.service, service=drawn.service, tenant=self.tenant(drawn.tenant))
        forge = self.forges[key]
        cites: dict[bytes, Cite] = {}
        for back, how, relation in drawn.cites:
            if (cite := self._cite(number, back, how, relation)) is not None:
                cites.setdefault(cite.id, cite)
        forge.now = START + number * MILLISECOND
        made = forge.make(
            *_payload(drawn.kind, number),
            causes=[Cause(*each) for each in cites.values()],
            event_id=self.ids[number],
            principal=self.person(drawn.who, drawn.tenant)[1] if drawn.who else None,
            execution_id=self._hash(f"run/{drawn.run}")[:16] if drawn.run is not None else None,
        )
        self.made.append(made)
        at = made.header.occurred_at
        self.facts.append(
            Fact(
                self.ids[number], made.digest, drawn.kind, at, drawn.who, drawn.run, tuple(cites.values()), drawn.erased
            )
        )

    def _cite(self, number: int, back: int, how: str, relation: str) -> Cite | None:
        if how == "nothing":
            return Cite(self._nothing(number, back), None, relation)
        if how == "ahead":
            return Cite(self.ids[number + back - 1], None, relation) if number + back - 1 < len(self.ids) else None
        if number < back:
            return None
        digest = {"id": None, "digest": self.made[number - back].digest, "other": self._hash("other")}[how]
        return Cite(self.ids[number - back], digest, relation)

    def _nothing(self, number: int, back: int) -> bytes:
        return (START // 1000).to_bytes(6, "big") + b"\x70\x00\x80" + self._hash(f"nothing/{number}/{back}")[:7]

    def records(self, append_time: int) -> list[Record]:
        """Chains in their order, otherwise in any: an effect may come long before its cause. Some events come in two seals."""
        queues: dict[tuple[int, str], list[tuple[int, Made]]] = {}
        for number, (drawn, made) in enumerate(zip(self.events, self.made, strict=True)):
            queue = queues.setdefault((drawn.tenant, drawn.service), [])
            queue += [(number + drawn.waits, made)] * (2 if drawn.copied else 1)
        repeating = {(drawn.tenant, drawn.service) for drawn in self.events if drawn.copied}
        records = []
        while any(queues.values()):
            key = min((key for key, queue in queues.items() if queue), key=lambda each: (queues[each][0][0], each))
            _, made = queues[key].pop(0)
            append_time += MILLISECOND
            forge = self.forges[key]
            forge.now = append_time
            partition = ODD if key in repeating else PLAIN
            records.append(forge.record(forge.seal(made), append_time=append_time, partition=partition))
            self.arrived.setdefault(made.digest, append_time)
        return [*records, *self._erasures(append_time)]

    def _erasures(self, append_time: int) -> list[Record]:
        records = []
        for tenant in {drawn.tenant for drawn in self.events}:
            events = [fact.digest for fact in self.of(tenant) if fact.erased]
            forge = Forge(name="eraser", service="eraser", tenant=self.tenant(tenant), now=append_time)
            payload = {**EMPTY["content_erasure"], "events": events, "contents": [self.person("gone", tenant)[1]]}
            sealed = forge.seal(forge.make("content_erasure", payload))
            records.append(forge.record(sealed, append_time=append_time + MILLISECOND, partition=ODD))
        return records


def _payload(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    match kind:
        case "handoff":
            return "handoff", {**blank("handoff"), "direction": "received"}
        case "step":
            return "reasoning_step", blank("reasoning_step")
        case "action":
            return "api_action", {**blank("api_action"), "action_id": f"a-{number}"}
    return "prompt", {**EMPTY["prompt"], "trigger_kind": kind}
