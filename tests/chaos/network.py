"""TCP proxies that can be cut, slowed and left half open: the network between any two parties of a stage.

    network = Network()
    link = network.link(("127.0.0.1", 9092))      # to be reached at link.port
    link.mode = "half_open"

One thread of asyncio moves all bytes. A mode that is set holds for the connections that are there and for new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final, Literal

import psycopg

from tests.services.kafka_broker import HOST, free_port

Mode = Literal["open", "cut", "slow", "half_open"]
MODES: Final[tuple[Mode, ...]] = ("cut", "slow", "half_open")
"""``cut``: connections end, new ones are refused. ``slow``: what is sent waits. ``half_open``: nothing passes, nothing ends."""
Address = tuple[str, int] | str
SLOW_SECONDS: Final = 0.15
_CHUNK: Final = 1 << 16


class Link:
    """A proxy before ``upstream``, a host and port or the path of a Unix socket. It listens at ``port`` all its life."""

    def __init__(self, upstream: Address, loop: asyncio.AbstractEventLoop) -> None:
        self.upstream = upstream
        self.port = free_port()
        self._loop = loop
        self._mode: Mode = "open"
        self._passes = asyncio.Event()
        self._passes.set()
        self._pairs: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def upstream_host(self) -> str:
        """The server itself, past the link: ``host:port``."""
        assert isinstance(self.upstream, tuple)
        return f"{self.upstream[0]}:{self.upstream[1]}"

    @property
    def mode(self) -> Mode:
        return self._mode

    def set(self, mode: Mode) -> None:
        """From any thread; returns when it holds. What was held back when a link opens again ends, as after a long outage."""
        asyncio.run_coroutine_threadsafe(self._set(mode), self._loop).result(10)

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._end_all()

    async def _set(self, mode: Mode) -> None:
        before, self._mode = self._mode, mode
        if mode == "cut" or before == "half_open":
            self._end_all()
        if mode == "half_open":
            self._passes.clear()
        else:
            self._passes.set()

    def _end_all(self) -> None:
        for writer in list(self._pairs):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pairs.add(writer)
        try:
            if self._mode == "cut":
                return
            await self._passes.wait()
            if isinstance(self.upstream, str):
                far_reader, far_writer = await asyncio.open_unix_connection(self.upstream)
            else:
                far_reader, far_writer = await asyncio.open_connection(*self.upstream)
            self._pairs.add(far_writer)
            try:
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
            finally:
                self._pairs.discard(far_writer)
                far_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._passes.wait()
            if self._mode == "slow":
                await asyncio.sleep(SLOW_SECONDS)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


class Network:
    """All links of a stage, moved by one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._links: list[Link] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def link(self, upstream: Address) -> Link:
        link = Link(upstream, self._loop)
        asyncio.run_coroutine_threadsafe(link.listen(), self._loop).result(10)
        self._links.append(link)
        return link

    def heal(self) -> None:
        for link in self._links:
            if link.mode != "open":
                link.set("open")

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        for link in self._links:
            await link.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def through(network: Network, url: str) -> tuple[Link, str]:
    """A link to the Postgres server of ``url``, and the URL that goes by it."""
    with psycopg.connect(url) as connection:
        host, port, name = connection.info.host, connection.info.port, connection.info.dbname
    link = network.link(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port))
    return link, f"postgresql://postgres@127.0.0.1:{link.port}/{name}"
