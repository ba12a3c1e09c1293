"""What stands in a spool's frames: events and contents as the service gave them, sealed batches as they are sent."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from ledger.errors import SpoolUnreadable

EVENT: Final = b"E"
CONTENT: Final = b"C"
SEALED: Final = b"S"
HEADS: Final = b"H"

_EVENT: Final = Struct("<cqHH16s32s")
"""Mark, occurred_at, bytes of tenant and header, salt, event digest; then tenant, header, payload."""
_CONTENT: Final = Struct("<cH")
_SEALED: Final = Struct("<cQI")
EVENT_OVERHEAD: Final = _EVENT.size
_WHEN: Final = Struct("<cq")
OCCURRED_AT_WITHIN: Final = _WHEN.size
"""Bytes of a frame's body that ``occurred_at`` needs."""


class SpooledEvent(NamedTuple):
    """An event that waits to be sealed. ``number`` is its frame's."""

    number: int
    occurred_at: int
    tenant: str
    digest: bytes
    header: bytes
    salt: bytes
    payload: bytes


class SpooledContent(NamedTuple):
    """A content's record, ready to be sent."""

    number: int
    key: bytes
    value: bytes


class SpooledBatch(NamedTuple):
    """A sealed batch. It seals its tenant's events of this spool up to frame ``sealed_until`` (0: none of this spool's)."""

    number: int
    sealed_until: int
    partition: int
    value: bytes


def event_frame(tenant: bytes, occurred_at: int, digest: bytes, header: bytes, salt: bytes, payload: bytes) -> bytes:
    head = _EVENT.pack(EVENT, occurred_at, len(tenant), len(header), salt, digest)
    return b"".join((head, tenant, header, payload))


def content_frame(key: bytes, value: bytes) -> bytes:
    return b"".join((_CONTENT.pack(CONTENT, len(key)), key, value))


def sealed_frame(sealed_until: int, partition: int, value: bytes) -> bytes:
    return _SEALED.pack(SEALED, sealed_until, partition) + value


def occurred_at(body: bytes) -> int | None:
    """When the event in a frame occurred; None where it holds none."""
    return int(_WHEN.unpack_from(body)[1]) if body[:1] == EVENT else None


def read_entry(number: int, body: bytes) -> SpooledEvent | SpooledContent:
    """The event or content in a frame of the journal of events; raises ``SpoolUnreadable`` for anything else."""
    if body[:1] == CONTENT:
        _, length = _CONTENT.unpack_from(body)
        start = _CONTENT.size
        return SpooledContent(number, body[start : start + length], body[start + length :])
    if body[:1] != EVENT:
        raise SpoolUnreadable(f"frame {number} is neither an event nor a content; update the service")
    _, occurred_at, tenant, header, salt, digest = _EVENT.unpack_from(body)
    start = EVENT_OVERHEAD
    middle = start + tenant
    end = middle + header
    return SpooledEvent(number, occurred_at, body[start:middle].decode(), digest, body[middle:end], salt, body[end:])


def read_sealed(number: int, body: bytes) -> SpooledBatch:
    """The sealed batch in a frame of the journal of sealed batches; raises ``SpoolUnreadable`` for anything else."""
    if body[:1] != SEALED:
        raise SpoolUnreadable(f"frame {number} is no sealed batch; update the service")
    _, sealed_until, partition = _SEALED.unpack_from(body)
    return SpooledBatch(number, sealed_until, partition, body[_SEALED.size :])
