"""One case: bytes into a target, within bounds of time and memory."""

from __future__ import annotations

import resource
import signal
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ledger.errors import LedgerError

CPU_SECONDS: Final = 0.1
"""Of the thread's own processor time: what else the machine does is not counted."""
HANGS: Final = 1.0
"""Seconds after which a case is broken off."""
MEMORY: Final = 64 << 20
_AGAIN: Final = 4
_WINDOW: Final = 256


class Flaw(AssertionError):
    """What a case must not do."""


class Target(NamedTuple):
    """Something that reads bytes. ``run`` raises what it finds wrong; ``seeds`` gives bytes that lead far into it.

    ``size`` bounds the bytes of a case, ``short`` is how many mutations ``make test`` tries; ``words`` are put into cases.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    size: int = 4096
    short: int = 1000
    words: tuple[bytes, ...] = ()


def try_case(target: Target, data: bytes) -> None:
    """Runs one case; raises ``Flaw``, or whatever the target must not raise.

    A slow case is given some more chances, of which the fastest counts: collecting garbage is nobody's fault.
    """
    spent = _timed(target, data)
    for _ in range(_AGAIN):
        if spent <= CPU_SECONDS:
            return
        spent = min(spent, _timed(target, data))
    if spent > CPU_SECONDS:
        raise Flaw(f"{target.name}: {spent * 1000:.0f} ms for a case of {len(data)} bytes")


def _timed(target: Target, data: bytes) -> float:
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS)
    began = time.thread_time()
    try:
        target.run(data)
    except LedgerError:
        pass
    finally:
        spent = time.thread_time() - began
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return spent


def break_hangs() -> None:
    """A case that takes ``HANGS`` of processor time ends with a ``Flaw``. For the main thread of a process."""

    def hang(number: int, frame: Any) -> None:
        raise Flaw(f"a case that takes more than {HANGS} s")

    signal.signal(signal.SIGVTALRM, hang)


def weigh(target: Target, data: bytes) -> None:
    """Runs one case and raises ``Flaw`` where it holds too much memory at a time."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with suppress(LedgerError):
            target.run(data)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    if peak > MEMORY:
        raise Flaw(f"{target.name}: {peak >> 20} MiB for a case of {len(data)} bytes")


class Watch:
    """Runs cases and keeps an eye on memory. Weighing every case would slow it by half: only where the process has grown
    beyond what it ever had are the cases since the last look weighed one by one.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._recent: deque[bytes] = deque(maxlen=_WINDOW)
        self._until = _WINDOW
        self._peak = _peak()

    def __call__(self, data: bytes) -> None:
        self._recent.append(data)
        try_case(self._target, data)
        self._until -= 1
        if self._until <= 0:
            self.look()

    def look(self) -> None:
        """Weighs the latest cases if the process grew."""
        self._until = _WINDOW
        peak = _peak()
        if peak > self._peak + (1 << 20):
            for data in self._recent:
                weigh(self._target, data)
        self._peak = max(peak, _peak())
        self._recent.clear()


def _peak() -> int:
    """The most memory that this process ever had, reserved or used, whichever is known."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try:
        with open("/proc/self/status", "rb") as status:
            reserved = next(int(line.split()[1]) * 1024 for line in status if line.startswith(b"VmPeak"))
    except (OSError, StopIteration):
        return used
    return max(used, reserved)
