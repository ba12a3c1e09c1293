"""Random bytes from the system's generator, drawn in blocks: a call to it gives the interpreter lock away."""

from __future__ import annotations

import os
from typing import Final

BLOCK: Final = 8192


class Randomness:
    """A block of random bytes, none handed out twice. Two threads that meet at its end both draw anew."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def draw(self) -> bytes:
        """16 fresh bytes."""
        try:
            return self._parts.pop()
        except IndexError:
            block = os.urandom(BLOCK)
            self._parts += [block[at : at + 16] for at in range(16, BLOCK, 16)]
            return block[:16]
