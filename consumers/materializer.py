"""The materializer: verified events become rows. Several share a group; each partition has one owner."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

import structlog

from consumers.health import Health
from consumers.worker import Pace, Worker
from ledger.ports import EVENTS, Clock, Log
from ledger.store.projection import Flush, PostgresProjection
from ledger.trust.bundle import TrustBundle

GROUP: Final = "answerable-materializer"
ANALYZE_EVENTS: Final = 100_000
"""Statistics are made anew after so many events, once there is nothing to do, or after ten times as many in any case."""
PARTITION_SECONDS: Final = 3600.0
OVERDUE_SECONDS: Final = 30.0


def materializer(
    *,
    log: Log,
    projection: PostgresProjection,
    trust: Callable[[], TrustBundle],
    clock: Clock,
    health: Health | None = None,
    group: str = GROUP,
    pace: Pace | None = None,
    accept: bool = False,
) -> Worker[Flush]:
    """A worker for ``ledger.events``. ``trust`` gives the bundle of now; a longer one is adopted while it runs."""
    told = health if health is not None else Health("materializer")
    return Worker(
        topic=EVENTS,
        group=group,
        log=log,
        projection=projection,
        clock=clock,
        health=told,
        tend=_Duties(projection, trust, told, clock),
        pace=pace,
        accept=accept,
    )


def tune_collector() -> None:
    """For a process that decodes by the million: what is loaded now is never looked at again, and the rest seldom.

    Nothing decoded is cyclic; with Python's own settings the collector takes half of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 50, 50)


class _Duties:
    """What a materializer does between flushes: adopt a longer bundle, or its own again in a store that was restored from before
    it; make statistics and partitions, count overdue chains.
    """

    def __init__(
        self, projection: PostgresProjection, trust: Callable[[], TrustBundle], health: Health, clock: Clock
    ) -> None:
        self._projection, self._trust, self._health, self._clock = projection, trust, health, clock
        self._analyzed = 0
        self._seen = 0
        self._partitions_due = self._overdue_due = 0.0

    def __call__(self) -> None:
        bundle = self._trust()
        if bundle.lines != self._projection.bundle.lines or self._projection.fell_back:
            count = self._projection.adopt(bundle)
            structlog.get_logger().info("trust bundle adopted", lines=len(bundle.lines), judged_again=count)
        self._analyze()
        now = time.monotonic()
        if now >= self._partitions_due:
            self._projection.make_partitions(self._clock.now())
            self._partitions_due = now + PARTITION_SECONDS
        if now >= self._overdue_due:
            self._health.overdue(self._projection.count_overdue(self._clock.now()))
            self._overdue_due = now + OVERDUE_SECONDS

    def _analyze(self) -> None:
        events = self._health.snapshot.events
        new, idle = events - self._analyzed, events == self._seen
        self._seen = events
        if new > 10 * ANALYZE_EVENTS or (new > ANALYZE_EVENTS and idle) or (self._analyzed == 0 and new and idle):
            self._projection.analyze()
            self._analyzed = events
