"""The API's port: taken again at once, whoever was still connected when the last one ended, and never from somebody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.sockets import bind, listen
from ledger.errors import ConfigurationError

HOST = "127.0.0.1"


@contextmanager
def serving(port: int) -> Iterator[int]:
    """The port on which it listens; at the end it closes the connection of a client that would have kept it."""
    with bind(HOST, port) as listening:
        listen(listening)
        bound: int = listening.getsockname()[1]
        with socket.create_connection((HOST, bound), 5) as client:
            accepted, _ = listening.accept()
            accepted.close()
            assert client.recv(1) == b""
        yield bound


def test_who_starts_again_gets_the_port_though_a_client_kept_its_connection() -> None:
    with serving(0) as port:
        pass
    with serving(port) as second:
        assert second == port


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with serving(0) as port, pytest.raises(ConfigurationError, match="set ANSWERABLE_API_PORT"), serving(port):
        pass


def test_who_begins_to_listen_second_is_refused_though_both_are_bound() -> None:
    with bind(HOST, 0) as first, bind(HOST, first.getsockname()[1]) as second:
        listen(first)
        with pytest.raises(ConfigurationError, match="set ANSWERABLE_API_PORT"):
            listen(second)
