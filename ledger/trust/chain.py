"""The state of a chain: which seals are there, how they connect, and what is wrong, whatever the order they came in.

A chain is kept as numeric runs of seals; inside a run only its two ends are in memory. A seal that lands inside a run (a
second one of a number: a fork, or one seen before) needs its neighbours, which the caller fetches: see ``needs``. The
findings are a function of the *set* of seals; a step returns those that it opens and those that it closes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ledger.trust.verdict import VerifiedBatch


class Mark(NamedTuple):
    """What a chain needs to know of one admitted seal."""

    number: int
    digest: bytes
    previous: bytes
    first_sequence: int
    event_count: int
    sealed_at: int
    closes: bool

    @property
    def next_sequence(self) -> int:
        return self.first_sequence + self.event_count


class Run(NamedTuple):
    """Consecutive numbers that are all present. ``first`` and ``last`` hold the seals of its ends: several where forked."""

    first: frozenset[Mark]
    last: frozenset[Mark]

    @property
    def start(self) -> int:
        return next(iter(self.first)).number

    @property
    def stop(self) -> int:
        return next(iter(self.last)).number


class ChainFinding(NamedTuple):
    """``name`` as in ``ledger.trust.reasons``. ``number``: the seal, or the first missing one of a gap, whose last is ``until``.

    ``digest`` names the seal where the number alone does not.
    """

    name: str
    number: int
    until: int
    digest: bytes | None


class ChainState(NamedTuple):
    """``runs`` in the order of their numbers; ``closed_at`` is the lowest number of a closing seal."""

    runs: tuple[Run, ...] = ()
    closed_at: int | None = None

    @property
    def last_number(self) -> int:
        """The highest number admitted; -1 while there is none."""
        return self.runs[-1].stop if self.runs else -1


class Step(NamedTuple):
    """The state after a seal. ``known``: the same seal was there before, and nothing changed."""

    state: ChainState
    opened: frozenset[ChainFinding]
    closed: frozenset[ChainFinding]
    known: bool


Near = Mapping[int, frozenset[Mark]]
"""Admitted seals by number."""


def mark_of(batch: VerifiedBatch) -> Mark:
    seal = batch.seal
    return Mark(
        seal.seal_number,
        batch.seal_digest,
        seal.previous_seal,
        seal.first_sequence,
        seal.event_count,
        seal.sealed_at,
        batch.closes,
    )


def needs(state: ChainState, number: int) -> range:
    """The numbers whose seals ``advance`` must be given in ``near``; empty where the state itself holds all it takes."""
    run = _run_at(state, number)
    return range(max(0, number - 1), number + 2) if run is not None else range(0)


def advance(state: ChainState, mark: Mark, near: Near | None = None) -> Step:
    """The chain with ``mark`` in it. ``near`` holds the seals of the numbers that ``needs`` asked for."""
    number = mark.number
    run = _run_at(state, number)
    around = _around(state, number) if run is None else dict(near or {})
    here = around.get(number, frozenset())
    if mark in here:
        return Step(state, frozenset(), frozenset(), known=True)
    gap = _gap_around(state.runs, number) if run is None else None
    before = _local(around, number) | _ends(state) | _gap(gap)
    around[number] = here | {mark}
    runs = _insert(state.runs, mark) if run is None else _contest(state.runs, run, around[number])
    after_state = ChainState(runs, _lowest(state.closed_at, number) if mark.closes else state.closed_at)
    after = _local(around, number) | _ends(after_state) | _gap(_below(gap, number)) | _gap(_above(gap, number))
    return Step(after_state, after - before, before - after, known=False)


def replay(marks: Iterable[Mark]) -> tuple[ChainState, frozenset[ChainFinding]]:
    """State and findings of a whole set of seals, in any order: what ``advance`` over them comes to."""
    by_number: dict[int, frozenset[Mark]] = {}
    for mark in marks:
        by_number[mark.number] = by_number.get(mark.number, frozenset()) | {mark}
    runs: list[Run] = []
    findings: set[ChainFinding] = set()
    for number in sorted(by_number):
        here = by_number[number]
        if runs and runs[-1].stop == number - 1:
            runs[-1] = Run(runs[-1].first, here)
        else:
            runs.append(Run(here, here))
        findings |= _fork(here) | _links(by_number.get(number - 1, frozenset()), here)
    closing = [mark.number for here in by_number.values() for mark in here if mark.closes]
    state = ChainState(tuple(runs), min(closing, default=None))
    stops = [-1] + [run.stop for run in runs]
    findings |= {
        ChainFinding("gap", stop + 1, run.start - 1, None)
        for stop, run in zip(stops, runs, strict=False)
        if run.start > stop + 1
    }
    return state, frozenset(findings | _ends(state))


def _run_at(state: ChainState, number: int) -> Run | None:
    at = bisect_right(state.runs, number, key=lambda run: run.start) - 1
    return state.runs[at] if at >= 0 and state.runs[at].stop >= number else None


def _around(state: ChainState, number: int) -> dict[int, frozenset[Mark]]:
    """The seals next to a number that is not there: ends of runs."""
    at = bisect_right(state.runs, number, key=lambda run: run.start)
    around: dict[int, frozenset[Mark]] = {}
    if at > 0 and state.runs[at - 1].stop == number - 1:
        around[number - 1] = state.runs[at - 1].last
    if at < len(state.runs) and state.runs[at].start == number + 1:
        around[number + 1] = state.runs[at].first
    return around


def _insert(runs: tuple[Run, ...], mark: Mark) -> tuple[Run, ...]:
    at = bisect_right(runs, mark.number, key=lambda run: run.start)
    here = frozenset({mark})
    first, last, low, high = here, here, at, at
    if at > 0 and runs[at - 1].stop == mark.number - 1:
        first, low = runs[at - 1].first, at - 1
    if at < len(runs) and runs[at].start == mark.number + 1:
        last, high = runs[at].last, at + 1
    return (*runs[:low], Run(first, last), *runs[high:])


def _contest(runs: tuple[Run, ...], run: Run, here: frozenset[Mark]) -> tuple[Run, ...]:
    number = next(iter(here)).number
    changed = Run(here if run.start == number else run.first, here if run.stop == number else run.last)
    return tuple(changed if each is run else each for each in runs)


def _local(around: Near, number: int) -> frozenset[ChainFinding]:
    """Forks at ``number`` and links into and out of it."""
    before, here, after = (around.get(each, frozenset()) for each in (number - 1, number, number + 1))
    return _fork(here) | _links(before, here) | _links(here, after)


def _fork(here: frozenset[Mark]) -> frozenset[ChainFinding]:
    if len(here) < 2:
        return frozenset()
    return frozenset(ChainFinding("fork", mark.number, mark.number, mark.digest) for mark in here)


def _links(before: frozenset[Mark], here: frozenset[Mark]) -> frozenset[ChainFinding]:
    """What is wrong between the seals of two consecutive numbers."""
    found: set[ChainFinding] = set()
    if not before:
        return frozenset()
    for mark in here:
        linked = [each for each in before if each.digest == mark.previous and each.next_sequence == mark.first_sequence]
        if not linked:
            found.add(ChainFinding("broken_link", mark.number, mark.number, mark.digest))
        elif any(each.sealed_at > mark.sealed_at for each in linked):
            found.add(ChainFinding("clock_skew", mark.number, mark.number, mark.digest))
    return frozenset(found)


def _ends(state: ChainState) -> frozenset[ChainFinding]:
    closed = state.closed_at
    if closed is None or state.last_number <= closed:
        return frozenset()
    return frozenset({ChainFinding("sealed_after_close", closed, closed, None)})


def _lowest(closed_at: int | None, number: int) -> int:
    return number if closed_at is None else min(closed_at, number)


Missing = tuple[int, int | None]
"""The numbers between two runs, both included; no end after the last run, where nothing is missing yet."""


def _gap_around(runs: tuple[Run, ...], number: int) -> Missing:
    at = bisect_right(runs, number, key=lambda run: run.start)
    return runs[at - 1].stop + 1 if at > 0 else 0, runs[at].start - 1 if at < len(runs) else None


def _below(gap: Missing | None, number: int) -> Missing | None:
    return None if gap is None else (gap[0], number - 1)


def _above(gap: Missing | None, number: int) -> Missing | None:
    return None if gap is None else (number + 1, gap[1])


def _gap(gap: Missing | None) -> frozenset[ChainFinding]:
    if gap is None or gap[1] is None or gap[0] > gap[1]:
        return frozenset()
    return frozenset({ChainFinding("gap", gap[0], gap[1], None)})
