"""Decoded bytes, kept for a while: a sentinel reads each event when it is swept and again when it is judged.

What bytes say follows from them alone, so they are the key, and whoever verifies does so as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ledger.format.codec import Schemas, read_body
from ledger.format.event import EventHeader, decode_header
from ledger.store.kept import Kept, weight, weight_of_header

KEPT: Final = 64 << 20
"""Bytes that headers and payloads may take, half of it each."""


class Decoder:
    """Decodes headers and payloads, and keeps ``bound`` bytes of them, none by default. What fails is tried again."""

    def __init__(self, schemas: Schemas, bound: int = 0) -> None:
        self.schemas, self._keeps = schemas, bound > 0
        self._headers = Kept[bytes, EventHeader](bound // 2)
        self._payloads = Kept[bytes, Mapping[str, Any]](bound // 2)

    def header(self, data: bytes) -> EventHeader:
        """As ``decode_header``."""
        if not self._keeps:
            return decode_header(self.schemas, data)
        found = self._headers.find(data)
        if found is None:
            found = decode_header(self.schemas, data)
            self._headers.keep(data, found, weight_of_header(found, len(data)))
        return found

    def payload(self, data: bytes, kind: str) -> Mapping[str, Any]:
        """As ``Schemas.decode``: the payload of an event of ``kind``. Not to be changed."""
        if not self._keeps:
            return self.schemas.decode(data, kind)
        schema = self.schemas.expect(data, kind)
        found = self._payloads.find(data)
        if found is None:
            found = read_body(schema, data)
            self._payloads.keep(data, found, len(data) + weight(found))
        return found


__all__ = ["KEPT", "Decoder"]
