"""Where a verification reads: archives and then the log, as one, each offset once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ledger.errors import ConfigurationError
from ledger.ports import EVENTS, Log, Record


class Part(NamedTuple):
    """What one log gives of a partition."""

    log: Log
    partition: int
    start: int
    stop: int


class Lost(NamedTuple):
    """Offsets of a partition that are in none of the logs, both included."""

    partition: int
    first: int
    until: int


class Source:
    """The records of ``ledger.events`` in ``logs`` (archives first, the log last), up to where they end now."""

    def __init__(self, logs: Sequence[Log]) -> None:
        identities = {log.identity(EVENTS) for log in logs}
        if len(identities) > 1:
            raise ConfigurationError(
                "the archives and the log are not of the same topic; verify an archive alone with --log file:PATH"
            )
        self.parts: list[Part] = []
        self.lost: list[Lost] = []
        bounds = [dict(log.bounds(EVENTS)) for log in logs]
        for partition in sorted(set[int]().union(*bounds)):
            at = 0
            for log, each in zip(logs, bounds, strict=True):
                if partition not in each or each[partition].end <= at:
                    continue
                first, end = each[partition]
                if first > at:
                    self.lost.append(Lost(partition, at, first - 1))
                self.parts.append(Part(log, partition, max(at, first), end))
                at = end

    @property
    def offsets(self) -> int:
        """How many offsets there are: as many records, where none is a hole."""
        return sum(part.stop - part.start for part in self.parts)

    def __iter__(self) -> Iterator[Record]:
        """Every record, partition by partition, in order. May be read again."""
        for part in self.parts:
            yield from part.log.read(EVENTS, part.partition, part.start, part.stop)
