"""Whether contents lie in the partitions that their keys have, as far as some of them show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger import wiring
from ledger.cli.doctor.check import Check, Topics
from ledger.errors import AccessDenied, TopicAbsent, VerificationError
from ledger.format.content import split_record_key
from ledger.ports import CONTENTS, Bounds, Log, Record, partition_of

if TYPE_CHECKING:
    from ledger.store.overview import Fate

SAMPLE: Final = 50
"""Records that are looked at, of those that came first to a partition and of the last ones."""
SAMPLE_BYTES: Final = 4 << 20
"""After which no more of either are looked at."""


class Place(NamedTuple):
    """Where a content lies."""

    partition: int
    offset: int
    key: bytes


def placed(topics: Topics) -> Iterator[Check]:
    """Whether a publisher chose another partition than the key's, or the number of partitions was changed; and what became of
    what lies elsewhere. That it does is true for good, and no fault once the store has all of it.
    """
    try:
        bounds = topics.log.bounds(CONTENTS)
        keys = [each for number, of in bounds.items() for each in _keys(topics.log, number, of)]
    except (AccessDenied, TopicAbsent) as error:
        yield Check("log", "note", f"whether contents lie where their keys say could not be looked at: {error}")
        return
    strays = [each for each in keys if partition_of(each.key, len(bounds)) != each.partition]
    if strays:
        first = strays[0]
        detail = (
            f"{len(strays)} of {len(keys)} contents of {CONTENTS} that were looked at, the first at "
            f"{first.partition}/{first.offset}, are not in the partition that their keys have among {len(bounds)}: partitions "
            "were added, or a publisher chose others"
        )
        yield _judged(topics, strays, detail)
    elif keys:
        yield Check("log", "ok", f"contents lie where their keys say, by {len(keys)} of them")


def _judged(topics: Topics, strays: Sequence[Place], detail: str) -> Check:
    """Wrong as long as the store has not all of them, or does not say."""
    found = _fates(topics, strays)
    if found is None:
        return Check("log", "wrong", f"{detail}; what the store made of them it does not say", _REMEDY)
    told = Counter(found)
    made = ", ".join(f"{count} {fate}" for fate, count in sorted(told.items()))
    detail = f"{detail}; by the store they are: {made}"
    if not told["not read"] and not told["to be erased"]:
        return Check("log", "note", detail, f"nothing is lost or left over: {_REMEDY}")
    first = next(each for each, fate in zip(strays, found, strict=True) if fate in ("not read", "to be erased"))
    remedy = (
        f"see that `answerable contents` runs, and has no refusals, for {first.partition}/{first.offset}; {_REMEDY}"
    )
    return Check("log", "wrong", detail, remedy)


def _fates(topics: Topics, strays: Sequence[Place]) -> list[Fate] | None:
    if topics.reached is None:
        return None
    from ledger.store.overview import fates

    with wiring.reading(topics.here.settings) as connection:
        return fates(connection, [split_record_key(each.key) for each in strays])


def _keys(log: Log, partition: int, bounds: Bounds) -> Iterator[Place]:
    """Some contents, wherever they lie. What has no content's key is no content, and a tombstone lies everywhere."""
    for record in _sample(log, partition, bounds):
        if record.value is not None and record.key is not None and _is_of_content(record.key):
            yield Place(record.partition, record.offset, record.key)


def _is_of_content(key: bytes) -> bool:
    try:
        split_record_key(key)
    except VerificationError:
        return False
    return True


def _sample(log: Log, partition: int, bounds: Bounds) -> Iterator[Record]:
    last = max(bounds.first, bounds.end - SAMPLE)
    for start, stop in ((bounds.first, last), (last, bounds.end)):
        size = 0
        if start < stop:
            for record in islice(log.read(CONTENTS, partition, start, stop), SAMPLE):
                yield record
                size += len(record.value or b"")
                if size > SAMPLE_BYTES:
                    break


_REMEDY: Final = (
    "leave their number as it is now: nothing moves a record. Erasures do reach them, for the contents worker writes each "
    "tombstone to every partition; where another wrote it, `answerable rebuild` has it written again "
    "(docs/operations.md, Partitions)"
)

CHECKS: Final = (placed,)
