"""Event ids: UUIDv7 for what is recorded now, a deterministic UUIDv8 with the same leading milliseconds for what is imported."""

from __future__ import annotations

import hmac
from hashlib import sha256
from uuid import UUID

_VERSIONS = frozenset({0x70, 0x80})


def uuid7(now: int, random: bytes) -> bytes:
    """The 16 bytes of an RFC 9562 UUIDv7 at ``now`` (µs UTC), from 10 random bytes."""
    data = bytearray((now // 1000).to_bytes(6, "big") + random)
    data[6] = 0x70 | data[6] & 0x0F
    data[8] = 0x80 | data[8] & 0x3F
    return bytes(data)


def uuid8(milliseconds: int, secret: bytes, name: bytes) -> bytes:
    """A UUIDv8 whose first 48 bits are ``milliseconds`` since 1970 and whose rest is a keyed hash of ``name``."""
    data = bytearray(milliseconds.to_bytes(6, "big") + hmac.digest(secret, name, sha256)[:10])
    data[6] = 0x80 | data[6] & 0x0F
    data[8] = 0x80 | data[8] & 0x3F
    return bytes(data)


def is_event_id(event_id: bytes) -> bool:
    """Version 7 or 8 in the variant of RFC 9562."""
    return event_id[6] & 0xF0 in _VERSIONS and event_id[8] & 0xC0 == 0x80


def milliseconds(event_id: bytes) -> int:
    """The time in an event id, ms since 1970."""
    return int.from_bytes(event_id[:6], "big")


def last_of(now: int) -> bytes:
    """What no event id of the millisecond of ``now`` (µs UTC), or of an earlier one, is above."""
    if now < 0:
        return b""
    return min(now // 1000, (1 << 48) - 1).to_bytes(6, "big") + b"\xff" * 10


def text(event_id: bytes) -> str:
    """As people and HTTP see it."""
    return str(UUID(bytes=event_id))


def parse(event_id: str) -> bytes:
    """From the text form; raises ``ValueError``."""
    return UUID(event_id).bytes
