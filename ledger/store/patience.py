"""Bounds on how long a connection may keep us waiting.

A server behind a network that lets nothing through neither answers nor hangs up, and no time-out of its own reaches us. So one
thread of the process looks after the connections in use: past its time a connection's socket is shut, and whoever waits on it
has a driver's error at once. A host that is gone altogether is found by TCP, whose own patience is hours by default.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

STEP_SECONDS: Final = 60.0
"""What one step of a worker (a commit, a claim) may take. One that was cut off may take twice as long the next time."""
MOST_SECONDS: Final = 3600.0
TCP: Final[dict[str, Any]] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Parameters of every connection: a host that is gone is found within a minute."""
_LOOK_SECONDS: Final = 0.5

Connection = psycopg.Connection[Any]


class _Watch:
    """The connections in use and when each has to be done. Its thread lives while there are any, and a moment longer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[int, tuple[float, Connection]] = {}
        self._next = 0
        self._looking = False

    def begin(self, connection: Connection, seconds: float) -> int:
        with self._lock:
            self._next += 1
            self._due[self._next] = (time.monotonic() + seconds, connection)
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="answerable-patience", daemon=True).start()
            return self._next

    def end(self, number: int) -> None:
        with self._lock:
            self._due.pop(number, None)

    def watches(self, number: int) -> bool:
        with self._lock:
            return number in self._due

    def _look(self) -> None:
        idle = 0
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                now = time.monotonic()
                late = [number for number, (due, _) in self._due.items() if due < now]
                for number in late:
                    _shut(self._due.pop(number)[1])
                idle = 0 if self._due else idle + 1
                if idle > 20:
                    self._looking = False
                    return


def _shut(connection: Connection) -> None:
    with suppress(OSError, psycopg.Error):
        ours = socket.socket(fileno=os.dup(connection.pgconn.socket))
        with ours:
            ours.shutdown(socket.SHUT_RDWR)


_watch = _Watch()


def _forget() -> None:
    global _watch  # noqa: PLW0603 - a forked child has neither the thread nor the connections
    _watch = _Watch()


os.register_at_fork(after_in_child=_forget)


class Bound:
    """The time that a block has. ``expired``: it was cut off."""

    def __init__(self, watch: _Watch, numbers: list[int]) -> None:
        self._watch, self._numbers = watch, numbers

    @property
    def expired(self) -> bool:
        return not all(self._watch.watches(each) for each in self._numbers)


@contextmanager
def within(seconds: float, *connections: Connection) -> Iterator[Bound]:
    """What the block does with ``connections`` ends within about so many seconds, or fails with a driver's error."""
    watch = _watch
    numbers = [watch.begin(each, seconds) for each in connections]
    try:
        yield Bound(watch, numbers)
    finally:
        for number in numbers:
            watch.end(number)
