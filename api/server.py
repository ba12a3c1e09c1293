"""Serving the application with uvicorn: from settings to a socket."""

from __future__ import annotations

import gc
import mmap
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from api.access import Tokens, check_address
from api.app import create_app
from api.dealing import Dealer, Taker
from api.protocol import Protocol
from api.sockets import bind, listen
from api.store import Store
from api.workers import run_workers
from ledger import wiring
from ledger.errors import BackendError
from ledger.settings import Settings

GRACE_SECONDS = 5


def application(settings: Settings) -> FastAPI:
    """The application that the settings ask for."""
    with suppress(BackendError):  # a store that is away is waited for, one that is configured wrong is not
        wiring.store_url(settings)
    return create_app(
        store=Store(lambda: wiring.store_url(settings), at_once=settings.api_at_once),
        ledger=settings.require_ledger(),
        tokens=Tokens(settings.api_tokens, settings.tenant),
        bundle=wiring.watch_bundle(settings),
        open_log=lambda: wiring.open_log(settings),
        house=wiring.house_rules(settings),
    )


def serve(settings: Settings, ready: Callable[[str], None] = lambda _: None, *, workers: int = 1) -> None:
    """Serves until SIGTERM or SIGINT, in this process or in so many; ``ready`` is called with the URL when requests are accepted.

    Raises ``ConfigurationError`` for an address that others reach while no tokens are configured, or that is taken.
    """
    app = application(settings)
    check_address(settings.api_host, app.state.tokens)
    bound = bind(settings.api_host, settings.api_port)
    host, port = bound.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    tune_collector()
    with bound:
        run(app, bound, _once(lambda: ready(url)), workers=workers)


def run(app: FastAPI, bound: socket.socket, announce: Callable[[], None], *, workers: int = 1) -> None:
    """Serves on one socket until SIGTERM or SIGINT: in this process, or in so many, and one more that accepts for them.
    ``announce`` is called when requests are accepted.

    Raises ``ConfigurationError`` where somebody else listens on the address.
    """
    listen(bound)
    if workers == 1:
        _Announcing(_config(app), announce).run(sockets=[bound])
        return
    dealer = Dealer(bound, workers)

    def work(number: int) -> None:
        if number == workers:
            dealer.deal()
        bound.close()  # this fork's: who ends slowly keeps nobody's port
        first = announce if number == 0 else _nothing
        _Dealt(_config(app), first, dealer.channel(number)).run(sockets=[])

    run_workers(workers + 1, work, 2 * GRACE_SECONDS, app.state.metrics.replaced)


def _once(tell: Callable[[], None]) -> Callable[[], None]:
    """Tells once, whichever of the forks of this process calls it: one that replaces another has nothing new to say."""
    told = mmap.mmap(-1, 1)

    def telling() -> None:
        if not told[0]:
            told[0] = 1
            tell()

    return telling


def _nothing() -> None: ...


def tune_collector() -> None:
    """What is loaded now is never looked at again, and the rest seldom: hardly anything of an answer is cyclic."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 20, 20)


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        log_config=None,  # its lines are as all others of the process (``ledger.cli.lines``)
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="none",
    )


class _Announcing(uvicorn.Server):
    """A server that says when it accepts requests."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


class _Dealt(_Announcing):
    """A server of connections that another process accepts."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], channel: socket.socket) -> None:
        super().__init__(config, announce)
        self._channel = channel

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._taker = Taker(self._channel, self._protocol)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._taker.close()
        await super().shutdown(sockets)

    def _protocol(self) -> Protocol:
        return Protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
