"""Several processes that answer on one port, as an interpreter works one question at a time.

The kernel deals new connections out to them. They are forks of one process, which answers nothing: it made the application and
bound the sockets, so that a worker that ends by itself is replaced at once, and the connections dealt to it wait meanwhile.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final

PAUSE_SECONDS: Final = 1.0
_DEATH_SIGNAL: Final = 1
"""``PR_SET_PDEATHSIG``."""
_log = logging.getLogger("answerable.api")

Work = Callable[[int], None]
"""What a worker of a number does until SIGTERM."""


def run_workers(count: int, work: Work, grace: float) -> None:
    """Runs ``work`` in so many forks until this process is told to end, and ends them then. Call it while there is one thread."""
    running: dict[int, int] = {}
    try:
        for number in range(count):
            running[_start(work, number)] = number
        while True:
            pid, status = os.wait()
            if pid not in running:  # somebody else's, left to us: in a container we are everybody's parent
                continue
            number = running.pop(pid)
            _log.error("API worker %d ended by itself (%s); it is started again", number, _told(status))
            time.sleep(PAUSE_SECONDS)
            running[_start(work, number)] = number
    finally:
        _end(running, grace)


def _start(work: Work, number: int) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() == parent:  # or it ended before it could be told apart from another
            work(number)
        status = 0
    except KeyboardInterrupt:
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the fork must not go on as if it were its parent
        _log.exception("API worker %d failed", number)
    finally:  # nothing of the parent's is undone here
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end(pids: Iterable[int], grace: float) -> None:
    """Asks all to end; after ``grace`` seconds it does not ask."""
    waiting = set(pids)
    for pid in waiting:
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + grace
    while waiting:
        if time.monotonic() > until:
            for pid in waiting:
                os.kill(pid, signal.SIGKILL)
        ended = {pid for pid in waiting if os.waitpid(pid, os.WNOHANG)[0]}
        waiting -= ended
        if waiting and not ended:
            time.sleep(0.02)


def _told(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"status {code}" if code >= 0 else signal.Signals(-code).name
