"""Events that a process has read and verified, kept by everything that their reading rests on.

Questions share events: the steps of a run, the prompt above them, the token. What an event says follows from the bytes of its
row, the seal that these name by its digest, and the trust bundle. So a row is read again where any of its columns differs, and
every row under another bundle. What else the store may decide later is never kept: whether a payload is erased, and whether
another seal's key may say what this one's may not.
"""

from __future__ import annotations

from typing import Any, Final

from ledger.attribution.subgraph import Node
from ledger.trust.bundle import TrustBundle

KEPT: Final = 64 << 20
"""Bytes that the events of one process take, as far as they can be told from what was decoded."""
_EVENT: Final = 2_560
_DECODED: Final = 4
"""An event takes about so many bytes, and so many for each byte of its header and payload."""

Row = tuple[Any, ...]


class Shelf:
    """Events under one bundle. Two halves, the younger and the older: what is not asked for while a half fills is let go."""

    __slots__ = ("_half", "_old", "_size", "_young", "bundle")

    def __init__(self, bundle: TrustBundle, bound: int) -> None:
        self.bundle = bundle
        self._half = bound // 2
        self._young: dict[tuple[str, bytes], tuple[Row, Node]] = {}
        self._old: dict[tuple[str, bytes], tuple[Row, Node]] = {}
        self._size = 0

    def find(self, tenant: str, row: Row) -> Node | None:
        """The event of a row that was read before, if not a byte of the row is another."""
        key = tenant, row[1]
        held = self._young.get(key)
        if held is None:
            held = self._old.get(key)
            if held is None or held[0] != row:
                return None
            self.keep(tenant, *held)
        return held[1] if held[0] == row else None

    def keep(self, tenant: str, row: Row, node: Node) -> None:
        """Keeps an event whose row has header and payload."""
        if self._size > self._half:
            self._young, self._old, self._size = {}, self._young, 0
        self._young[tenant, row[1]] = row, node
        self._size += _EVENT + _DECODED * (len(row[2]) + len(row[4]))


class Met:
    """The shelf of the bundle of now: events read under another one are forgotten."""

    def __init__(self, bound: int = KEPT) -> None:
        self._bound = bound
        self._shelf: Shelf | None = None

    def under(self, bundle: TrustBundle) -> Shelf:
        shelf = self._shelf
        if shelf is None or shelf.bundle is not bundle:
            shelf = self._shelf = Shelf(bundle, self._bound)
        return shelf
