"""Whether the server can answer, and how far the store is behind the log; looked at in the background, told at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from api.store import Store
from ledger.errors import LedgerError
from ledger.ports import EVENTS, Log
from ledger.store import overview

SECONDS: Final = 5.0
_log = logging.getLogger("answerable.api")


class Lag(NamedTuple):
    """Records of ``ledger.events`` that are in the log and not yet in the store. None: the log cannot be reached."""

    records: int | None
    detail: str


class Pulse:
    """Samples the lag on a thread of its own: a log that is away never makes a request wait."""

    def __init__(self, store: Store, open_log: Callable[[], Log] | None, *, seconds: float = SECONDS) -> None:
        self._store = store
        self._open_log = open_log
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.lag = Lag(None, "not looked at yet" if open_log else "no log is configured here")

    def start(self) -> None:
        if self._open_log is not None:
            self._thread = threading.Thread(target=self._run, name="answerable-pulse", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(self._seconds + 5)

    def _run(self) -> None:
        log: Log | None = None
        while not self._ended.is_set():
            try:
                if log is None and self._open_log is not None:
                    log = self._open_log()
                if log is not None:
                    self.lag = self._measure(log)
            except LedgerError as error:
                self.lag = Lag(None, "the log or the store cannot be reached")
                _log.warning("lag unknown: %s", error)
            except Exception:  # noqa: BLE001 - a thread that dies would leave the last lag standing for ever
                self.lag = Lag(None, "the lag could not be measured; see the server's log")
                _log.exception("lag unknown")
            self._ended.wait(self._seconds)
        if log is not None:
            log.close()

    def _measure(self, log: Log) -> Lag:
        with self._store.connection() as connection:
            reached = {
                each.partition: each.next_offset for each in overview.positions(connection) if each.topic == EVENTS
            }
        return Lag(behind(log, reached), "")


def behind(log: Log, reached: Mapping[int, int]) -> int:
    """How many records of ``ledger.events`` lie after the offsets reached."""
    return sum(
        max(0, each.end - max(reached.get(partition, 0), each.first)) for partition, each in log.bounds(EVENTS).items()
    )
