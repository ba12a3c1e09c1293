"""The API's address as sockets: one, or as many as there are processes that answer on it."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from ledger.errors import ConfigurationError


def listen(host: str, port: int) -> socket.socket:
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


def share(bound: socket.socket, count: int) -> list[socket.socket]:
    """So many listening sockets on the address of ``bound``, which nobody else listens on; that one is closed.

    Raises ``ConfigurationError`` where somebody took the address meanwhile.
    """
    address, family = bound.getsockname(), bound.family
    bound.close()
    with ExitStack() as failing:
        try:
            shared = []
            for _ in range(count):
                each = failing.enter_context(socket.socket(family, socket.SOCK_STREAM))
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of connections that have just ended
                each.bind(address)
                shared.append(each)
            for each in shared:
                each.listen(2048)
        except OSError as error:
            raise _refused(address[0], address[1], error) from None
        failing.pop_all()
    return shared


def _refused(host: str, port: int, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the API cannot listen on {host} port {port} ({error.strerror}): set ANSWERABLE_API_PORT, 0 for a free one"
    )
