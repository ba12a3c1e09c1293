"""Fixed keys, clocks and salts, and the means to seal wrongly: what vectors and unit tests are made of. Deterministic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from ledger.format import ids
from ledger.format.batch import ChainHead, Seal, SealedBatch, SealedEvent, Signature, join_batch, used_schemas
from ledger.format.event import EventHeader, encode_header
from ledger.format.hashing import ZERO16, event_digest, event_prefix, payload_digest, seal_digest, seal_message
from ledger.format.merkle import tree_head
from ledger.schema_files import load_schemas
from ledger.signers import Ed25519Signer
from ledger.trust.bundle import extend_bundle
from ledger.trust.keys import jwk_of

SCHEMAS: Final = load_schemas()
LEDGER: Final = "ledger.example"
TENANT: Final = "acme"
SERVICE: Final = "flights"
START: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z in µs: the clock of every seal, event and record here starts there."""
SECOND: Final = 1_000_000
CHAIN: Final = sha256(b"chain").digest()[:16]


def signer(name: str) -> Ed25519Signer:
    """The key whose seed is the SHA-256 of ``name``: public, so it must never be trusted elsewhere."""
    return Ed25519Signer(sha256(f"answerable test key {name}".encode()).digest())


ROOT: Final = signer("root")
KEY: Final = signer("service")


def key_statement(by: Ed25519Signer = KEY, /, **changes: Any) -> dict[str, Any]:
    """A trust statement that lets ``by`` sign everything of the tenant, but the kinds that must be named."""
    statement = {
        "type": "key",
        "key": jwk_of(by.public.raw),
        "role": "source",
        "tenants": [TENANT],
        "services": ["*"],
        "kinds": ["*"],
        "from": START - 3600 * SECOND,
        "until": None,
    }
    return {**statement, **changes}


def bundle_of(*statements: Mapping[str, Any], ledger: str = LEDGER, root: Ed25519Signer = ROOT) -> bytes:
    data = b""
    for statement in statements:
        data = extend_bundle(data, ledger, statement, root.sign)
    return data


def event_id(number: int) -> bytes:
    return ids.uuid7(START + number * 1000, sha256(b"id %d" % number).digest()[:10])


def heartbeat(waiting: int = 0) -> dict[str, Any]:
    return {"waiting_events": waiting, "waiting_bytes": 0, "oldest_waiting_at": None}


OPEN: Final[dict[str, Any]] = {
    "continues": [],
    "delivery": "spool",
    "software": "vectors",
    "software_version": None,
    "runtime": None,
    "os": None,
    "instance": None,
}
CLOSE: Final[dict[str, Any]] = {"reason": "shutdown", "event_count": 3, "lost_count": 0}


def event(
    number: int, kind: str = "chain_heartbeat", datum: Any = None, *, payload: bytes | None = None, **changes: Any
) -> SealedEvent:
    """Event ``number`` of a chain: ``datum`` or raw ``payload`` under a header with ``changes``."""
    if payload is None:
        payload = SCHEMAS.encode(kind, heartbeat(number) if datum is None else datum)
    salt = sha256(b"salt %d" % number).digest()[:16]
    header = EventHeader(
        event_id(number), kind, START + number * 1000, None, None, None, None, [], [], [], payload_digest(salt, payload)
    )
    return SealedEvent(encode_header(SCHEMAS, header._replace(**changes)), salt, payload)


def opening(**changes: Any) -> SealedEvent:
    return event(0, "chain_open", OPEN, **changes)


def closing(number: int) -> SealedEvent:
    return event(number, "chain_close", {**CLOSE, "event_count": number + 1})


def erased(each: SealedEvent) -> SealedEvent:
    """The event as it stands after its erasure."""
    return SealedEvent(each.header, ZERO16, None)


def digests_of(events: Sequence[SealedEvent], tenant: str = TENANT, service: str = SERVICE) -> list[bytes]:
    prefix = event_prefix(LEDGER, tenant, service)
    return [event_digest(prefix, each.header) for each in events]


