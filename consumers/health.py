"""What a worker says about itself: figures for Prometheus, and a snapshot for ``doctor`` and health checks."""

from __future__ import annotations

from collections import Counter as Counts
from dataclasses import dataclass, replace
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from ledger.ports import Tally

STATES: Final = ("starting", "running", "waiting", "stopped", "decision needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A worker at one moment. Times are µs UTC; ``lag_seconds`` is by the append time of the last record done."""

    state: str = "starting"
    detail: str = ""
    partitions: tuple[int, ...] = ()
    lag_records: int = 0
    lag_seconds: float = 0.0
    records: int = 0
    events: int = 0
    quarantined: int = 0
    committed_at: int | None = None


class Health:
    """Counts what a worker does. ``snapshot`` is replaced whole, so any thread may read it."""

    def __init__(self, worker: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self.snapshot = Snapshot()
        self.rejected: Counts[str] = Counts()
        name = f"answerable_{worker}_"
        self._records = Counter(name + "records", "Records committed", registry=self.registry)
        self._events = Counter(name + "events", "Events materialized", registry=self.registry)
        self._copies = Counter(name + "copies", "Records whose seal was there before", registry=self.registry)
        self._rejected = Counter(name + "rejected", "Records and events refused", ["reason"], registry=self.registry)
        self._findings = Counter(name + "findings", "Findings opened", ["name"], registry=self.registry)
        self._quarantined = Counter(name + "quarantined", "Records set aside", registry=self.registry)
        self._failures = Counter(name + "failures", "Attempts that failed and were made again", registry=self.registry)
        self._state = Gauge(name + "state", "1 for what the worker does now", ["state"], registry=self.registry)
        self._lag_records = Gauge(name + "lag_records", "Records in the log not committed", registry=self.registry)
        self._lag_seconds = Gauge(
            name + "lag_seconds", "Age of the last record done, while there are more", registry=self.registry
        )
        self._show(self.snapshot.state)

    def state(self, state: str, detail: str = "", *, partitions: tuple[int, ...] | None = None) -> None:
        """What the worker does now: starting, running, waiting (for the store or the log), stopped, decision needed."""
        kept = self.snapshot.partitions if partitions is None else partitions
        self.snapshot = replace(self.snapshot, state=state, detail=detail, partitions=kept)
        self._show(state)

    def _show(self, now: str) -> None:
        for each in STATES:
            self._state.labels(each.replace(" ", "_")).set(each == now)

    def done(self, tally: Tally, now: int) -> None:
        """One commit."""
        self._records.inc(tally.records)
        self._events.inc(tally.events)
        self._copies.inc(tally.copies)
        for reason, count in tally.rejected.items():
            self._rejected.labels(reason).inc(count)
            self.rejected[reason] += count
        for name, count in tally.findings.items():
            self._findings.labels(name).inc(count)
        before = self.snapshot
        self.snapshot = replace(
            before, records=before.records + tally.records, events=before.events + tally.events, committed_at=now
        )

    def lag(self, records: int, seconds: float) -> None:
        self._lag_records.set(records)
        self._lag_seconds.set(seconds)
        self.snapshot = replace(self.snapshot, lag_records=records, lag_seconds=seconds)

    def failed(self, detail: str) -> None:
        """An attempt that will be made again."""
        self._failures.inc()
        self.state("waiting", detail)

    def quarantine(self) -> None:
        self._quarantined.inc()
        self.snapshot = replace(self.snapshot, quarantined=self.snapshot.quarantined + 1)
