"""The log as the sender reaches it: what fails is tried again, until it is done or the recorder is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final, Literal, TypeVar

from ledger.ports import Log, Outgoing, partition_of
from ledger.recorder.troubles import Troubles, named

GROUP_BYTES: Final = 2 * 1024 * 1024
GROUP_ENTRIES: Final = 4096
FIRST_DELAY: Final = 0.05
LAST_DELAY: Final = 5.0

T = TypeVar("T")
Doing = Literal["starting", "adopting", "idle", "sending", "retrying", "closing", "ended", "failed"]


class Abandoned(Exception):
    """The recorder was closed and its time is up: what is left stays in the spool."""


@dataclass(slots=True)
class State:
    """What the sender is about, for whoever asks."""

    doing: Doing = "starting"
    since: float | None = None
    """When the attempt that lasts now began, by ``time.monotonic``."""
    error: str | None = None
    failures: int = 0
    acked_events: int = 0
    acked_bytes: int = 0
    adopting: int = 0
    adopted: int = 0
    left: tuple[tuple[Path, str], ...] = ()
    """Spools of dead processes that cannot be read, and what is the matter, in words that follow on their names."""


class Outlet:
    """Sends records, and does whatever else may fail, for one thread. ``stop`` is for others.

    ``open_log`` is called when the sender begins; ``closes``: the log is then the recorder's own, and closed with it.
    """

    def __init__(self, open_log: Callable[[], Log], *, closes: bool, timeout: float, troubles: Troubles) -> None:
        self._open = open_log
        self._closes = closes
        self._timeout = timeout
        self._troubles = troubles
        self._log: Log | None = None
        self._partitions: dict[str, int] = {}
        self._nudge = Event()
        self.deadline: float | None = None
        """By when all must be done (``time.monotonic``); None until the recorder is closed."""
        self.state = State()

    def stop(self, deadline: float) -> None:
        """Nothing is tried again after ``deadline``; what waits to be tried is tried now."""
        self.deadline = deadline
        self._nudge.set()

    def open(self) -> None:
        """Opens the log; raises ``Abandoned`` as ``insist`` does."""
        self._log = self.insist(self._open)

    def close(self) -> None:
        """Closes the log, where it is the recorder's own."""
        if not self._closes or self._log is None:
            return
        try:
            self._log.close()
        except Exception as error:  # noqa: BLE001 - all was acknowledged before, or stays in the spool
            self.state.error = f"{type(error).__name__}: {error}"

    def partition(self, topic: str, key: bytes) -> int:
        """Where records of ``key`` go."""
        count = self._partitions.get(topic)
        if count is None:
            count = self._partitions[topic] = self.insist(lambda: self._opened.partitions(topic))
        return partition_of(key, count)

    def append(self, records: Sequence[Outgoing]) -> None:
        """Returns when the log has acknowledged all of them."""
        for part in groups(records):
            self.insist(partial(self._append, part))

    def _append(self, part: Sequence[Outgoing]) -> None:
        self._opened.append(part, timeout=self._patience())

    def insist(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` returns, once it does; tries again after growing delays. Raises only when the recorder was closed."""
        delay, doing = FIRST_DELAY, self.state.doing
        while True:
            self.state.since = monotonic()
            try:
                done = attempt()
            except Exception as error:  # noqa: BLE001 - a broken log or signer must not end the thread; health() tells
                self.state.since = None
                self.state.doing = "retrying"
                self.state.error = f"{type(error).__name__}: {error}"
                self.state.failures += 1
                self._troubles.begins("log", f"what waits does not reach the log and is sent again ({named(error)})")
            else:
                self.state.since = None
                if self.state.error is not None:
                    self.state.doing, self.state.error = doing, None
                return done
            if self.deadline is not None and monotonic() + delay > self.deadline:
                raise Abandoned
            self._nudge.wait(delay)
            self._nudge.clear()
            delay = min(2 * delay, LAST_DELAY)

    @property
    def _opened(self) -> Log:
        log = self._log
        assert log is not None  # noqa: S101 - opened before anything is sent
        return log

    def _patience(self) -> float:
        if self.deadline is None:
            return self._timeout
        return min(self._timeout, max(0.1, self.deadline - monotonic()))


def _size(entry: object) -> int:
    return sum(len(part) for part in entry if isinstance(part, bytes)) if isinstance(entry, tuple) else 0


def groups(entries: Iterable[T]) -> Iterable[list[T]]:
    """In lists of bounded size, so that a large spool does not stand in memory."""
    group: list[T] = []
    size = 0
    for entry in entries:
        group.append(entry)
        size += _size(entry)
        if size >= GROUP_BYTES or len(group) >= GROUP_ENTRIES:
            yield group
            group, size = [], 0
    if group:
        yield group
