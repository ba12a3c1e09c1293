"""A ``Log`` in memory, with hooks that fail before or after the records are kept. A real adapter, for one process."""

# ruff: noqa: ARG002 - the signatures are the port's

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Condition, Event

from ledger.errors import BackendError, PositionLost
from ledger.ports import CONTENTS, EVENTS, Bounds, Clock, Outgoing, Problem, Record, Subscription


class MemoryLog:
    """Keeps every record. ``fail_before`` and ``fail_after`` count appends still to fail; ``gate`` holds appends while clear."""

    def __init__(self, clock: Clock, partitions: int = 2) -> None:
        self._clock = clock
        self._partitions = partitions
        self._changed = Condition()
        self.records: list[Record] = []
        self.appends: list[list[Outgoing]] = []
        self.fail_before = 0
        self.fail_after = 0
        self.closed = False
        self.gate = Event()
        self.gate.set()

    def prepare(self) -> None:
        pass

    def problems(self) -> list[Problem]:
        return []

    def partitions(self, topic: str) -> int:
        return self._partitions

    def identity(self, topic: str) -> str:
        return topic

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:
        if not self.gate.wait(timeout):
            raise BackendError("the log does not answer")
        with self._changed:
            self.appends.append(list(records))
            if self.fail_before:
                self.fail_before -= 1
                self._changed.notify_all()
                raise BackendError("the log failed before it kept anything")
            now = self._clock.now()
            for each in records:
                offset = self.bounds(each.topic)[each.partition].end
                self.records.append(Record(each.topic, each.partition, offset, now, each.key, each.value))
            self._changed.notify_all()
            if self.fail_after:
                self.fail_after -= 1
                raise BackendError("the log failed after it kept everything")

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        counts = dict.fromkeys(range(self._partitions), 0)
        for each in self.records:
            if each.topic == topic:
                counts[each.partition] += 1
        return {partition: Bounds(0, count) for partition, count in counts.items()}

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        if start < 0:
            raise PositionLost("the position is before the first record")
        for each in list(self.records):
            if (each.topic, each.partition) == (topic, partition) and start <= each.offset < stop:
                yield each

    def subscribe(self, topic: str, group: str, assigned: Callable[[Sequence[int]], Mapping[int, int]]) -> Subscription:
        raise BackendError("the log in memory has no groups; read it")

    def close(self) -> None:
        self.closed = True

    def wait_until(self, holds: Callable[[MemoryLog], bool], timeout: float = 10.0) -> bool:
        """Whether ``holds`` of this log within ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: holds(self), timeout)

    @property
    def events(self) -> list[Record]:
        return [each for each in self.records if each.topic == EVENTS]

    @property
    def contents(self) -> list[Record]:
        return [each for each in self.records if each.topic == CONTENTS]


class KeptLog(MemoryLog):
    """The same, with its records in a file as well, for processes that die one after the other."""

    def __init__(self, clock: Clock, path: Path, partitions: int = 2) -> None:
        super().__init__(clock, partitions)
        self._path = path
        if path.exists():
            with path.open("rb") as file:
                while file.peek(1):
                    self.records += pickle.load(file)  # noqa: S301 - written by these tests

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:
        before = len(self.records)
        try:
            super().append(records, timeout=timeout)
        finally:
            with self._path.open("ab") as file:
                file.write(pickle.dumps(self.records[before:]))
