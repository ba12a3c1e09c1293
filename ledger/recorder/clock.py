"""The system's clock as the ``Clock`` port."""

from __future__ import annotations

from time import time_ns


class SystemClock:
    """The wall clock of this machine."""

    __slots__ = ()

    def now(self) -> int:
        return time_ns() // 1000
