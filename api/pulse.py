"""How the server is, looked at in the background and told at once: the store, the bundle, the log and how far it is ahead."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from api import faults
from api.faults import Bundle, Fault
from api.store import Store
from ledger.attribution.house import HouseRules
from ledger.errors import AccessDenied, LedgerError
from ledger.ports import CONTENTS, EVENTS, Bounds, Log
from ledger.store import overview
from ledger.store.observed import lost
from ledger.store.wrong import Wrong

SECONDS: Final = 5.0
BEHIND_SECONDS: Final = 30.0
"""A record that waits longer in the log means that nobody reads it, or that the readers are too few."""
WAIT_SECONDS: Final = 2.0
_log = logging.getLogger("answerable.api")


class Sample(NamedTuple):
    """One look. ``records`` of ``ledger.events`` are not in the store yet, the oldest for ``seconds`` as far as was watched.

    ``lost`` is what the log dropped unread. None: the log or the store cannot be asked. ``faults`` is all that is wrong.
    """

    records: int | None = None
    seconds: float | None = None
    lost: Sequence[Wrong] | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """How often the pulse is felt, and how long a record may wait in the log before that is wrong."""

    seconds: float = SECONDS
    behind_seconds: float = BEHIND_SECONDS


class Pulse:
    """Samples on a thread of its own: a log that is away never makes a request wait."""

    def __init__(
        self, store: Store, bundle: Bundle, house: HouseRules, open_log: Callable[[], Log] | None, tempo: Tempo
    ) -> None:
        self._store, self._bundle, self._house, self._open_log, self._tempo = store, bundle, house, open_log, tempo
        self._log: Log | None = None
        self._waiting, self._contents = Waiting(), Waiting()
        self._unswept: tuple[int | None, float] = None, 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.sample = Sample()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="answerable-pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(self._tempo.seconds + 5)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                sample = self._look()
            except Exception:  # noqa: BLE001 - a thread that dies would leave the last sample standing for ever
                _log.exception("the server's own state could not be looked at")
                sample = Sample(faults=(faults.LOG_AWAY,))
            self._tell(sample.faults)
            self.sample = sample
            self._ended.wait(self._tempo.seconds)
        if self._log is not None:
            self._log.close()

    def _tell(self, now: tuple[Fault, ...]) -> None:
        before = self.sample.faults
        for fault in now:
            if fault not in before:
                _log.warning("wrong: %s: %s; %s", *fault[:3])
        for fault in before:
            if fault not in now:
                _log.warning("no longer wrong: %s", fault.name)

    def _look(self) -> Sample:
        bundle, wrong = self._bundle.look()
        judged, more = faults.look_at_store(self._store, WAIT_SECONDS)
        wrong = [*wrong, *more]
        if bundle is not None and judged is not None:
            wrong += faults.compare(bundle, judged.lines)[1]
        if judged is not None:
            wrong += faults.compare_rules(self._house, judged)
        if self._open_log is None:
            return Sample(lost=(), faults=tuple(wrong))
        try:
            if self._log is None:
                self._log = self._open_log()
            identity, bounds = self._log.identity(EVENTS), self._log.bounds(EVENTS)
            contents = _bounds_of_contents(self._log)
        except LedgerError as error:
            _log.info("the log cannot be asked: %s", error)
            return Sample(faults=(*wrong, faults.LOG_AWAY))
        sample = self._compare(identity, bounds, contents)
        return sample._replace(faults=(*wrong, *sample.faults))

    def _compare(self, identity: str, bounds: Mapping[int, Bounds], contents: Mapping[int, Bounds]) -> Sample:
        try:
            with self._store.connection(WAIT_SECONDS) as connection:
                everywhere = overview.positions(connection)
                unswept = overview.oldest_unswept(connection)
        except LedgerError:
            return Sample()
        positions = [each for each in everywhere if each.topic == EVENTS]
        if any(each.identity != identity for each in positions):
            return Sample(faults=(faults.LOG_REPLACED,))
        reached = {each.partition: each.next_offset for each in positions}
        dropped = lost(EVENTS, bounds, reached)
        seconds = self._waiting.observe(bounds, reached, time.monotonic())
        wrong = [faults.RECORDS_LOST] if dropped else []
        wrong += [faults.BEHIND] if seconds > self._tempo.behind_seconds else []
        read = {each.partition: each.next_offset for each in everywhere if each.topic == CONTENTS}
        if self._contents.observe(contents, read, time.monotonic()) > self._tempo.behind_seconds:
            wrong.append(faults.CONTENTS_BEHIND)
        if self._unswept_for(unswept) > self._tempo.behind_seconds:
            wrong.append(faults.ERASURES_WAIT)
        return Sample(behind(bounds, reached), seconds, dropped, tuple(wrong))

    def _unswept_for(self, oldest: int | None) -> float:
        """For how many seconds the oldest erasure without effect was seen so. Its own age says less: a rebuild has old ones."""
        if oldest is None or oldest != self._unswept[0]:
            self._unswept = oldest, time.monotonic()
        return time.monotonic() - self._unswept[1]


def _bounds_of_contents(log: Log) -> Mapping[int, Bounds]:
    """Where the topic may not be described nothing of it waits, as far as is known here: the erasures tell still."""
    try:
        return log.bounds(CONTENTS)
    except AccessDenied:
        return {}


class Waiting:
    """How long the oldest unread record has been waiting, by the ends of the partitions seen before: nothing is read for it."""

    def __init__(self) -> None:
        self._ends: dict[int, deque[tuple[float, int]]] = {}

    def observe(self, bounds: Mapping[int, Bounds], reached: Mapping[int, int], now: float) -> float:
        """Seconds since an end beyond ``reached`` was first seen; 0 where everything is read."""
        oldest = now
        for partition, each in bounds.items():
            ends = self._ends.setdefault(partition, deque())
            if not ends or ends[-1][1] < each.end:
                ends.append((now, each.end))
            while ends and ends[0][1] <= reached.get(partition, 0):
                ends.popleft()
            if len(ends) > _ENDS:
                del ends[1]  # the oldest stays: it is what the answer is
            if ends and each.end > each.first:
                oldest = min(oldest, ends[0][0])
        return now - oldest


_ENDS: Final = 1_000


def behind(bounds: Mapping[int, Bounds], reached: Mapping[int, int]) -> int:
    """How many records lie after the offsets reached."""
    return sum(max(0, each.end - max(reached.get(partition, 0), each.first)) for partition, each in bounds.items())
