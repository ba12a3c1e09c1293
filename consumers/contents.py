"""The contents worker: contents become rows, and erasures take effect on rows and log."""

from __future__ import annotations

from typing import Final

from consumers.health import Health
from consumers.worker import Pace, Worker
from ledger.format.content import record_key
from ledger.ports import CONTENTS, Clock, Log, Outgoing
from ledger.store.contents import Contents, PostgresContents

GROUP: Final = "answerable-contents"
TOMBSTONE_SECONDS: Final = 30.0
TOMBSTONES: Final = 8_192
"""That many are appended at once, so that an erasure of very many contents gets on within ``TOMBSTONE_SECONDS``."""


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
    """Makes the admitted erasures take effect; returns how many contents were tombstoned. Safe to repeat and to interrupt.

    Every partition gets the tombstone (ADR 13): a content lies where its key says only as long as nobody added partitions and
    every publisher chose alike, and where it lay the store does not keep.
    """
    pairs = projection.sweep()
    if pairs:
        numbers = range(log.partitions(CONTENTS))
        step = max(1, TOMBSTONES // len(numbers))
        for start in range(0, len(pairs), step):
            part = pairs[start : start + step]
            keys = [record_key(tenant, digest) for tenant, digest in part]
            stones = [Outgoing(CONTENTS, number, key, None) for key in keys for number in numbers]
            log.append(stones, timeout=TOMBSTONE_SECONDS)
            projection.swept(part)
    return len(pairs)
