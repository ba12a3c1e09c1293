"""What a process keeps of what it read or decoded, up to so many bytes: that which was asked for last.

Bounded by what it takes and not by its number or the bytes it came in: an array of one-byte items takes a hundred times as much
decoded, and whoever records chooses what is decoded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from sys import getsizeof
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from ledger.format.event import EventHeader

K = TypeVar("K")
V = TypeVar("V")

_ENTRY: Final = 224
"""Bytes that keeping a value takes by itself."""
_SHARE: Final = 64
"""What takes more than one so-many-th of all is not kept: it would push out much, and is seldom."""


class Kept(Generic[K, V]):
    """Values by key; what was not asked for the longest is let go first, and no sooner than it must: whoever asks for the same
    again finds all that fits. Threads may share it.
    """

    __slots__ = ("_bound", "_held", "_lock", "_most", "_size")

    def __init__(self, bound: int) -> None:
        """``bound`` in bytes; by 0 nothing is kept."""
        self._bound, self._most = bound, bound // _SHARE
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def find(self, key: K) -> V | None:
        held = self._held
        if key not in held:  # where all is new, an exception for each costs as much as to keep it
            return None
        try:
            held.move_to_end(key)
            return held[key][0]
        except KeyError:  # let go of by another thread between the two
            return None

    def keep(self, key: K, value: V, size: int) -> None:
        """Keeps a value that takes ``size`` bytes with its key."""
        size += _ENTRY
        if size > self._most:
            return
        with self._lock:
            before = self._held.pop(key, None)
            self._held[key] = value, size
            self._size += size - (before[1] if before is not None else 0)
            while self._size > self._bound:
                _, (_, gone) = self._held.popitem(last=False)
                self._size -= gone


def weight(value: object) -> int:
    """Bytes that a decoded value takes with all that it holds. What it holds twice counts twice; None is there once for all."""
    size = getsizeof(value)
    if isinstance(value, dict):
        held: Iterable[Any] = value.values()
    elif isinstance(value, list | tuple):
        held = value
    else:
        return size
    for each in held:
        if each is None:
            continue
        if (cls := each.__class__) is str:
            size += _ASCII + len(each) if each.isascii() else _TEXT + 4 * len(each)
        elif cls is bytes:
            size += _BYTES + len(each)
        else:
            size += weight(each)
    return size


def weight_of_header(header: EventHeader, size: int) -> int:
    """No less than a header takes with the ``size`` bytes that it was read from: each character may take four."""
    return _HEADER + 5 * size + _CAUSE * len(header.causes) + _STRING * (len(header.correlation) + len(header.contents))


_HEADER: Final = 900
_CAUSE: Final = 272
_STRING: Final = 88
_ASCII: Final = 56
_TEXT: Final = 80
_BYTES: Final = 40
"""What a text or bytes take beside their length: nearly all that a payload is made of, and to ask each for its size costs more
than to reckon it."""


__all__ = ["Kept", "weight", "weight_of_header"]
