"""The API's address as a socket."""

from __future__ import annotations

import socket
from typing import Final

from ledger.errors import ConfigurationError

BACKLOG: Final = 2048
"""Connections that wait in the kernel until they are accepted."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises ``ConfigurationError`` where it is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"ANSWERABLE_API_HOST {host} is no address of this machine: {error}") from None
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _refused(host, port, error) from None
    return bound


def listen(bound: socket.socket) -> None:
    """Listens; raises ``ConfigurationError`` where somebody else does by now: two may be bound until one listens."""
    try:
        bound.listen(BACKLOG)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _refused(host, port, error) from None


def _refused(host: str, port: int, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the API cannot listen on {host} port {port} ({error.strerror}): set ANSWERABLE_API_PORT, 0 for a free one"
    )
