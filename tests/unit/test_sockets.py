"""The API's port: taken again at once, whoever was still connected when the last one ended, and never from somebody else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from api.sockets import listen, share
from ledger.errors import ConfigurationError

HOST = "127.0.0.1"


def one(port: int) -> list[socket.socket]:
    bound = listen(HOST, port)
    bound.listen()
    return [bound]


def several(port: int) -> list[socket.socket]:
    return share(listen(HOST, port), 2)


Opened = Callable[[int], list[socket.socket]]
WAYS = pytest.mark.parametrize("way", [one, several])


@contextmanager
def serving(way: Opened, port: int) -> Iterator[int]:
    """The port on which it listens; at the end it closes the connection of a client that would have kept it."""
    with ExitStack() as closing:
        sockets = [closing.enter_context(each) for each in way(port)]
        bound: int = sockets[0].getsockname()[1]
        with socket.create_connection((HOST, bound), 5) as client:
            for each in sockets:
                each.settimeout(0.2)
                try:
                    accepted, _ = each.accept()
                except TimeoutError:
                    continue
                accepted.close()
            assert client.recv(1) == b""
        yield bound


@WAYS
@pytest.mark.parametrize("again", [one, several])
def test_who_starts_again_gets_the_port_though_a_client_kept_its_connection(way: Opened, again: Opened) -> None:
    with serving(way, 0) as port:
        pass
    with serving(again, port) as second:
        assert second == port


@WAYS
@pytest.mark.parametrize("other", [one, several])
def test_a_port_that_somebody_listens_on_is_refused(way: Opened, other: Opened) -> None:
    with (
        serving(way, 0) as port,
        pytest.raises(ConfigurationError, match="set ANSWERABLE_API_PORT"),
        serving(other, port),
    ):
        pass


def test_a_port_taken_before_it_was_shared_is_told_as_such() -> None:
    bound = listen(HOST, 0)
    with bound.dup() as late:
        late.listen()
        with pytest.raises(ConfigurationError, match="set ANSWERABLE_API_PORT"):
            share(bound, 2)