class Made(NamedTuple):
    """A sealed batch in parts: ``batch`` may be changed and joined again."""

    seal: bytes
    batch: SealedBatch
    head: ChainHead
    chain_id: bytes

    @property
    def value(self) -> bytes:
        return join_batch(SCHEMAS, self.batch)

    @property
    def digest(self) -> bytes:
        return seal_digest(self.seal)

    def but(self, **parts: Any) -> bytes:
        """The record's value with other parts than were sealed."""
        return join_batch(SCHEMAS, self.batch._replace(**parts))


def seal(
    events: Sequence[SealedEvent], head: ChainHead | None = None, key: Ed25519Signer = KEY, **changes: Any
) -> Made:
    """Seals ``events`` after ``head``, with ``changes`` to the seal's fields before it is signed, right or wrong."""
    head = head or ChainHead()
    unsealed = Seal(
        1,
        LEDGER,
        TENANT,
        SERVICE,
        CHAIN,
        head.seal_number,
        head.previous_seal,
        head.first_sequence,
        len(events),
        b"",
        START + (head.seal_number + 1) * SECOND,
        60,
        b"",
        key.key_id,
    )._replace(**changes)
    frames = SCHEMAS.by_name["Seal"].frame, SCHEMAS.by_name["SealedBatch"].frame
    if not unsealed.events_root:
        root = tree_head(digests_of(events, unsealed.tenant, unsealed.service))
        unsealed = unsealed._replace(events_root=root)
    if not unsealed.schemas:
        unsealed = unsealed._replace(schemas=used_schemas(SCHEMAS, *frames, events) or bytes(32))
    return sign(SCHEMAS.encode("Seal", unsealed._asdict()), events, head, key, unsealed.chain_id)


def sign(
    raw: bytes, events: Sequence[SealedEvent], head: ChainHead, key: Ed25519Signer = KEY, chain_id: bytes = CHAIN
) -> Made:
    """A batch of ``events`` under the exact bytes ``raw`` of a seal, well signed."""
    batch = SealedBatch(raw, [Signature(key.key_id, key.sign(seal_message(raw)))], list(events))
    following = ChainHead(head.seal_number + 1, seal_digest(raw), head.first_sequence + len(events))
    return Made(raw, batch, following, chain_id)


def zigzag(number: int) -> bytes:
    """The canonical varint of an Avro long."""
    left = (number << 1) ^ (number >> 63)
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def overlong(data: bytes, at: int) -> bytes:
    """``data`` with the one-byte varint at ``at`` written in two."""
    return data[:at] + bytes([data[at] | 0x80, 0]) + data[at + 1 :]


def block(items: Sequence[bytes]) -> bytes:
    """A canonical Avro array."""
    return zigzag(len(items)) + b"".join(items) + b"\0" if items else b"\0"


def negative_block(items: Sequence[bytes]) -> bytes:
    """An Avro array whose count is negative and followed by its size: valid, and not canonical."""
    body = b"".join(items)
    return zigzag(-len(items)) + zigzag(len(body)) + body + b"\0"


def split_blocks(items: Sequence[bytes]) -> bytes:
    """An Avro array in a block for each item: valid, and not canonical."""
    return b"".join(zigzag(1) + each for each in items) + b"\0"


def data(value: bytes) -> bytes:
    return zigzag(len(value)) + value


def signature_items(batch: SealedBatch) -> list[bytes]:
    return [data(each.key_id.encode()) + data(each.signature) for each in batch.signatures]


def event_items(batch: SealedBatch) -> list[bytes]:
    return [
        data(each.header) + each.salt + (b"\0" if each.payload is None else b"\x02" + data(each.payload))
        for each in batch.events
    ]


def frame(seal: bytes, signatures: bytes, events: bytes) -> bytes:
    """A SealedBatch from its encoded parts."""
    return SCHEMAS.by_name["SealedBatch"].frame + data(seal) + signatures + events
