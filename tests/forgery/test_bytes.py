"""No byte of a batch can be changed unseen: each is refused by the reason of the place where it stands."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from ledger.format.batch import ChainHead, Signature
from ledger.trust.bundle import read_bundle
from ledger.trust.verdict import Judge, Rejected, VerifiedBatch
from tests.sealing import (
    CHAIN,
    LEDGER,
    ROOT,
    SCHEMAS,
    SECOND,
    START,
    Made,
    bundle_of,
    data,
    event,
    key_statement,
    opening,
    seal,
    signer,
    zigzag,
)

AT = START + 2 * SECOND
JUDGE = Judge(SCHEMAS, LEDGER, read_bundle(bundle_of(key_statement()), ROOT.public, LEDGER))
CHANGES = (*(1 << bit for bit in range(8)), 0xFF, 0x55, 0xAA, 0x0F, 0xF0, 0x7F, 0x81, 0x3C)
"""What a byte is combined with (XOR): every single bit, and eight more."""

REASONS = {
    "mark": {"malformed"},
    "fingerprint": {"schema_unknown"},
    "length": {"malformed"},
    "seal mark": {"malformed"},
    "seal fingerprint": {"schema_unknown"},
    "format": {"schema_unknown", "malformed"},
    "ledger": {"wrong_ledger", "malformed"},
    "chain_id": {"wrong_key"},
    "previous_seal": {"malformed", "bad_signature"},
    "key_id": {"unknown_key", "malformed"},
    "bytes": {"bad_signature"},
    "text": {"bad_signature", "malformed"},
    "number": {"bad_signature", "malformed"},
    "signer": {"bad_signature", "malformed"},
    "signature": {"bad_signature"},
    "header": {"bad_root"},
    "salt": {"bad_payload"},
    "payload": {"bad_payload"},
}
"""By what the byte belongs to. Of a text, `malformed` where it is no longer UTF-8 or holds U+0000; of a number, where it breaks a
limit or is not the shortest form. A first seal that has a previous one is `malformed` before it is wrongly signed.
`length` is every length, count and union index, of the frame and inside the seal: a byte more or less there moves all that
follows."""


class Part(NamedTuple):
    start: int
    stop: int
    name: str


def parts_of(made: Made) -> list[Part]:
    """Every byte of ``made.value``, by what it belongs to, laid out anew from the format's page."""
    laid: list[tuple[str, bytes]] = [("mark", made.value[:2]), ("fingerprint", made.value[2:10])]
    laid += [("length", zigzag(len(made.seal))), *_seal_parts(made)]
    laid.append(("length", zigzag(len(made.batch.signatures))))
    for each in made.batch.signatures:
        laid += [("length", zigzag(len(each.key_id))), ("signer", each.key_id.encode())]
        laid += [("length", zigzag(len(each.signature))), ("signature", each.signature)]
    laid += [("length", b"\0"), ("length", zigzag(len(made.batch.events)))]
    for one in made.batch.events:
        assert one.payload is not None
        laid += [("length", zigzag(len(one.header))), ("header", one.header), ("salt", one.salt)]
        laid += [("length", b"\x02" + zigzag(len(one.payload))), ("payload", one.payload)]
    laid.append(("length", b"\0"))
    assert b"".join(each for _, each in laid) == made.value
    parts, at = [], 0
    for name, each in laid:
        parts.append(Part(at, at + len(each), name))
        at += len(each)
    return parts


def _seal_parts(made: Made) -> Iterator[tuple[str, bytes]]:
    sealed = SCHEMAS.decode(made.seal, "Seal")
    yield "seal mark", made.seal[:2]
    yield "seal fingerprint", made.seal[2:10]
    for name, value in sealed.items():
        if isinstance(value, str):
            yield "length", data(value.encode())[: -len(value)]
            yield (name if name in ("ledger", "key_id") else "text"), value.encode()
        elif isinstance(value, bytes):
            yield (name if name in ("chain_id", "previous_seal") else "bytes"), value
        elif name == "next_within":
            yield "length", b"\x02"
            yield "number", zigzag(value)
        else:
            yield ("format" if name == "format" else "number"), zigzag(value)


def judged(value: bytes) -> VerifiedBatch | Rejected:
    return JUDGE.judge(CHAIN, value, AT)


def with_byte(value: bytes, at: int, change: int) -> bytes:
    return value[:at] + bytes([value[at] ^ change]) + value[at + 1 :]


def misjudged(made: Made, offsets: Sequence[int], changes: Sequence[int]) -> list[str]:
    """The changed bytes that were admitted, or refused by a reason that is not their place's."""
    parts = iter(parts_of(made))
    part = next(parts)
    wrong = []
    for at in offsets:
        while at >= part.stop:
            part = next(parts)
        for change in changes:
            verdict = judged(with_byte(made.value, at, change))
            reason = verdict.reason if isinstance(verdict, Rejected) else "admitted"
            if reason not in REASONS[part.name]:
                wrong.append(f"byte {at} ({part.name}) with {change:#x}: {reason}")
    return wrong


def test_every_byte_of_two_events_changed_in_sixteen_ways_is_refused_by_the_reason_of_its_place() -> None:
    made = seal([opening(), event(1)])
    assert isinstance(judged(made.value), VerifiedBatch)
    assert misjudged(made, range(len(made.value)), CHANGES) == []


def test_bytes_of_a_full_batch_are_refused_by_the_reason_of_their_place() -> None:
    made = seal([opening(), *(event(number) for number in range(1, 256))])
    assert isinstance(judged(made.value), VerifiedBatch)
    rng = random.Random(256)
    offsets = sorted(rng.sample(range(len(made.value)), 150))
    assert misjudged(made, offsets, (rng.choice(CHANGES),)) == []


def test_bytes_of_a_later_batch_are_refused_too() -> None:
    made = seal([event(5), event(6)], ChainHead(3, bytes(range(32)), 5))
    assert misjudged(made, range(0, len(made.value), 3), (0x01, 0x80)) == []


def test_signatures_beside_the_first_are_carried_and_change_nothing() -> None:
    """Format 1 ignores them: whoever writes to the log may change or drop them, and it is still the same seal."""
    other = signer("other")
    made = seal([opening(), event(1)])
    second = Signature(other.key_id, other.sign(b"anything"))
    both = made.but(signatures=[*made.batch.signatures, second])
    at = both.index(second.signature)
    for value in (both, *(with_byte(both, at + offset, 0x01) for offset in range(64)), made.value):
        verdict = judged(value)
        assert isinstance(verdict, VerifiedBatch)
        assert (verdict.seal_digest, verdict.chain.key_id) == (made.digest, made.batch.signatures[0].key_id)


def test_the_first_signature_decides_whoever_else_signed_rightly() -> None:
    made = seal([opening(), event(1)])
    right, wrong = made.batch.signatures[0], Signature(made.batch.signatures[0].key_id, bytes(64))
    verdict = judged(made.but(signatures=[wrong, right]))
    assert isinstance(verdict, Rejected)
    assert verdict.reason == "bad_signature"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_bytes_taken_out_or_put_in_anywhere_are_refused(size: int) -> None:
    value = seal([opening(), event(1)]).value
    for at in range(0, len(value), size):
        assert isinstance(judged(value[:at] + value[at + size :]), Rejected)
        assert isinstance(judged(value[: at + size] + value[at : at + size] + value[at + size :]), Rejected)
