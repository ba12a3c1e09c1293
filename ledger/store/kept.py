"""What a process keeps of what it read or decoded, up to so many bytes: that which was asked for last.

Bounded by what it takes and not by its number or the bytes it came in: an array of one-byte items takes a hundred times as much
decoded, and whoever records chooses what is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof
from typing import Final, Generic, TypeVar

from ledger.format.event import EventHeader

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
    """Bytes that a decoded value takes with all that it holds. What it holds twice counts twice; None is there once for all."""
    size = getsizeof(value)
    if isinstance(value, dict):
        held: Iterable[object] = value.values()
    elif isinstance(value, list | tuple):
        held = value
    else:
        return size
    for each in held:
        if each is not None:
            size += getsizeof(each) if each.__class__ in _SINGLE else weight(each)
    return size


def weight_of_header(header: EventHeader, size: int) -> int:
    """No less than a header takes with the ``size`` bytes that it was read from: each character may take four."""
    return _HEADER + 5 * size + _CAUSE * len(header.causes) + _STRING * (len(header.correlation) + len(header.contents))


_HEADER: Final = 900
_CAUSE: Final = 272
_STRING: Final = 88
_SINGLE: Final = frozenset({str, bytes, int})
"""Classes of what holds nothing: nearly all that a payload is made of, and a call for each costs more than its size."""


__all__ = ["Kept", "weight", "weight_of_header"]
