# ruff: noqa: E501 - a row a case
"""Values and seals that do not decode, or break a limit; and schemas that nobody published."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from ledger.format.batch import ChainHead, SealedEvent, Signature
from ledger.format.codec import FRAME
from ledger.format.hashing import ZERO32
from ledger.format.limits import BATCH_BYTES
from tests.sealing import (
    SCHEMAS,
    START,
    TENANT,
    block,
    closing,
    data,
    event,
    event_items,
    frame,
    negative_block,
    opening,
    overlong,
    seal,
    sign,
    signature_items,
    split_blocks,
    zigzag,
)
from tests.vector_cases.case import FOREIGN, Case, rejected


def cases() -> Iterator[Case]:
    yield from _malformed_batches()
    yield from _malformed_seals()
    yield from _unknown_schemas()


def _malformed_batches() -> Iterator[Case]:
    made = seal([opening(), event(1)])
    value, raw, batch = made.value, made.seal, made.batch
    signatures, events = signature_items(batch), event_items(batch)
    whole = frame(raw, block(signatures), block(events))
    cut = value[: len(value) // 2]
    union = bytearray(events[1])
    union[union.index(batch.events[1].salt) + 16] = 0x04
    back = bytearray(events[1])
    back[back.index(batch.events[1].salt) + 16] = 0x01
    many = [event(n) for n in range(1, 257)]
    for name, title, bad in (
        ("no-value", "a record without a value", None),
        ("empty", "a value of no bytes", b""),
        ("no-mark", "the first byte is not C3", b"\xc4" + value[1:]),
        ("nine-bytes", "shorter than a frame", value[:9]),
        ("cut-short", "the second half is missing", cut),
        ("trailing-byte", "one byte after the end", value + b"\0"),
        ("other-record", "the frame names the schema of Seal", SCHEMAS.by_name["Seal"].frame + value[FRAME:]),
        ("overlong-count", "the count of signatures takes two bytes", frame(raw, overlong(block(signatures), 0), block(events))),
        ("negative-block", "a block of events with negative count and size", frame(raw, block(signatures), negative_block(events))),
        ("two-blocks", "a block for each event", frame(raw, block(signatures), split_blocks(events))),
        ("length-2-60", "a seal of 2^60 bytes, says its length", value[:FRAME] + zigzag(2**60) + raw),
        ("length-negative", "a seal of -1 bytes", value[:FRAME] + zigzag(-1) + whole[FRAME + 2 :]),
        ("count-2-60", "2^60 events, says the count", frame(raw, block(signatures), zigzag(2**60) + events[0])),
        ("union-index-2", "a union of two branches with index 2", frame(raw, block(signatures), block([events[0], bytes(union)]))),
        ("union-index-negative", "a union with index -1", frame(raw, block(signatures), block([events[0], bytes(back)]))),
        ("no-events", "no events", frame(raw, block(signatures), block([]))),
        ("257-events", "an event too many", made.but(events=[batch.events[0], *many])),
        ("no-signatures", "no signature", frame(raw, block([]), block(events))),
        ("17-signatures", "a signature too many", made.but(signatures=list(batch.signatures) * 17)),
        ("nul-in-signature", "U+0000 in the key id of a signature", made.but(signatures=[*batch.signatures, Signature("a\0", b"")])),
        ("key-id-not-utf8", "a key id that is not UTF-8", frame(raw, block([data(b"\xc3\x28") + data(b"")]), block(events))),
    ):  # fmt: skip
        yield rejected("malformed", name, title, bad)
    empty = frame(raw, zigzag(100_000) + bytes(0), block([]))
    yield rejected("malformed", "100000-empty-items", "100,000 empty signatures", empty[:-1], zeros=200_002)
    yield rejected("oversize", "one-byte", "a byte over the limit", value, zeros=BATCH_BYTES + 1 - len(value))
    yield rejected(
        "malformed", "largest", "as large as allowed, but for its tail", value, zeros=BATCH_BYTES - len(value)
    )


def _malformed_seals() -> Iterator[Case]:
    events = [opening(), event(1)]
    raw = seal(events).seal
    tenant = raw.index(TENANT.encode())
    long = seal(events, service="s" * 2048)
    broken = (
        ("seal-cut-short", "a seal without its last byte", raw[:-1]),
        ("seal-trailing-byte", "a seal with a byte after its end", raw + b"\0"),
        ("seal-overlong-varint", "the seal's format takes two bytes", overlong(raw, FRAME)),
        ("seal-not-utf8", "a tenant that is not UTF-8", raw[:tenant] + b"\xff" + raw[tenant + 1 :]),
        (
            "seal-surrogate",
            "a tenant with an encoded surrogate",
            raw[:tenant] + b"\xed\xa0\x80e"[:4] + raw[tenant + 4 :],
        ),
        ("seal-nul", "U+0000 in the tenant", raw[:tenant] + b"\0" + raw[tenant + 1 :]),
        ("seal-too-long", "a seal over 2 KiB", long.seal),
        ("seal-empty", "a seal of no bytes", b""),
        ("seal-other-record", "the seal's place holds a header", events[0].header),
    )
    for name, title, bad in broken:
        yield rejected("malformed", name, title, sign(bad, events, ChainHead()).value)
    late = ChainHead(1, sha256(b"seal").digest(), 2)
    for name, title, made in (
        ("seal-number-negative", "a negative seal number", seal([event(2)], late, seal_number=-1)),
        (
            "seal-number-2-53",
            "a seal number beyond 2^53 - 1",
            seal([event(2)], late, seal_number=2**53, sealed_at=START),
        ),
        ("sequence-2-63", "the largest long as first sequence", seal([event(2)], late, first_sequence=2**63 - 1)),
        ("sealed-at-negative", "sealed before 1970", seal(events, sealed_at=-1)),
        ("next-within-negative", "a negative promise", seal(events, next_within=-1)),
        ("next-within-too-long", "a promise of more than 366 days", seal(events, next_within=31_622_401)),
        ("first-with-sequence", "seal 0 begins at sequence 1", seal(events, first_sequence=1)),
        ("first-with-previous", "seal 0 names a seal before it", seal(events, previous_seal=sha256(b"seal").digest())),
        ("later-without-previous", "seal 1 names none before it", seal([event(2)], late, previous_seal=ZERO32)),
        ("later-at-sequence-0", "seal 1 begins at sequence 0", seal([event(2)], late, first_sequence=0)),
        ("no-open", "seal 0 does not begin with chain_open", seal([event(0), event(1)])),
        ("open-later", "seal 1 begins with chain_open", seal([opening()], late)),
        ("close-with-promise", "chain_close, and a promise of a next seal", seal([opening(), closing(1)])),
        ("end-without-close", "next_within 0 without chain_close", seal(events, next_within=0)),
    ):
        yield rejected("malformed", name, title, made.value)


def _unknown_schemas() -> Iterator[Case]:
    events = [opening(), event(1)]
    made = seal(events)
    strange = SealedEvent(FOREIGN + events[1].header[FRAME:], events[1].salt, events[1].payload)
    for name, title, bad in (
        ("frame", "a batch of an unknown schema", FOREIGN + made.value[FRAME:]),
        ("seal", "a seal of an unknown schema", sign(FOREIGN + made.seal[FRAME:], events, ChainHead()).value),
        ("format", "format 2", seal(events, format=2).value),
        ("header", "a header of an unknown schema refuses its record", seal([events[0], strange]).value),
        ("set", "the seal commits to other schema files", seal(events, schemas=sha256(b"others").digest()).value),
    ):
        yield rejected("schema_unknown", name, title, bad)
