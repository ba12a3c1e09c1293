"""How the log is, and how far the store is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.cli.doctor.check import Check, Topics
from ledger.cli.output import show_time
from ledger.ports import EVENTS
from ledger.trust.reasons import REASONS


def filled(topics: Topics) -> Iterator[Check]:
    """How much is in it."""
    bounds = topics.log.bounds(EVENTS)
    count = sum(each.end - each.first for each in bounds.values())
    yield Check("log", "ok", f"answers, {count} records in {len(bounds)} partitions")


def positions(topics: Topics) -> Iterator[Check]:
    """Whether the store read this log, all of it, and how much there is to read."""
    if topics.reached is None:
        return
    at = {each.partition: each for each in topics.reached if each.topic == EVENTS}
    identity, bounds = topics.log.identity(EVENTS), topics.log.bounds(EVENTS)
    if any(each.identity != identity for each in at.values()):
        detail = f"{EVENTS} was made anew since it was read"
        yield Check("log", "wrong", detail, "find out why; then decide with `answerable rebuild`")
        return
    next_of = {partition: at[partition].next_offset if partition in at else 0 for partition in bounds}
    lost = [partition for partition, each in bounds.items() if each.first > next_of[partition]]
    if lost:
        detail = f"retention dropped unread records of partitions {lost}"
        yield Check("log", "wrong", detail, REASONS["lost_to_retention"].remedy)
    behind = sum(max(0, each.end - max(next_of[partition], each.first)) for partition, each in bounds.items())
    if behind == 0:
        yield Check("lag", "ok", "the store has everything that the log has")
        return
    last = max((each.last_append for each in at.values() if each.last_append is not None), default=None)
    since = "" if last is None else f"; last read: {show_time(last, utc=topics.here.settings.utc)}"
    remedy = "is `answerable materialize` running? start more of them"
    yield Check("lag", "note", f"{behind} records behind the log{since}", remedy)


CHECKS: Final = (filled, positions)
