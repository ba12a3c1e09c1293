"""What a recorder writes to a log: a line when a trouble begins, and one when it is over. Never anything of an event.

The logger is ``answerable.recorder`` of the standard library. The service decides where its lines go; without that, nowhere.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Final, Literal

from ledger.errors import LedgerError

QUIET_SECONDS: Final = 5.0
"""A trouble is over when it did not come again for as long: one that comes and goes is one trouble, and two lines."""
Kind = Literal["log", "spool", "spool failed"]
_log: Final = logging.getLogger("answerable.recorder")
_log.addHandler(logging.NullHandler())


class Troubles:
    """Of one recorder in one process. Any thread may tell, holding no lock: what listens to the logger may record."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._lock = Lock()
        self._last: dict[Kind, float] = {}

    def begins(self, kind: Kind, what: str) -> None:
        """Something is wrong, perhaps still."""
        with self._lock:
            known = kind in self._last
            self._last[kind] = monotonic()
        if not known:
            self.tell(what)

    def over(self, kind: Kind, what: str) -> None:
        """It is not wrong now; that is told once it has not been for ``QUIET_SECONDS``."""
        if kind not in self._last:
            return
        with self._lock:
            last = self._last.get(kind)
            if last is None or monotonic() < last + QUIET_SECONDS:
                return
            del self._last[kind]
        self.tell(what)

    @property
    def due(self) -> float | None:
        """When the next of them may be over, by ``time.monotonic``; one that was not by then is looked at with the next event."""
        now = monotonic()
        return min(
            (at for at in [last + QUIET_SECONDS for last in list(self._last.values())] if at > now), default=None
        )

    def tell(self, what: str) -> None:
        """A line. What the service has to write it must not end a thread of ours."""
        with suppress(Exception):
            _log.warning("%s: %s", self._service, what)


def named(error: BaseException) -> str:
    """An error without what it may repeat: of ours, which repeat nothing, all, of others the kind."""
    return str(error) if isinstance(error, LedgerError) else type(error).__name__
