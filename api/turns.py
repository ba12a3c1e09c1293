"""Whose turn it is: so many requests are worked at once, and the others wait in the order in which they came.

Threads that wait for a connection, each woken at random, make one client wait ten times as long as another, and every one of
them costs the others time. A turn ends with the work: a client that reads its answer slowly keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import TABLE, problem_response
from ledger.errors import BackendError

_FREE: Final = ("/v1/health", "/metrics")
"""Whoever watches the server is never kept waiting."""


class Turns:
    """``at_once`` requests at a time; one whose turn has not come within ``wait`` seconds is told to come again."""

    def __init__(self, app: ASGIApp, *, at_once: int, wait: float) -> None:
        self._app = app
        self._wait = wait
        self._free = asyncio.Semaphore(at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_FREE):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._wait):
                await self._free.acquire()
        except TimeoutError:
            await problem_response(TABLE[BackendError], "too many questions at once: try again")(scope, receive, send)
            return
        turn = _Turn(self._free)

        async def worked(message: Message) -> None:
            turn.end()
            await send(message)

        try:
            await self._app(scope, receive, worked)
        finally:
            turn.end()


class _Turn:
    """Ends once, whoever ends it."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free: asyncio.Semaphore | None = free

    def end(self) -> None:
        free, self._free = self._free, None
        if free is not None:
            free.release()
