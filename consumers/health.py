"""What a worker says about itself: figures for Prometheus, and a snapshot for ``doctor`` and health checks."""

from __future__ import annotations

import math
import time
from collections import Counter as Counts
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from ledger.ports import Tally
from ledger.trust.reasons import REASONS

State = Literal["starting", "running", "waiting", "stopped", "decision needed"]
"""``waiting``: for the store or the log. ``decision needed``: the worker ends, and a person has to act."""
STATES: Final[tuple[State, ...]] = get_args(State)
SLOW_SECONDS: Final = 7.0
"""A turn of a worker's loop that takes longer waits for something: joining a group takes five seconds at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A worker at one moment. Times are µs UTC; ``lag_seconds`` is by the append time of the last record done.

    ``detail`` says why it is in this state; ``duties`` what fails beside the stream (trust, erasures, statistics), if anything.
    """

    state: State = "starting"
    detail: str = ""
    duties: str = ""
    partitions: tuple[int, ...] = ()
    lag_records: int = 0
    lag_seconds: float = 0.0
    records: int = 0
    events: int = 0
    quarantined: int = 0
    committed_at: int | None = None


class Health:
    """Counts what a worker does. ``snapshot`` is replaced whole, so any thread may read it.

    Every figure is ``answerable_worker_…`` with the label ``worker``, so that one query shows all kinds of workers.
    """

    def __init__(self, worker: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._snapshot = Snapshot()
        self._turned = math.inf
        self.rejected: Counts[str] = Counts()
        self._worker = worker
        self._records = self._counter("records", "Records committed").labels(worker)
        self._events = self._counter("events", "Events materialized; of a sentinel, judged").labels(worker)
        self._copies = self._counter("copies", "Records whose seal was there before").labels(worker)
        self._rejected = self._counter("rejected", "Records and events refused", "reason")
        self._findings = self._counter("findings", "Findings opened", "name")
        self._quarantined = self._counter("quarantined", "Records set aside").labels(worker)
        self._failures = self._counter("failures", "Attempts that failed and were made again").labels(worker)
        self._state = self._gauge("state", "1 for what the worker does now", "state")
        self._duties = self._gauge("duties_failing", "1 while a duty beside the stream fails").labels(worker)
        self._lag_records = self._gauge("lag_records", "Records in the log not committed").labels(worker)
        lag = "Age of the last record done, while there are more"
        self._lag_seconds = self._gauge("lag_seconds", lag).labels(worker)
        commit = "When the last commit was made, since 1970"
        self._committed = self._gauge("last_commit_timestamp_seconds", commit).labels(worker)
        self._overdue: Gauge | None = None
        self._contradictions: Gauge | None = None
        for each in STATES:
            self._state.labels(worker, each.replace(" ", "_")).set_function(partial(self._is, each))
        for reason in REASONS.values():  # at 0 before the first: a series that is born at 1 never increased
            if reason.refuses:
                self._rejected.labels(worker, reason.name)
            elif reason.scope != "read":
                self._findings.labels(worker, reason.name)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"answerable_worker_{name}", meaning, ["worker", *labels], registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"answerable_worker_{name}", meaning, ["worker", *labels], registry=self.registry)

    @property
    def snapshot(self) -> Snapshot:
        """What the worker says now. A turn that lasts longer than ``SLOW_SECONDS`` is waiting, whatever the worker hangs in."""
        told, lasts = self._snapshot, time.monotonic() - self._turned
        if told.state not in ("starting", "running") or lasts < SLOW_SECONDS:
            return told
        return replace(
            told, state="waiting", detail=f"a step has lasted for {lasts:.0f} s: the store or the log has not answered"
        )

    def turn(self) -> float:
        """The worker's loop begins anew; returns how long its last turn took, in seconds."""
        before, self._turned = self._turned, time.monotonic()
        return max(0.0, self._turned - before)

    def state(self, state: State, detail: str = "") -> None:
        """What the worker does now, and why."""
        self._snapshot = replace(self._snapshot, state=state, detail=detail)

    def _is(self, state: State) -> float:
        return float(self.snapshot.state == state)

    def holds(self, partitions: Iterable[int]) -> None:
        """The partitions that the worker reads now."""
        self._snapshot = replace(self._snapshot, partitions=tuple(sorted(partitions)))

    def done(self, tally: Tally, now: int) -> None:
        """One commit."""
        self._records.inc(tally.records)
        self._events.inc(tally.events)
        self._copies.inc(tally.copies)
        for reason, count in tally.rejected.items():
            self._rejected.labels(self._worker, reason).inc(count)
            self.rejected[reason] += count
        for found in tally.opened:
            self._findings.labels(self._worker, found.name).inc()
        self._committed.set(now / 1e6)
        before = self._snapshot
        self._snapshot = replace(
            before, records=before.records + tally.records, events=before.events + tally.events, committed_at=now
        )

    def lag(self, records: int, seconds: float) -> None:
        self._lag_records.set(records)
        self._lag_seconds.set(seconds)
        self._snapshot = replace(self._snapshot, lag_records=records, lag_seconds=seconds)

    def failed(self, detail: str) -> None:
        """An attempt that will be made again."""
        self._failures.inc()
        self.state("waiting", detail)

    def duties(self, detail: str) -> None:
        """What fails beside the stream; empty where nothing does."""
        self._duties.set(bool(detail))
        self._snapshot = replace(self._snapshot, duties=detail)

    def overdue(self, chains: int) -> None:
        """How many chains promised a seal and did not keep it. A worker that does not look has no such figure."""
        if self._overdue is None:
            meaning = "Chains whose promised seal did not come"
            self._overdue = Gauge("answerable_chains_overdue", meaning, registry=self.registry)
        self._overdue.set(chains)

    def contradictions(self, counts: Mapping[str, int]) -> None:
        """How many contradictions are open, by severity. A worker that does not look has no such figure."""
        if self._contradictions is None:
            meaning = "Contradictions that nothing has closed"
            self._contradictions = Gauge(
                "answerable_contradictions_open", meaning, ["severity"], registry=self.registry
            )
        for severity, count in counts.items():
            self._contradictions.labels(severity).set(count)

    def quarantine(self) -> None:
        self._quarantined.inc()
        self._snapshot = replace(self._snapshot, quarantined=self._snapshot.quarantined + 1)
