"""The sealed batch: 1 to 256 consecutive events of a chain under one signature. Sealing here; judging in ``ledger.trust``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ledger.format.codec import FRAME, Malformed, Schemas
from ledger.format.hashing import (
    ZERO32,
    event_digest,
    event_prefix,
    schema_set_digest,
    seal_digest,
    seal_message,
)
from ledger.format.limits import BATCH_BYTES, EVENTS_PER_SEAL, FORMAT, SEAL_BYTES, SIGNATURES
from ledger.format.merkle import tree_head


class Seal(NamedTuple):
    """The fields of ``Seal``, in the schema's order. ``sealed_at`` µs UTC, ``next_within`` seconds."""

    format: int
    ledger: str
    tenant: str
    service: str
    chain_id: bytes
    seal_number: int
    previous_seal: bytes
    first_sequence: int
    event_count: int
    events_root: bytes
    sealed_at: int
    next_within: int | None
    schemas: bytes
    key_id: str


class Signature(NamedTuple):
    key_id: str
    signature: bytes


class SealedEvent(NamedTuple):
    """An event as it stands in a batch; ``payload`` None where it was erased (and ``salt`` is zero then)."""

    header: bytes
    salt: bytes
    payload: bytes | None


class SealedBatch(NamedTuple):
    """The frame, split: nothing in it is verified."""

    seal: bytes
    signatures: Sequence[Signature]
    events: Sequence[SealedEvent]


class ChainHead(NamedTuple):
    """Where the next seal of a chain goes on."""

    seal_number: int = 0
    previous_seal: bytes = ZERO32
    first_sequence: int = 0


class Chain(NamedTuple):
    """What every seal of one chain has in common: together they *are* the chain."""

    ledger: str
    tenant: str
    service: str
    key_id: str
    chain_id: bytes


class Sealed(NamedTuple):
    """What sealing gives: the record's value, its seal's digest, and where the chain goes on."""

    value: bytes
    seal_digest: bytes
    head: ChainHead


def split_batch(schemas: Schemas, value: bytes) -> SealedBatch:
    """The parts of a record's value; raises ``Malformed`` (also where the encoding is not canonical) or ``SchemaUnknown``."""
    batch: SealedBatch = schemas.decode_strictly(value, "SealedBatch", SealedBatch, Signature, SealedEvent)
    if not 1 <= len(batch.events) <= EVENTS_PER_SEAL:
        raise Malformed(f"{len(batch.events)} events in a batch; 1 to {EVENTS_PER_SEAL} are allowed")
    if not 1 <= len(batch.signatures) <= SIGNATURES:
        raise Malformed(f"{len(batch.signatures)} signatures; 1 to {SIGNATURES} are allowed")
    return batch


def join_batch(schemas: Schemas, batch: SealedBatch) -> bytes:
    """The record's value of ``batch``: the inverse of ``split_batch``, byte for byte."""
    return schemas.encode(
        "SealedBatch",
        {
            "seal": batch.seal,
            "signatures": [each._asdict() for each in batch.signatures],
            "events": [{"header": each.header, "salt": each.salt, "payload": each.payload} for each in batch.events],
        },
    )


def decode_seal(schemas: Schemas, data: bytes) -> Seal:
    """The seal in ``data``, whatever its ``format``; raises ``Malformed`` or ``SchemaUnknown``. Its strings can be stored."""
    if len(data) > SEAL_BYTES:
        raise Malformed(f"the seal has {len(data)} bytes; the limit is {SEAL_BYTES}")
    seal: Seal = schemas.decode_strictly(data, "Seal", Seal)
    return seal


def used_schemas(
    schemas: Schemas, seal_frame: bytes, batch_frame: bytes, events: Sequence[SealedEvent]
) -> bytes | None:
    """``Seal.schemas`` of a batch: of its frame, seal, headers and payloads. None where a schema cannot be told."""
    frames = {seal_frame, batch_frame}
    for event in events:
        if event.payload is None:
            return None
        frames.add(event.header[:FRAME])
        frames.add(event.payload[:FRAME])
    known = [schemas.by_frame.get(frame) for frame in frames]
    pairs = {schema.pair for schema in known if schema is not None}
    return schema_set_digest(pairs) if len(pairs) == len(frames) else None


def seal_events(
    schemas: Schemas,
    chain: Chain,
    head: ChainHead,
    events: Sequence[SealedEvent],
    *,
    sealed_at: int,
    next_within: int | None,
    sign: Callable[[bytes], bytes],
) -> Sealed:
    """Seals ``events`` as the next batch after ``head``. ``next_within`` 0 means that the last event closes the chain.

    Raises ``ValueError`` for a count or size beyond the limits: cutting is the caller's.
    """
    if not 1 <= len(events) <= EVENTS_PER_SEAL:
        raise ValueError(f"{len(events)} events in a batch; 1 to {EVENTS_PER_SEAL} are allowed")
    used = used_schemas(schemas, schemas.by_name["Seal"].frame, schemas.by_name["SealedBatch"].frame, events)
    if used is None:
        raise ValueError("an event to seal has no payload, or one of a schema that is not published")
    prefix = event_prefix(chain.ledger, chain.tenant, chain.service)
    root = tree_head([event_digest(prefix, event.header) for event in events])
    seal = schemas.encode(
        "Seal",
        Seal(
            FORMAT,
            chain.ledger,
            chain.tenant,
            chain.service,
            chain.chain_id,
            head.seal_number,
            head.previous_seal,
            head.first_sequence,
            len(events),
            root,
            sealed_at,
            next_within,
            used,
            chain.key_id,
        )._asdict(),
    )
    signature = Signature(chain.key_id, sign(seal_message(seal)))
    value = join_batch(schemas, SealedBatch(seal, [signature], events))
    if len(seal) > SEAL_BYTES or len(value) > BATCH_BYTES:
        raise ValueError(f"a batch of {len(value)} bytes with a seal of {len(seal)} is over the limits")
    digest = seal_digest(seal)
    return Sealed(value, digest, ChainHead(head.seal_number + 1, digest, head.first_sequence + len(events)))
