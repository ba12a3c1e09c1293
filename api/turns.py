"""Whose turn it is: so many requests are worked at once, and the others wait in the order in which they came.

Threads that wait for a connection, each woken at random, make one client wait ten times as long as another, and every one of
them costs the others time, as does every connection: it plans its statements for itself. A turn ends with the work: a client that
reads its answer slowly keeps nobody waiting. Nor does a question that takes long: it makes way and goes on beside the others.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import TABLE, problem_response
from ledger.errors import BackendError

LONG_SECONDS: Final = 0.1
"""Ten times what most questions take."""
_FREE: Final = ("/v1/health", "/metrics")
"""Whoever watches the server is never kept waiting."""


class Turns:
    """``at_once`` requests at a time, and with those that took longer than ``long`` seconds already ``most``; one whose turn has
    not come within ``wait`` seconds is told to come again."""

    def __init__(self, app: ASGIApp, *, at_once: int, most: int, wait: float, long: float = LONG_SECONDS) -> None:
        self._app = app
        self._wait, self._long = wait, long
        self._free, self._places = asyncio.Semaphore(at_once), asyncio.Semaphore(most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_FREE):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._wait):
                turn = await self._begin()
        except TimeoutError:
            await problem_response(TABLE[BackendError], "too many questions at once: try again")(scope, receive, send)
            return

        async def worked(message: Message) -> None:
            turn.end()
            await send(message)

        try:
            await self._app(scope, receive, worked)
        finally:
            turn.end()

    async def _begin(self) -> _Turn:
        await self._free.acquire()
        try:
            await self._places.acquire()
        except asyncio.CancelledError:
            self._free.release()
            raise
        return _Turn(self._free, self._places, self._long)


class _Turn:
    """Makes way once, when it takes long or ends; and ends once, whoever ends it."""

    def __init__(self, free: asyncio.Semaphore, places: asyncio.Semaphore, long: float) -> None:
        self._free: asyncio.Semaphore | None = free
        self._places: asyncio.Semaphore | None = places
        self._timer = asyncio.get_running_loop().call_later(long, self._make_way)

    def _make_way(self) -> None:
        free, self._free = self._free, None
        if free is not None:
            free.release()

    def end(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            self._timer.cancel()
            self._make_way()
            places.release()
