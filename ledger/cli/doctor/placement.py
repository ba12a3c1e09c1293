"""Whether contents lie in the partitions that their keys have, as far as some of them show it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from ledger.cli.doctor.check import Check, Topics
from ledger.errors import AccessDenied, TopicAbsent, VerificationError
from ledger.format.content import split_record_key
from ledger.ports import CONTENTS, Bounds, Log, Record, partition_of

SAMPLE: Final = 50
"""Records that are looked at, of those that came first to a partition and of the last ones."""
SAMPLE_BYTES: Final = 4 << 20
"""After which no more of either are looked at."""


def placed(topics: Topics) -> Iterator[Check]:
    """Whether a publisher chose another partition than the key's, or the number of partitions was changed."""
    try:
        bounds = topics.log.bounds(CONTENTS)
        keys = [each for number, of in bounds.items() for each in _keys(topics.log, number, of)]
    except (AccessDenied, TopicAbsent) as error:
        yield Check("log", "note", f"whether contents lie where their keys say could not be looked at: {error}")
        return
    strays = [(number, offset) for number, offset, key in keys if partition_of(key, len(bounds)) != number]
    if strays:
        number, offset = strays[0]
        detail = (
            f"{len(strays)} of {len(keys)} contents of {CONTENTS} that were looked at, the first at {number}/{offset}, are not "
            f"in the partition that their keys have among {len(bounds)}: partitions were added, or a publisher chose others"
        )
        yield Check("log", "wrong", detail, _REMEDY)
    elif keys:
        yield Check("log", "ok", f"contents lie where their keys say, by {len(keys)} of them")


def _keys(log: Log, partition: int, bounds: Bounds) -> Iterator[tuple[int, int, bytes]]:
    """Partition, offset and key of some contents. What has no content's key is no content, and a tombstone lies everywhere."""
    for record in _sample(log, partition, bounds):
        if record.value is not None and record.key is not None and _is_of_content(record.key):
            yield record.partition, record.offset, record.key


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
