"""Chains while a log is read, a few hundred bytes each. What a seal among others changes waits until its neighbours are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ledger.format.batch import Chain
from ledger.format.heads import KnownHead
from ledger.trust.chain import ChainFinding, ChainState, Mark, advance, mark_of, needs
from ledger.trust.verdict import VerifiedBatch
from ledger.verification.report import ChainResult, Fault, meaning


class Claim(NamedTuple):
    """That ``chain`` has a seal of this number and digest: an exported head, or what a successor's ``chain_open`` names.

    ``number`` is None where the successor names a chain that never sealed. ``by``: the successor.
    """

    chain: Chain
    number: int | None
    digest: bytes | None
    next_sequence: int
    by: Chain | None


class Held:
    """A chain while it is read.

    ``asked``: numbers whose seals are not all in ``state`` yet; ``seen``: digests admitted under the numbers of ``watched``.
    ``last_append`` and ``next_within`` are those of the seal with the highest number.
    """

    __slots__ = (
        "asked", "claims", "counted", "erased", "events", "findings", "last_append", "next_within", "seals", "seen", "state",
        "until", "watched",
    )  # fmt: skip

    def __init__(self, watched: frozenset[int] = frozenset()) -> None:
        self.state = ChainState()
        self.findings: frozenset[ChainFinding] = frozenset()
        self.counted: Counter[str] = Counter()
        self.claims: frozenset[Claim] = frozenset()
        self.asked: set[int] = set()
        self.watched = watched
        self.seen: dict[int, set[bytes]] = {}
        self.seals = self.events = self.erased = self.until = self.last_append = 0
        self.next_within: int | None = None

    def take(self, batch: VerifiedBatch) -> bool:
        """Moves the chain on; False where the seal lies among others, and is ``asked`` for: a copy, or a fork."""
        number = batch.seal.seal_number
        if number in self.watched:
            self.seen.setdefault(number, set()).add(batch.seal_digest)
        if needs(self.state, number):
            self.asked.add(number)
            return False
        if number > self.state.last_number:
            self.last_append, self.next_within = batch.append_time, batch.seal.next_within
        step = advance(self.state, mark_of(batch))
        self.state, self.findings = step.state, (self.findings | step.opened) - step.closed
        self.count(batch)
        return True

    def count(self, batch: VerifiedBatch) -> None:
        self.seals += 1
        self.events += len(batch.events)
        self.until = max(self.until, batch.append_time)

    def settle(self, near: Mapping[int, Sequence[Mark]]) -> None:
        """Takes in the seals asked for. ``near`` has all marks of those numbers and the ones beside them, the one that
        ``take`` took first.
        """
        known = {number: frozenset(marks[:1] if number in self.asked else marks) for number, marks in near.items()}
        for number in sorted(self.asked):
            for mark in near.get(number, ())[1:]:
                step = advance(self.state, mark, {n: known.get(n, frozenset()) for n in needs(self.state, number)})
                known[number] = known[number] | {mark}
                self.state, self.findings = step.state, (self.findings | step.opened) - step.closed

    @property
    def ends(self) -> Iterable[Mark]:
        """The seals of the highest number: several where the chain is forked there."""
        return sorted(self.state.runs[-1].last) if self.state.runs else ()

    @property
    def closed(self) -> bool:
        return self.state.closed_at is not None


def result_of(chain: Chain, held: Held) -> ChainResult:
    counted = held.counted + Counter(each.name for each in held.findings)
    intervals = tuple((run.start, run.stop) for run in held.state.runs)
    return ChainResult(chain, held.seals, held.events, intervals, held.closed, dict(counted), held.until)


def heads_of(chain: Chain, held: Held) -> Iterator[KnownHead]:
    for mark in held.ends:
        yield KnownHead(chain, mark.number, mark.digest, mark.next_sequence, mark.sealed_at)


def faults_of(chain: Chain, held: Held) -> Iterator[Fault]:
    """What is wrong with a chain as a whole."""
    for found in sorted(held.findings, key=lambda each: (each.number, each.name, each.digest or b"")):
        first, last = sequences_between(held.state, found.number) if found.name == "gap" else (None, None)
        yield Fault(
            found.name,
            meaning(found.name),
            chain=chain,
            chain_id=chain.chain_id,
            seal=found.number,
            until=found.until,
            first=first,
            last=last,
        )


def sequences_between(state: ChainState, number: int) -> tuple[int | None, int | None]:
    """First and last sequence of what is missing from ``number`` on; no last where nothing follows."""
    before = [run for run in state.runs if run.stop < number]
    after = [run for run in state.runs if run.start > number]
    first = min((mark.next_sequence for mark in before[-1].last), default=None) if before else 0
    last = max(mark.first_sequence for mark in after[0].first) - 1 if after else None
    return first, last


def first_missing(state: ChainState) -> tuple[int, int | None, int | None]:
    """Number, first and last sequence of the first seal that is missing between those there are, or after them."""
    number = 0
    for run in state.runs:
        if run.start > number:
            break
        number = run.stop + 1
    return (number, *sequences_between(state, number))
