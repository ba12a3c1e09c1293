"""Connections dealt out to the processes that answer: in turn, past who does not read, and none of them lost meanwhile."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from api.dealing import Dealer, Taker
from api.sockets import bind, listen
from tests.waiting import until

COUNT = 3


class Dealing:
    """A dealer at work in a thread, and its clients."""

    def __init__(self, listening: socket.socket) -> None:
        self.dealer = Dealer(listening, COUNT)
        self._port = listening.getsockname()[1]
        self._clients = ExitStack()

    def connect(self, count: int = 1) -> list[int]:
        """Connects so many, one after the other; their own ports."""
        clients = [socket.create_connection(("127.0.0.1", self._port), 5) for _ in range(count)]
        for each in clients:
            self._clients.enter_context(each)
        return [each.getsockname()[1] for each in clients]

    def leave(self) -> None:
        self._clients.close()

    def taken(self, number: int) -> list[int]:
        """The ports of the clients whose connections the process of that number has got since."""
        ports = []
        while True:
            try:
                _, descriptors, _, _ = socket.recv_fds(self.dealer.channel(number), 1, 1)
            except BlockingIOError:
                return ports
            with socket.socket(fileno=descriptors[0]) as connection:
                ports.append(connection.getpeername()[1])


@pytest.fixture
def dealing() -> Iterator[Dealing]:
    with bind("127.0.0.1", 0) as listening:
        listen(listening)
        made = Dealing(listening)
        thread = threading.Thread(target=deal, args=[made.dealer])
        thread.start()
        try:
            yield made
        finally:
            made.leave()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            assert not thread.is_alive()


def deal(dealer: Dealer) -> None:
    with suppress(OSError):  # that it listens no more
        dealer.deal()


def test_each_process_gets_every_third_connection(dealing: Dealing) -> None:
    ports = dealing.connect(30)
    got: list[list[int]] = [[] for _ in range(COUNT)]

    def all_there() -> bool:
        for number in range(COUNT):
            got[number] += dealing.taken(number)
        return sum(map(len, got)) == len(ports)

    until(all_there)
    assert got == [ports[0::3], ports[1::3], ports[2::3]]


def test_who_does_not_read_is_passed_over(dealing: Dealing) -> None:
    fill(dealing, 0)
    ports = dealing.connect(4)
    got: list[list[int]] = [[], []]

    def all_there() -> bool:
        for number in (1, 2):
            got[number - 1] += dealing.taken(number)
        return sum(map(len, got)) == len(ports)

    until(all_there)
    assert got == [ports[0::2], ports[1::2]]


def test_what_nobody_takes_waits_until_somebody_does(dealing: Dealing) -> None:
    _, filled, _ = [fill(dealing, number) for number in range(COUNT)]
    ports = dealing.connect(2)
    channel = dealing.dealer.channel(1)
    while filled:  # and not a byte more: a connection may be behind it by then
        filled -= len(channel.recv(filled))
    found: list[int] = []

    def all_there() -> bool:
        found.extend(dealing.taken(1))
        return len(found) == len(ports)

    until(all_there)
    assert found == ports


def test_a_taker_answers_what_it_is_handed_until_it_is_closed() -> None:
    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(b"hello")
            transport.close()

    async def read(one: socket.socket) -> bytes:
        one.setblocking(False)
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(one, 16), 5)

    async def taking() -> None:
        given, channel = socket.socketpair()
        with given, channel:
            channel.setblocking(False)
            taker = Taker(channel, Greeting)
            clients = []
            for _ in range(3):
                client, other = socket.socketpair()
                with other:
                    socket.send_fds(given, [b"."], [other.fileno()])
                clients.append(client)
            assert [await read(each) for each in clients] == [b"hello"] * 3
            taker.close()
            client, other = socket.socketpair()
            with client, other:
                socket.send_fds(given, [b"."], [other.fileno()])
                await asyncio.sleep(0.05)
                assert len(socket.recv_fds(channel, 1, 1)[1]) == 1, "it waits for the next process"
            for each in clients:
                each.close()

    asyncio.run(taking())


def fill(dealing: Dealing, number: int) -> int:
    """Sends until nothing more can be handed to a process; how many bytes."""
    way, filled = dealing.dealer._ways[number][0], 0
    with suppress(BlockingIOError):
        while True:
            filled += way.send(b"x" * 4096)
    return filled
