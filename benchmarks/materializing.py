"""A materializer as a process, which reports what it did when it is ended. Started by ``benchmarks.services``."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from threading import Thread

import structlog

from benchmarks.generate import bundle
from consumers.health import Health
from consumers.materializer import materializer, tune_collector
from consumers.running import stop_on_signals
from ledger.logs.kafka import KafkaLog
from ledger.ports import Tally
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.store.projection import PostgresProjection
from tests.services.forge import LEDGER


class Watched(Health):
    """Health that notes when commits were done, and the process's memory."""

    def __init__(self) -> None:
        super().__init__("materializer")
        self.commits: list[tuple[float, int]] = []
        self.memory: list[tuple[int, float]] = []
        self.total = 0

    def done(self, tally: Tally, now: int) -> None:
        super().done(tally, now)
        if tally.rejected or tally.copies:
            raise AssertionError(f"{tally} of what was made to be good")
        self.total += tally.events
        self.commits.append((time.monotonic(), tally.events))
        self.memory.append((self.total, _resident()))


def _resident() -> float:
    """MB of memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main(bootstrap: str, prefix: str, url: str, chains: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    trusted, clock, stop, health = bundle(int(chains)), SystemClock(), stop_on_signals(), Watched()
    with (
        closing(KafkaLog(bootstrap, prefix)) as log,
        closing(PostgresProjection(url, load_schemas(), LEDGER, trusted)) as projection,
    ):
        worker = materializer(log=log, projection=projection, trust=lambda: trusted, clock=clock, health=health)
        tune_collector()
        Thread(target=_announce, args=(health,), daemon=True).start()
        worker.run(stop)
    half = [mb for events, mb in health.memory if events <= health.total / 2]
    report = {
        "events": health.total,
        "first": health.commits[0][1] if health.commits else 0,
        "began": health.commits[0][0] if health.commits else 0,
        "ended": health.commits[-1][0] if health.commits else 0,
        "cpu": time.process_time(),
        "half": max(half, default=0.0),
        "full": max((mb for _, mb in health.memory), default=0.0),
    }
    print(json.dumps(report), flush=True)


def _announce(health: Health) -> None:
    while not health.snapshot.partitions:
        time.sleep(0.01)
    print("ready", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
