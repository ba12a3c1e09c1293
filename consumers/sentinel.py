"""The sentinel: who is behind each event of consequence, and what contradicts it, judged behind all positions.

It never touches ingestion: it reads committed rows, and what it finds follows from them alone.
"""

from __future__ import annotations

import time
from threading import Event
from typing import Final

import structlog

from consumers.health import Health
from consumers.running import insist
from consumers.worker import Pace
from ledger.ports import Clock, Tally
from ledger.store.sentinel import PostgresSentinel

LOOK_SECONDS: Final = 1.0
"""Between two looks at how far it is behind, while there is something to do: to count it takes the longer the more it is."""
BUSY_SECONDS: Final = 0.02
"""Between two looks for something to judge while another sentinel sweeps, which takes a tenth of a second for 2,500 events."""
COUNT_SECONDS: Final = 10.0
"""Between two counts of what is open."""


class Sentinel:
    """Steps until it is stopped: as fast as it can while there is something to do, else now and then."""

    def __init__(
        self, store: PostgresSentinel, clock: Clock, *, health: Health | None = None, pace: Pace | None = None
    ) -> None:
        self.health = health if health is not None else Health("sentinel")
        self._store, self._clock, self._pace = store, clock, pace or Pace()
        self._look_at = self._count_at = 0.0
        self._say = structlog.get_logger(worker="answerable-sentinel")

    def run(self, stop: Event) -> None:
        """Works until ``stop`` is set. Whatever fails is tried again, and told meanwhile; raises what a person must mend."""
        insist(lambda: self._work(stop), self.health, stop, self._say, self._pace.retry_seconds)
        self.health.state("stopped")

    def _work(self, stop: Event) -> None:
        while not stop.is_set():
            self.health.turn()
            done = self._store.step()
            if self.health.snapshot.state != "running":
                self._say.info("running")
                self.health.state("running")
            if done.swept or done.judged:
                self.health.done(Tally(done.swept, done.judged, 0, {}), self._clock.now())
            idle = not done.more and not done.busy
            if idle or time.monotonic() >= self._look_at:
                self._look_around()
            if not done.more:
                stop.wait(self._pace.poll_seconds if idle else BUSY_SECONDS)

    def _look_around(self) -> None:
        """How far behind it is: events to be swept or judged, and the age of the earliest record not judged by. Now and then also
        how much is open.
        """
        far = self._store.behind()
        age = 0.0 if far.since is None else max(0.0, (self._clock.now() - far.since) / 1e6)
        self.health.lag(far.unswept + far.stale, age)
        self._look_at = time.monotonic() + LOOK_SECONDS
        if time.monotonic() >= self._count_at:
            self._count_at = time.monotonic() + COUNT_SECONDS
            self.health.contradictions(self._store.contradictions())
