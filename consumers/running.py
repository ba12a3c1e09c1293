"""How a worker runs: begun again after whatever ended it, for as long as a person need not decide, and stopped clean."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event, Timer
from typing import TYPE_CHECKING, Any, Final

import structlog

from ledger.errors import BackendError, ConfigurationError, LedgerError, PositionLost, told
from ledger.trust.bundle import TrustError

if TYPE_CHECKING:
    from consumers.health import Health
    from consumers.worker import Worker

DECIDED: Final = (PositionLost, ConfigurationError, TrustError)
"""What ends a worker: a person must decide, or act."""
GRACE_SECONDS: Final = 8.0
"""What a worker has for its ending."""


def insist(
    work: Callable[[], object], health: Health, stop: Event, say: structlog.stdlib.BoundLogger, seconds: float
) -> None:
    """Begins ``work`` again, ``seconds`` after whatever ended it, until ``stop`` is set. The same reason is logged again only
    after a commit.

    Raises what only a person can mend: ``PositionLost``, ``ConfigurationError``, ``TrustError``.
    """
    said: tuple[str, int | None] = "", None
    while not stop.is_set():
        try:
            work()
        except DECIDED as error:
            health.state("decision needed", str(error))
            raise
        except Exception as error:  # noqa: BLE001 - a worker that ends is a ledger that stands still
            reason = told(error)
            if said != (reason, health.snapshot.committed_at):
                say.warning("will try again", error=reason, exc_info=not isinstance(error, BackendError))
            said = reason, health.snapshot.committed_at
            health.failed(reason)
            stop.wait(seconds)


def run_opened(
    opened: Callable[[], AbstractContextManager[Worker[Any]]], health: Health, stop: Event, seconds: float = 1.0
) -> None:
    """Opens a worker and runs it until ``stop``; where store or log are away while it is opened, it waits for them.

    Raises as ``Worker.run`` does.
    """

    def work() -> None:
        health.turn()
        with opened() as worker:
            worker.run(stop)

    insist(work, health, stop, structlog.get_logger(), seconds)
    if health.snapshot.state != "stopped":
        health.state("stopped")


def tell_end(worker: str, error: LedgerError) -> None:
    """The last line of a worker that ends by itself: why, and of which topic and partition where it is about one."""
    place = {"topic": error.topic, "partition": error.partition} if isinstance(error, PositionLost) else {}
    said = {name: value for name, value in place.items() if value is not None}
    structlog.get_logger(worker=worker, **said).error("ended: a person must act", error=str(error))


def stop_on_signals(grace: float = GRACE_SECONDS) -> Event:
    """An event that SIGTERM and SIGINT set; the batch in hand is finished. For a process's main thread.

    A driver that waits for a server which says nothing does not see the event: after ``grace`` seconds the process ends where
    it is, with status 1. That costs nothing, for what was not committed is read again.
    """
    stop = Event()

    def end(*_: object) -> None:
        stop.set()
        late = Timer(grace, _leave, [grace])
        late.daemon = True
        late.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


def _leave(grace: float) -> None:
    structlog.get_logger().warning("stopped in the middle; the next worker reads it again", seconds=grace)
    os._exit(1)
