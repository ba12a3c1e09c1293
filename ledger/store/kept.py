"""What a process keeps of what it read or decoded, up to so many bytes: that which was asked for last.

Bounded by what it takes and not by its number or the bytes it came in: an array of one-byte items takes a hundred times as much
decoded, and whoever records chooses what is decoded.
"""

from __future__ import annotations

from sys import getsizeof
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ENTRY: Final = 160
"""Bytes that keeping a value takes by itself."""
_SHARE: Final = 64
"""What takes more than one so-many-th of all is not kept: it would push out much, and is seldom."""


class Kept(Generic[K, V]):
    """Values by key. Two halves, the younger and the older: what is not asked for while a half fills is let go.

    Threads may share it: one may let go what another just kept, and neither notices.
    """

    __slots__ = ("_half", "_most", "_old", "_size", "_young")

    def __init__(self, bound: int) -> None:
        """``bound`` in bytes; by 0 nothing is kept."""
        self._half, self._most = bound // 2, bound // _SHARE
        self._young: dict[K, tuple[V, int]] = {}
        self._old: dict[K, tuple[V, int]] = {}
        self._size = 0

    def find(self, key: K) -> V | None:
        held = self._young.get(key)
        if held is None:
            held = self._old.get(key)
            if held is None:
                return None
            self._put(key, held)
        return held[0]

    def keep(self, key: K, value: V, size: int) -> None:
        """Keeps a value that takes ``size`` bytes with its key."""
        if size + _ENTRY <= self._most:
            self._put(key, (value, size + _ENTRY))

    def _put(self, key: K, held: tuple[V, int]) -> None:
        if self._size + held[1] > self._half:
            self._young, self._old, self._size = {}, self._young, 0
        self._young[key] = held
        self._size += held[1]


def weight(value: object) -> int:
    """Bytes that a decoded value takes with all that it holds. What it holds twice counts twice."""
    size = getsizeof(value)
    if isinstance(value, dict):
        return size + sum(map(weight, value.values()))
    if isinstance(value, list | tuple):
        return size + sum(map(weight, value))
    return size


__all__ = ["Kept", "weight"]
