"""What every projection shares: its connections, and the positions that it owns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Final

from psycopg import errors

from ledger.errors import BackendError
from ledger.ports import Position, Record
from ledger.store import findings, positions
from ledger.store.connect import connect, translated
from ledger.store.migrations import check_migrated
from ledger.store.patience import MOST_SECONDS, STEP_SECONDS, within
from ledger.store.stuck import end_stuck

_LOCK_TIMES: Final = 3
"""How many times as long as a stuck session any other lock is waited for: then whoever holds it is looked at, and told."""


class Owner:
    """One connection that commits and owns positions, one beside it for what is looked up meanwhile. See ``Projection``."""

    def __init__(
        self,
        url: str,
        *,
        schema: str | None = None,
        stuck: float = positions.STUCK_SECONDS,
        step_seconds: float = STEP_SECONDS,
    ) -> None:
        self._url, self._schema, self._stuck = url, schema, stuck
        self._lock = Lock()
        self._starts: dict[int, int] = {}
        self._patience = self._step_seconds = step_seconds
        self._connect()
        try:
            with translated():
                check_migrated(self._commits)
        except BaseException:
            self.close()
            raise

    def reach(self) -> None:
        """See ``Projection``."""
        self._make_sure()
        with self._step():
            self._commits.execute("select")

    def claim(self, topic: str, identity: str, numbers: Sequence[int]) -> Mapping[int, Position]:
        """See ``Projection``. After a failure the connections are made anew."""
        self._make_sure()
        with self._step():
            found = positions.claim(self._commits, topic, identity, numbers, stuck=self._stuck)
            self._claimed()
            for partition, position in found.items():
                self._starts[partition] = position.next_offset
        return found

    def lost(self, topic: str, partition: int, first: int, until: int, detail: str) -> None:
        """See ``Projection``."""
        text = f"{topic}/{partition}: {detail}"
        found = findings.Finding("lost_to_retention", None, None, first, until, None, None, text, 0)
        with self._step():
            findings.open_all(self._commits, [found])

    def reset(self, topic: str, partition: int, identity: str, offset: int) -> None:
        """See ``Projection``."""
        with self._step():
            positions.reset(self._commits, topic, partition, identity, offset)
            self._starts[partition] = offset

    def release(self, topic: str, numbers: Sequence[int]) -> None:
        """See ``Projection``."""
        with self._step():
            positions.release(self._commits, topic, numbers)

    def attempt(self, record: Record) -> int:
        """See ``Projection``."""
        self._starts[record.partition] = record.offset
        with self._step():
            return positions.attempt(self._commits, record)

    def attempted(self, record: Record) -> None:
        """See ``Projection``."""
        with self._step():
            positions.attempted(self._commits, record)

    def set_aside(self, record: Record, detail: str) -> None:
        """See ``Projection``."""
        self._starts[record.partition] = record.offset
        with self._step(), self._commits.transaction():
            steps = positions.advances([record], self._starts)
            positions.lock(self._commits, record.topic, steps)
            positions.set_aside(self._commits, record, detail)
            positions.advance(self._commits, record.topic, steps)

    def close(self) -> None:
        """Ends the connections; positions not released are found unclean by the next owner."""
        self._commits.close()
        self._looks.close()

    @contextmanager
    def _step(self) -> Iterator[None]:
        """One thing done with the store: by one thread at a time, its errors as ours, and bounded in time."""
        with self._alone(), within(self._step_seconds, self._commits):
            yield

    @contextmanager
    def _long_step(self) -> Iterator[None]:
        """The same for what may be large; where its time was too short, it has twice as long when it is tried again."""
        with self._alone(), within(self._patience, self._commits) as bound:
            try:
                yield
            finally:
                self._patience = min(2 * self._patience, MOST_SECONDS) if bound.expired else self._step_seconds

    @contextmanager
    def _slow_step(self) -> Iterator[None]:
        """The same for what may take minutes, and would be begun in vain if it were cut off."""
        with self._alone(), within(MOST_SECONDS, self._commits):
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """By one thread at a time, errors as ours; where a lock was not had in time, who holds it is told, or ended if stuck."""
        with self._lock, translated():
            try:
                yield
            except errors.LockNotAvailable as error:
                with within(self._step_seconds, self._looks):
                    raise BackendError(end_stuck(self._looks, self._stuck)) from error

    def _make_sure(self) -> None:
        """Connects anew where that is needed: before a step, which bounds the connection that it finds."""
        with self._lock, translated():
            self._ensure()

    def _ensure(self) -> None:
        if self._commits.closed or self._looks.closed:
            self.close()
            self._connect()

    def _connect(self) -> None:
        self._commits = connect(self._url, schema=self._schema, worker=True)
        self._looks = connect(self._url, schema=self._schema, worker=True)
        with translated():
            self._commits.execute(f"set lock_timeout = {_LOCK_TIMES * self._stuck * 1000:.0f}".encode())
        self._connected()

    def _connected(self) -> None:
        """After connecting, and at once for a first time."""

    def _claimed(self) -> None:
        """After claiming: what is cached of the store may be another's by now."""
