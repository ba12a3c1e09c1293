"""New connections, dealt out in turn to the processes that answer.

The kernel deals them out too, where each process listens for itself: by chance. Of ten connections one of two processes gets
seven or more in a third of all cases, and whoever is among the seven waits that much longer. So one process accepts, and hands
each connection on, over a channel that all forks inherit: what was handed to one that ends waits in it for the next.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable
from typing import Final, NoReturn

POLL_SECONDS: Final = 0.05
"""Until it is tried again where no process takes a connection."""
PAUSE_SECONDS: Final = 1.0
"""Until it is tried again where none can be accepted, as for want of descriptors."""
_OURS: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
"""The socket listens no more."""
_log = logging.getLogger("answerable.api")


class Dealer:
    """A listening socket and ``count`` channels, each for the connections of one process. Made before the forks that use it."""

    def __init__(self, listening: socket.socket, count: int) -> None:
        self._listening = listening
        self._ways = [socket.socketpair() for _ in range(count)]
        for ends in self._ways:
            for end in ends:
                end.setblocking(False)

    def channel(self, number: int) -> socket.socket:
        """Where the process of that number finds its connections: a ``Taker`` reads it."""
        return self._ways[number][1]

    def deal(self) -> NoReturn:
        """Accepts for ever, each connection for the process whose turn it is, or the next that has room."""
        turn = 0
        while True:
            if (accepted := self._accepted()) is not None:
                with accepted:
                    turn = self._give(accepted, turn)

    def _accepted(self) -> socket.socket | None:
        try:
            return self._listening.accept()[0]
        except OSError as error:
            if error.errno in _OURS:
                raise
            if error.errno != errno.ECONNABORTED:  # whose client went before it was its turn
                _log.error("a connection was not accepted: %s", error.strerror)
                time.sleep(PAUSE_SECONDS)
            return None

    def _give(self, accepted: socket.socket, turn: int) -> int:
        """Hands it on; whose turn is next. Where no process takes any, it waits, and so do all behind it, in the kernel."""
        count = len(self._ways)
        while True:
            for number in range(turn, turn + count):
                try:
                    socket.send_fds(self._ways[number % count][0], [b"."], [accepted.fileno()])
                except OSError:  # full: that one does not read
                    continue
                return (number + 1) % count
            time.sleep(POLL_SECONDS)


class Taker:
    """Takes the connections of a channel into the running loop, until it is closed; ``protocol`` makes what answers one."""

    def __init__(self, channel: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel, self._protocol = channel, protocol
        self._beginning: set[asyncio.Task[object]] = set()
        self._loop.add_reader(channel, self._take)

    def close(self) -> None:
        self._loop.remove_reader(self._channel)

    def _take(self) -> None:
        try:
            _, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        except BlockingIOError:
            return
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
