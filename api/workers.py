"""Several processes that answer on one port, as an interpreter works one question at a time.

One more accepts, and deals connections out to them (``api.dealing``). All are forks of one process, which does neither: it made
the application and bound the socket, so that one that ends by itself is replaced at once, and the connections dealt to it wait
meanwhile.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

PAUSE_SECONDS: Final = 1.0
"""One that did not work for so long is not tried again before it: it may fail for ever."""
_ASKED: Final = frozenset({signal.SIGTERM, signal.SIGINT})
"""What asks us to end."""
_DEATH_SIGNAL: Final = 1
"""``PR_SET_PDEATHSIG``."""
_log = logging.getLogger("answerable.api")

Work = Callable[[int], None]
"""What a worker of a number does until SIGTERM."""


class _Fork(NamedTuple):
    number: int
    began: float


def run_workers(count: int, work: Work, grace: float, replaced: Callable[[], None] = lambda: None) -> None:
    """Runs ``work`` in so many forks until SIGTERM or SIGINT, and ends them then; ``replaced`` is called for each that ended by
    itself and is started again. Call it while there is one thread.

    No handler of these signals runs meanwhile: they are taken one after the other with the ends of the forks, so that none
    comes between the end of a fork and what is noted of it, and a second one does not break off the ending.
    """
    running: dict[int, _Fork] = {}
    with _taken_in_turn() as next_signal:
        try:
            for number in range(count):
                _start(work, number, 0, running)
            while next_signal() not in _ASKED:
                for ended in _ended(running):
                    replaced()
                    pause = PAUSE_SECONDS if time.monotonic() - ended.began < PAUSE_SECONDS else 0
                    _start(work, ended.number, pause, running)
        finally:
            _end(running, grace)


@contextmanager
def _taken_in_turn() -> Iterator[Callable[[], int]]:
    """What waits for the next that asks us to end or tells of the end of a fork; those not taken are used up with the block."""
    awaited = _ASKED | {signal.SIGCHLD}
    before = signal.signal(signal.SIGCHLD, lambda *_: None)  # where it is ignored, no end is told
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    try:
        yield partial(signal.sigwait, awaited)
    finally:
        while signal.sigpending() & awaited:
            signal.sigwait(awaited)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
        signal.signal(signal.SIGCHLD, before)


def _ended(running: dict[int, _Fork]) -> Iterator[_Fork]:
    """Those that ended since, taken out of ``running``."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        ended = running.pop(pid, None)
        if ended is not None:  # or somebody else's, left to us: in a container we are everybody's parent
            _log.error("API worker %d ended by itself (%s); it is started again", ended.number, _told(status))
            yield ended


def _start(work: Work, number: int, pause: float, running: dict[int, _Fork]) -> None:
    """Forks one, which begins after so many seconds: what is dealt to it waits, and we do not."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        running[pid] = _Fork(number, time.monotonic() + pause)
        return
    status = 1
    try:
        for each in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(each, signal.SIG_DFL)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED | {signal.SIGCHLD})
        time.sleep(pause)
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
