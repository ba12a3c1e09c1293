"""How the log is, and how far the store is behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ledger.cli.doctor.check import CLOCK_MICROSECONDS, Check, Topics
from ledger.cli.output import show_time
from ledger.ports import CONTENTS, EVENTS, Bounds, is_still_there
from ledger.trust.reasons import REASONS

if TYPE_CHECKING:
    from ledger.store.overview import Reached


def filled(topics: Topics) -> Iterator[Check]:
    """How much is in it."""
    bounds = topics.log.bounds(EVENTS)
    count = sum(each.end - each.first for each in bounds.values())
    yield Check("log", "ok", f"answers, {count} records in {len(bounds)} partitions")


def clock(topics: Topics) -> Iterator[Check]:
    """Whether the log's clock is ahead of ours, by the last record that was read; ``store.log_clock`` tells that it is behind."""
    last = max((each.last_append for each in topics.reached or () if each.last_append is not None), default=None)
    ahead = 0 if last is None else last - topics.here.clock.now()
    if ahead > CLOCK_MICROSECONDS:
        detail = f"the log's clock is at least {ahead / 1_000_000:.3f} s ahead of this machine's"
        yield Check("clock", "note", detail, "set both clocks by NTP: keys are judged by the log's")


def positions(topics: Topics) -> Iterator[Check]:
    """Whether the store read this log, all of it, and how much there is to read."""
    if topics.reached is None:
        return
    for topic in (EVENTS, CONTENTS):
        reached = [each for each in topics.reached if each.topic == topic]
        yield from _positions(topics, topic, reached)


def _positions(topics: Topics, topic: str, reached: Sequence[Reached]) -> Iterator[Check]:
    identity, bounds = topics.log.identity(topic), topics.log.bounds(topic)
    if any(each.identity != identity and each.next_offset for each in reached):
        detail = f"{topic} was made anew since it was read"
        yield Check("log", "wrong", detail, "find out why; then decide with `answerable rebuild`")
        return
    at = {each.partition: each.next_offset for each in reached}
    ahead = sorted(p for p, offset in at.items() if offset > (bounds[p].end if p in bounds else 0))
    if ahead:
        detail = f"the store has read further than {topic} goes, in partitions {ahead}"
        remedy = "the log lost its end, or is another one: restore it, or decide with `answerable rebuild`"
        yield Check("log", "wrong", detail, remedy)
    others = sorted(each.partition for each in reached if not _same(topics, each, bounds.get(each.partition)))
    if others:
        detail = (
            f"in partitions {others} of {topic} the last record that was read is another one now: a worker ends at once"
        )
        remedy = "the log was replaced: restore it, or go on by `answerable {} --accept-loss`, or `answerable rebuild`"
        yield Check("log", "wrong", detail, remedy.format(_VERBS[topic]))
    lost = [partition for partition, each in bounds.items() if each.first > at.get(partition, 0)]
    if lost and topic == EVENTS:
        detail = f"retention dropped unread records of partitions {lost}"
        yield Check("log", "wrong", detail, REASONS["lost_to_retention"].remedy)
    behind = sum(max(0, each.end - max(at.get(partition, 0), each.first)) for partition, each in bounds.items())
    if behind:
        last = max((each.last_append for each in reached if each.last_append is not None), default=None)
        since = "" if last is None else f"; last read: {show_time(last, utc=topics.here.settings.utc)}"
        detail = f"{behind} records of {topic} are not in the store{since}"
        waiting = [
            each for each in reached if each.partition in bounds and each.next_offset < bounds[each.partition].end
        ]
        yield Check("lag", "note", detail, advice(_VERBS[topic], held=any(each.held for each in waiting)))
    elif not ahead and not others:
        yield Check("lag", "ok", f"the store has all of {topic}")


def advice(verb: str, *, held: bool) -> str:
    """What to do where work waits for ``verb``. ``held``: one that is connected to the store has it in hand."""
    if held:
        return (
            f"`answerable {verb}` has them in hand: look again, and if they are not fewer, its log and metrics say why "
            "(the disk of Postgres may be full); where it only is slow, start more of them"
        )
    return f"is `answerable {verb}` running? start it"


def _same(topics: Topics, each: Reached, bounds: Bounds | None) -> bool:
    """Whether the log still has what was read last from a partition, as far as that can be told."""
    if each.last_digest is None or bounds is None or not bounds.first < each.next_offset <= bounds.end:
        return True
    return is_still_there(topics.log, each.topic, each.partition, each.next_offset - 1, each.last_digest)


_VERBS: Final = {EVENTS: "materialize", CONTENTS: "contents"}

CHECKS: Final = (filled, clock, positions)
