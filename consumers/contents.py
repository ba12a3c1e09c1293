"""The contents worker: contents become rows, and erasures take effect on rows and log."""

from __future__ import annotations

from typing import Final

from consumers.health import Health
from consumers.worker import Pace, Worker
from ledger.ports import CONTENTS, Clock, Log, Outgoing
from ledger.store.contents import Contents, PostgresContents, tombstone_key

GROUP: Final = "answerable-contents"
TOMBSTONE_SECONDS: Final = 30.0


def contents_worker(
    *,
    log: Log,
    projection: PostgresContents,
    clock: Clock,
    health: Health | None = None,
    group: str = GROUP,
    pace: Pace | None = None,
    accept: bool = False,
) -> Worker[Contents]:
    """A worker for ``ledger.contents`` that also sweeps erasures. Several share a group."""
    return Worker(
        topic=CONTENTS,
        group=group,
        log=log,
        projection=projection,
        clock=clock,
        health=health if health is not None else Health("contents"),
        tend=lambda: sweep(log, projection),
        pace=pace,
        accept=accept,
    )


def sweep(log: Log, projection: PostgresContents) -> int:
    """Makes the admitted erasures take effect; returns how many contents were tombstoned. Safe to repeat and to interrupt."""
    pairs = projection.sweep()
    if pairs:
        count = log.partitions(CONTENTS)
        where = [tombstone_key(tenant, digest, count) for tenant, digest in pairs]
        log.append([Outgoing(CONTENTS, number, key, None) for number, key in where], timeout=TOMBSTONE_SECONDS)
        projection.swept(pairs)
    return len(pairs)
