"""Brings the spool to the disk, within 50 ms of each event, and makes its segments ahead: whatever waits for the disk."""

from __future__ import annotations

from threading import Event, Thread
from typing import Final

from ledger.recorder.spool import Spool
from ledger.recorder.troubles import Troubles

DELAY: Final = 0.025
"""Seconds from the first store to its ``fdatasync``; the rest of the 50 ms is the disk's."""


class Syncer:
    """A thread for one spool."""

    def __init__(self, spool: Spool, troubles: Troubles) -> None:
        self._spool = spool
        self._troubles = troubles
        self._dirty = Event()
        self._end = Event()
        self.clean = True
        """Whether nothing was stored since the last turn; who stores and finds it set calls ``touch``."""
        self.thread = Thread(target=self._run, name="answerable-syncer", daemon=True)

    def touch(self) -> None:
        """Something was stored."""
        self.clean = False
        self._dirty.set()

    def stop(self) -> None:
        """Ends the thread; what was stored is on the disk when it has."""
        self._end.set()
        self._dirty.set()
        if self.thread.is_alive():
            self.thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            self._dirty.wait()
            self._dirty.clear()
            self._spool.prepare()
            self._end.wait(DELAY)
            self.clean = True
            self._spool.sync()
            if self._spool.failure is not None:
                self._troubles.begins("spool failed", str(self._spool.failure))
