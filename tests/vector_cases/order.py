# ruff: noqa: E501 - a row a case
"""Two faults in a record, of steps that follow each other (section 8 of the page): the first of them gives the reason."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from ledger.format.batch import ChainHead, SealedEvent, Signature
from ledger.format.codec import FRAME
from ledger.format.limits import BATCH_BYTES
from tests.sealing import (
    KEY,
    SECOND,
    START,
    block,
    bundle_of,
    event,
    event_items,
    frame,
    key_statement,
    opening,
    overlong,
    seal,
    sign,
    signature_items,
    split_blocks,
)
from tests.vector_cases.case import FOREIGN, OTHER, Case, rejected

AT = START + 2 * SECOND
"""The append time of a chain's first seal in the vectors."""
ELSEWHERE = {"tenants": ["other"]}
OVER = {"until": AT}
REVOKED = {"type": "revocation", "key_id": KEY.key_id, "from": AT}


def cases() -> Iterator[Case]:
    yield from _reading()
    yield from _trusting()
    yield from _opening()


def _reading() -> Iterator[Case]:
    """Steps 2 to 8."""
    events = [opening(), event(1)]
    made = seal(events)
    signatures, items = block(signature_items(made.batch)), event_items(made.batch)
    strange = FOREIGN + made.seal[FRAME:]
    long = FOREIGN + bytes(2048)
    second = seal(events, format=2).seal
    yield rejected("oversize", "and-no-mark", "too large, and no frame", b"\0", zeros=BATCH_BYTES)
    for name, title, bad in (
        ("no-events-and-unknown-seal", "no events, and a seal of an unknown schema", frame(strange, signatures, block([]))),
        ("two-blocks-and-unknown-seal", "two blocks, and a seal of an unknown schema", frame(strange, signatures, split_blocks(items))),
        ("seal-too-long-and-unknown", "a seal over 2 KiB, and of an unknown schema", sign(long, events, ChainHead()).value),
        ("seal-overlong-format-2", "format 2, in more bytes than it needs", sign(overlong(second, FRAME), events, ChainHead()).value),
        ("time-and-wrong-ledger", "sealed before 1970, for another ledger", seal(events, sealed_at=-1, ledger="other.example").value),
    ):  # fmt: skip
        yield rejected("malformed", name, title, bad)
    bad = seal(events, format=2, sealed_at=-1).value
    yield rejected("schema_unknown", "format-and-time", "format 2, sealed before 1970", bad)


def _trusting() -> Iterator[Case]:
    """Steps 8 to 13."""
    events = [opening(), event(1)]
    made = seal(events)
    signature = made.batch.signatures[0].signature
    unsigned = made.but(signatures=[Signature(KEY.key_id, bytes([signature[0] ^ 1]) + signature[1:])])
    bad = seal(events, ledger="other.example").value
    yield rejected("wrong_ledger", "and-wrong-key", "another ledger, another record key", bad, key=bytes(16))
    bad = seal(events, key=OTHER).value
    yield rejected("wrong_key", "and-unknown-key", "another record key, a key that nobody named", bad, key=bytes(16))
    yield rejected("unknown_key", "and-bad-signature", "a key that nobody named, a bad signature", unsigned, bundle=b"")
    revoked = bundle_of(key_statement(), REVOKED)
    elsewhere, over = bundle_of(key_statement(**ELSEWHERE)), bundle_of(key_statement(**OVER))
    rootless = seal(events, events_root=sha256(b"root").digest()).value
    for reason, name, bundle in (
        ("revoked_key", "revoked", revoked),
        ("wrong_scope", "out of scope", elsewhere),
        ("expired_key", "expired", over),
    ):
        title = f"a bad signature by a key that is {name}"
        yield rejected("bad_signature", f"and-{reason}", title, unsigned, bundle=bundle)
        yield rejected(reason, "and-bad-root", f"another root under a key that is {name}", rootless, bundle=bundle)
    both = bundle_of(key_statement(**OVER), REVOKED)
    yield rejected("revoked_key", "and-expired", "revocation comes before time", made.value, bundle=both)
    both = bundle_of(key_statement(**ELSEWHERE, **OVER))
    yield rejected("wrong_scope", "and-expired", "scope comes before time", made.value, bundle=both)


def _opening() -> Iterator[Case]:
    """Steps 13 to 17."""
    first, second, third = events = [opening(), event(1), event(2)]
    strange = SealedEvent(FOREIGN + third.header[FRAME:], third.salt, third.payload)
    swapped = second._replace(payload=third.payload)
    unknown = seal([first, strange], events_root=sha256(b"root").digest()).value
    yield rejected("bad_root", "and-unknown-header", "another root, and a header of an unknown schema", unknown)
    payload = seal([first, swapped, strange]).value
    title = "a bad payload, and after it a header of an unknown schema: headers come first"
    yield rejected("schema_unknown", "header-and-bad-payload", title, payload)
    closed = seal([second._replace(payload=third.payload), third]).value
    yield rejected("bad_payload", "and-no-open", "a bad payload where no chain_open is first", closed)
    others = seal(events[1:], schemas=sha256(b"others").digest()).value
    yield rejected("malformed", "no-open-and-other-schemas", "no chain_open, and other schema files", others)
