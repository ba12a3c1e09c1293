"""Which lines a process executes, and SIGKILL at one of them. The product has no part in it: ``sys.settrace`` sees its frames."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]

Trace = Callable[[FrameType, str, Any], Any]


class Place(NamedTuple):
    """A line of a file (its path in the checkout), and the how-manieth time that it is reached."""

    file: str
    line: int
    time: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.time}. time)"


def kill_at(place: Place) -> None:
    """From now on this process dies when it reaches ``place``, in whichever thread, before the line is executed."""
    file, left, lock = str(ROOT / place.file), place.time, threading.Lock()

    def line(frame: FrameType, event: str, _argument: Any) -> Trace:
        nonlocal left
        if event == "line" and frame.f_lineno == place.line:
            with lock:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        return line

    _trace(lambda frame, *_: line if _executes(frame, file, place.line) else None)


def count_lines(files: list[str]) -> Counter[tuple[str, int]]:
    """From now on counts how often each line of a function in ``files`` is reached."""
    names = {str(ROOT / file): file for file in files}
    counts: Counter[tuple[str, int]] = Counter()

    def line(frame: FrameType, event: str, _argument: Any) -> Trace:
        if event == "line":
            counts[names[frame.f_code.co_filename], frame.f_lineno] += 1
        return line

    _trace(lambda frame, *_: line if frame.f_code.co_filename in names and _is_function(frame) else None)
    return counts


def _trace(begin: Trace) -> None:
    threading.settrace(begin)
    sys.settrace(begin)


def _executes(frame: FrameType, file: str, line: int) -> bool:
    code = frame.f_code
    return code.co_filename == file and _is_function(frame) and any(number == line for _, _, number in code.co_lines())


def _is_function(frame: FrameType) -> bool:
    """Not the body of a module or class, which runs on import."""
    return bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED)
