"""Decoded bytes, kept for a while: a sentinel reads each event when it is swept and again when it is judged.

What bytes say follows from them alone, so they are the key, and whoever verifies does so as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ledger.format.codec import Schemas
from ledger.format.event import EventHeader, decode_header

KEPT: Final = 16_384
"""Headers, and payloads, that are kept: some 60 MB."""


class Decoder:
    """Decodes headers and payloads. ``most`` are kept of each, the last ones; none by default. What fails is tried again."""

    def __init__(self, schemas: Schemas, most: int = 0) -> None:
        self.schemas, self._most = schemas, most
        self._headers: dict[bytes, EventHeader] = {}
        self._payloads: dict[bytes, Mapping[str, Any]] = {}

    def header(self, data: bytes) -> EventHeader:
        """As ``decode_header``."""
        found = self._headers.get(data)
        if found is None:
            found = decode_header(self.schemas, data)
            self._keep(self._headers, data, found)
        return found

    def payload(self, data: bytes, kind: str) -> Mapping[str, Any]:
        """As ``Schemas.decode``: the payload of an event of ``kind``. Not to be changed."""
        self.schemas.expect(data, kind)
        found = self._payloads.get(data)
        if found is None:
            found = self.schemas.decode(data, kind)
            self._keep(self._payloads, data, found)
        return found

    def _keep(self, kept: dict[bytes, Any], data: bytes, found: object) -> None:
        if self._most:
            if len(kept) >= self._most:
                for each in list(kept)[: self._most // 4]:
                    del kept[each]
            kept[data] = found


__all__ = ["KEPT", "Decoder"]
