"""What a verification says: apart what is wrong with what is there, what is missing, what to note, and what nobody can know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from ledger.format.batch import Chain
from ledger.format.heads import KnownHead
from ledger.trust.reasons import REASONS

Group = Literal["integrity", "completeness", "note"]

LISTED: Final = 1000
"""Faults of one name that are listed; all are counted."""

COMPLETENESS: Final = frozenset({"gap", "lost_to_retention", "overdue", "truncated", "missing_chain"})
NOTES: Final = frozenset({"late", "clock_skew"})
"""Times that prove nothing by themselves. The events are as they were signed, and all there."""


def group_of(name: str) -> Group:
    """Where a name of ``ledger.trust.reasons`` belongs."""
    if name in NOTES:
        return "note"
    return "completeness" if name in COMPLETENESS else "integrity"


class NamedEvent(NamedTuple):
    """An event at fault, by the digest under which it is known elsewhere where that is known; ``event_id`` where legible."""

    event_id: bytes | None
    digest: bytes


class Fault(NamedTuple):
    """One thing, with where it is. ``name`` as in ``ledger.trust.reasons``.

    ``chain`` of a refused record is what it claims, unverified; where it claims nothing legible, ``chain_id`` is the record's
    key and seal and sequences are ``inferred``: what its neighbours leave for it. ``seal`` to ``until``, ``first`` to ``last``
    (sequences) are inclusive; of ``lost_to_retention`` ``offset`` is the first lost and ``until`` the last.
    """

    name: str
    detail: str
    chain: Chain | None = None
    chain_id: bytes | None = None
    partition: int | None = None
    offset: int | None = None
    append_time: int | None = None
    seal: int | None = None
    until: int | None = None
    first: int | None = None
    last: int | None = None
    inferred: bool = False
    events: tuple[NamedEvent, ...] = ()

    @property
    def group(self) -> Group:
        return group_of(self.name)


class Unknown(NamedTuple):
    """Something that this verification cannot tell. ``number``: of how many chains, events or offsets, where that is known."""

    name: str
    detail: str
    number: int | None = None


class ChainResult(NamedTuple):
    """One chain. ``intervals``: (first, last) numbers of consecutive verified seals; ``counted``: findings by name."""

    chain: Chain
    seals: int
    events: int
    intervals: tuple[tuple[int, int], ...]
    closed: bool
    counted: Mapping[str, int]
    verified_up_to: int


class Report(NamedTuple):
    """A whole verification. ``faults`` lists up to ``LISTED`` of a name; ``counts`` has all of them. ``at``: the time as of
    which promises were judged; ``due``: until when open chains promised their next seal; ``heads``: where the chains end that
    were verified, both ends of a forked one.
    """

    records: int
    events: int
    at: int
    faults: Sequence[Fault]
    counts: Mapping[str, int]
    chains: Sequence[ChainResult]
    due: Sequence[int]
    heads: Sequence[KnownHead]
    unknown: Sequence[Unknown]

    @property
    def holds(self) -> bool:
        """Whether the evidence shows neither a fault of integrity nor one of completeness. Notes do not count."""
        return not self.faults_of("integrity", "completeness")

    def overdue(self, now: int) -> int:
        """How many chains would be overdue if they were judged as of ``now``."""
        return sum(until < now for until in self.due)

    def of(self, group: Group) -> list[Fault]:
        """The faults listed in a group."""
        return [fault for fault in self.faults if fault.group == group]

    def faults_of(self, *groups: Group) -> int:
        """How many there are in these groups, listed or not."""
        return sum(count for name, count in self.counts.items() if group_of(name) in groups)


class Tally:
    """Faults as they come: all are counted, of each name the first ``LISTED`` kept."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._listed: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.count(fault.name, 1)
        if self.counts[fault.name] <= LISTED:
            self._listed.append(fault)

    def count(self, name: str, more: int) -> None:
        """Counts without listing."""
        self.counts[name] += more

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._listed)


def meaning(name: str) -> str:
    """What a name means, in a few words."""
    return REASONS[name].meaning
