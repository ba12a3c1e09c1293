"""Kafka filled before → verified, committed, queryable: events/s with one and with two materializers; memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from benchmarks.figures import RATE_EVENTS, RUNS, figure
from benchmarks.generate import CHAINS, Generator
from benchmarks.services import Materializers, Services, Work, fill
from ledger.logs.kafka import KafkaLog


def measure(services: Services) -> None:
    """Rates; the same log is read into a fresh database each time."""
    log, prefix = services.log()
    with closing(log):
        fill(log, Generator().batches(RATE_EVENTS))
        works: dict[int, list[Work]] = {1: [], 2: []}
        for _ in range(RUNS):
            for count, done in works.items():
                url = services.database()
                done.append(materialize(services, log, prefix, url, count))
                services.drop(url)
    for count, done in works.items():
        name = f"materialize_{count}_process" + ("es" if count > 1 else "")
        figure(name, [work.rate for work in done], "events/s", 0)
        figure(f"{name}_cpu", [work.cpu for work in done], "us/event")


def materialize(
    services: Services,
    log: KafkaLog,
    prefix: str,
    url: str,
    count: int = 1,
    meanwhile: Callable[[], None] = lambda: None,
    chains: int = CHAINS,
) -> Work:
    """Brings ``url`` to the end of the log, which ``meanwhile`` may fill."""
    with Materializers(services.bootstrap, prefix, url, count, chains) as workers:
        workers.ready()
        meanwhile()
        return workers.finish(log)
