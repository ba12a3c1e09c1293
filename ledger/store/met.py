"""Events that a process has read and verified, kept by everything that their reading rests on.

Questions share events: the steps of a run, the prompt above them, the token. What an event says follows from the bytes of its
row, the seal that these name by its digest, and the trust bundle. So a row is read again where any of its columns differs, and
every row under another bundle. What else the store may decide later is never kept: whether a payload is erased, and whether
another seal's key may say what this one's may not.
"""

from __future__ import annotations

from typing import Any, Final

from ledger.attribution.subgraph import Node
from ledger.store.kept import Kept, weight, weight_of_header
from ledger.trust.bundle import TrustBundle

KEPT: Final = 64 << 20
"""Bytes that the events of one process take."""
_EVENT: Final = 1_536
"""What an event takes beside its header and payload: the rest of its row, of its node, and of where they are kept."""

Row = tuple[Any, ...]


class Shelf:
    """Events under one bundle."""

    __slots__ = ("_kept", "bundle")

    def __init__(self, bundle: TrustBundle, bound: int) -> None:
        self.bundle = bundle
        self._kept = Kept[bytes, tuple[str, Row, Node]](bound)

    def find(self, tenant: str, row: Row) -> Node | None:
        """The event of a row that was read before, if not a byte of the row is another. No other tenant's has its digest, or a
        row that does is not what it was."""
        held = self._kept.find(row[1])
        return held[2] if held is not None and held[1] == row and held[0] == tenant else None

    def keep(self, tenant: str, row: Row, node: Node) -> None:
        """Keeps an event whose row has header and payload. What a payload says a node has twice, as read and as typed."""
        decoded = weight_of_header(node.header, len(row[2])) + 2 * weight(node.payload)
        self._kept.keep(row[1], (tenant, row, node), _EVENT + len(row[4]) + decoded)


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
