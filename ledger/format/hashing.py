"""The digests of the format. Each hash is SHA-256 over a domain label, a zero byte and the data; see ``docs/format.md``."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

ZERO16: Final = bytes(16)
ZERO32: Final = bytes(32)

_EVENT: Final = b"answerable/event/v1\x00"
_PAYLOAD: Final = b"answerable/payload/v1\x00"
_CONTENT: Final = b"answerable/content/v1\x00"
_SEAL: Final = b"answerable/seal/v1\x00"
_LEAF: Final = b"answerable/leaf/v1\x00"


def length_prefixed(text: str) -> bytes:
    """``lp``: the UTF-8 bytes of ``text`` after their count as 4 bytes, big-endian."""
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


def event_prefix(ledger: str, tenant: str, service: str) -> bytes:
    """What stands before a header in its leaf hash: ``0x00 ‖ context``. The same for every event of a chain."""
    context = sha256(_EVENT + length_prefixed(ledger) + length_prefixed(tenant) + length_prefixed(service)).digest()
    return b"\x00" + context


def event_digest(prefix: bytes, header: bytes) -> bytes:
    """The RFC 6962 leaf hash that binds a header to ledger, tenant and service; ``prefix`` by ``event_prefix``."""
    return sha256(prefix + header).digest()


def payload_digest(salt: bytes, payload: bytes) -> bytes:
    return sha256(_PAYLOAD + salt + payload).digest()


def content_digest(record_value: bytes) -> bytes:
    """Over the whole record value, with its single-object frame."""
    return sha256(_CONTENT + record_value).digest()


def seal_message(seal: bytes) -> bytes:
    """What the seal's key signs."""
    return _SEAL + seal


def seal_digest(seal: bytes) -> bytes:
    return sha256(_SEAL + seal).digest()


def tree_entry(seal_digest: bytes, first_signature: bytes) -> bytes:
    """The entry under which the notary logs a seal: 32 bytes that give nothing away."""
    return sha256(_LEAF + seal_digest + first_signature).digest()


def schema_set_digest(pairs: set[bytes]) -> bytes:
    """``Seal.schemas``: over the sorted pairs fingerprint (8 bytes) ‖ SHA-256 of the schema's file (32 bytes)."""
    return sha256(b"".join(sorted(pairs))).digest()
