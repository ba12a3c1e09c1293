"""Waiting until the log has an event: for threads and for asyncio tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Condition
from time import monotonic


class Acknowledgements:
    """How far the log has acknowledged a spool. The sender advances it, any thread or task waits."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._tasks: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.number = 0
        self.over = False
        """No acknowledgement will follow: the sender has ended."""

    def advance(self, number: int) -> None:
        with self._changed:
            self.number = number
            self._tell(lambda waited: waited <= number)

    def end(self) -> None:
        with self._changed:
            self.over = True
            self._tell(lambda _: True)

    def wait(self, number: int, timeout: float) -> bool:
        """Whether the log has all up to ``number``, as soon as that is known, after ``timeout`` seconds at the latest."""
        if self.number >= number:
            return True
        with self._changed:
            self._changed.wait_for(lambda: self.number >= number or self.over, timeout)
        return self.number >= number

    async def wait_async(self, number: int, timeout: float) -> bool:
        """``wait`` for a task: its loop goes on meanwhile."""
        loop = asyncio.get_running_loop()
        until = monotonic() + timeout
        while self.number < number and not self.over:
            told: asyncio.Future[None] = loop.create_future()
            with self._changed:
                if self.number >= number or self.over:
                    break
                self._tasks.append((number, loop, told))
            try:
                await asyncio.wait_for(told, max(0.0, until - monotonic()))
            except TimeoutError:
                break
        return self.number >= number

    def _tell(self, met: Callable[[int], bool]) -> None:
        self._changed.notify_all()
        waiting, self._tasks = self._tasks, []
        for number, loop, told in waiting:
            if not met(number):
                self._tasks.append((number, loop, told))
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, told)


def _resolve(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)
