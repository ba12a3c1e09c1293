"""Many clients at once, all in one thread and on bare sockets: they share the cores with the server, and what they take of those
is not to be what is measured.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from selectors import EVENT_READ, DefaultSelector

from ledger.format import ids


class _Client:
    """One client on a connection kept open, which asks one question after the other."""

    def __init__(self, port: int, asked: Iterable[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.times: list[float] = []
        self._asked = deque(asked)
        self.ask()

    def ask(self) -> None:
        self._received, self._length = bytearray(), 0
        self._began = time.perf_counter()
        target = f"/v1/events/{ids.text(self._asked.popleft())}/who-triggered"
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def read(self) -> bool:
        """Takes what has come, and asks on; False when all is answered. An answer that is none raises."""
        self._received += self.socket.recv(1 << 18)
        if not self._length:
            head, end, _ = self._received.partition(b"\r\n\r\n")
            if not end:
                return True
            fields = head.decode("latin-1").split("\r\n")
            assert fields[0].startswith("HTTP/1.1 200"), bytes(self._received)
            sizes = [int(each.partition(":")[2]) for each in fields if each.lower().startswith("content-length:")]
            self._length = len(head) + len(end) + sizes[0]
        if len(self._received) < self._length:
            return True
        self.times.append((time.perf_counter() - self._began) * 1000)
        if self._asked:
            self.ask()
            return True
        return False


def ask_at_once(port: int, parts: Sequence[Sequence[bytes]]) -> list[float]:
    """ms of each question, a client for each of ``parts``; any failure is one of the benchmark."""
    clients = [_Client(port, part) for part in parts]
    with DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, EVENT_READ, client)
        while selector.get_map():
            for key, _ in selector.select():
                if not key.data.read():
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
    return [each for client in clients for each in client.times]


__all__ = ["ask_at_once"]
