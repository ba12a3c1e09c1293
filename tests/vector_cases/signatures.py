# ruff: noqa: E501 - a row a case
"""Signatures that do not verify, and those that just do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256, sha512
from itertools import count

from nacl.bindings import crypto_core_ed25519_add, crypto_scalarmult_ed25519_base_noclamp

from ledger.format.batch import SealedBatch, SealedEvent, Signature
from ledger.format.hashing import seal_message
from ledger.trust.keys import jwk_of, thumbprint
from tests.sealing import KEY, START, Made, bundle_of, event, key_statement, opening, seal
from tests.vector_cases.case import OTHER, Case, Sent, one, rejected


def cases() -> Iterator[Case]:
    events = [opening(), event(1), event(2)]
    made = seal(events)
    raw, batch = made.seal, made.batch
    mine = batch.signatures[0]
    for name, title, signatures in (
        ("bit", "one bit of the signature", [Signature(KEY.key_id, bytes([mine.signature[0] ^ 1]) + mine.signature[1:])]),
        ("short", "a signature of 63 bytes", [Signature(KEY.key_id, mine.signature[:-1])]),
        ("long", "a signature of 65 bytes", [Signature(KEY.key_id, mine.signature + b"\0")]),
        ("other-key", "another key's signature under the seal's key id", [Signature(KEY.key_id, OTHER.sign(seal_message(raw)))]),
        ("other-key-id", "another key's signature first", [Signature(OTHER.key_id, OTHER.sign(seal_message(raw))), mine]),
        ("only-key-id", "this key's good signature under another key id", [Signature(OTHER.key_id, mine.signature)]),
        ("small-order-r", "R is the identity: the equation holds", [Signature(KEY.key_id, small_r(seal_message(raw)))]),
        ("no-label", "a signature over the seal without its label", [Signature(KEY.key_id, KEY.sign(raw))]),
        ("s-plus-l", "a signature whose S is not reduced", [Signature(KEY.key_id, _unreduced(mine.signature))]),
        ("torsion", "R with a small-order part: only a cofactored check passes", [Signature(KEY.key_id, twisted(seal_message(raw)))]),
    ):  # fmt: skip
        yield rejected("bad_signature", name, title, made.but(signatures=signatures))
    sealed_at = seal(events, sealed_at=START)
    swapped = SealedBatch(sealed_at.seal, batch.signatures, batch.events)
    yield rejected("bad_signature", "other-seal", "the signature of another seal", made._replace(batch=swapped).value)
    yield _small_order(events)
    yield from _mixed_order(events)


ORDER = 2**252 + 27742317777372353535851937790883648493
TORSION = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
"""A point of order 8."""
IDENTITY = b"\x01" + bytes(31)


def _unreduced(signature: bytes) -> bytes:
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")


def twisted(message: bytes) -> bytes:
    """A signature by the service's key whose R has a part of order 8: S·8·B = 8·R + 8·h·A, and not without the 8."""
    nonce = 12345
    r = crypto_core_ed25519_add(_times_base(nonce), TORSION)
    return r + _s(nonce, challenge(r, KEY.public.raw, message), _secret())


def small_r(message: bytes) -> bytes:
    """A signature by the service's key with the nonce 0: S·B − h·A is R, the identity."""
    return IDENTITY + _s(0, challenge(IDENTITY, KEY.public.raw, message), _secret())


def challenge(r: bytes, public: bytes, message: bytes) -> int:
    """h of RFC 8032, not reduced."""
    return int.from_bytes(sha512(r + public + message).digest(), "little")


def _secret() -> int:
    """The scalar of the service's key."""
    scalar = bytearray(sha512(sha256(b"answerable test key service").digest()).digest()[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    return int.from_bytes(scalar, "little")


def _times_base(scalar: int) -> bytes:
    return crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(32, "little"))


def _s(nonce: int, h: int, secret: int) -> bytes:
    return ((nonce + h * secret) % ORDER).to_bytes(32, "little")


def _small_order(events: Sequence[SealedEvent]) -> Case:
    """A trusted key of small order, under which R = identity, S = 0 fits about every eighth message."""
    key_id = thumbprint(TORSION)
    made = seal(events, key_id=key_id)
    value = made.but(signatures=[Signature(key_id, IDENTITY + bytes(32))])
    trusted = bundle_of(key_statement(key=jwk_of(TORSION)))
    return rejected("bad_signature", "small-order-key", "a key of small order", value, bundle=trusted)


def _mixed_order(events: Sequence[SealedEvent]) -> Iterator[Case]:
    """Signatures under A = a·B + T, T of order 8. S·B − h·A is R − h·T, so they verify where 8 divides the h that counts."""
    secret = int.from_bytes(sha256(b"mixed").digest(), "little") % ORDER
    public = crypto_core_ed25519_add(_times_base(secret), TORSION)
    made = seal(events, key_id=thumbprint(public))
    message = seal_message(made.seal)

    def first(*, reduced: bool) -> Made:
        """Signed with the first nonce under which 8 divides h modulo L and not h, or the other way round."""
        for nonce in count(1):
            r = _times_base(nonce)
            h = challenge(r, public, message)
            if (h % ORDER % 8 == 0, h % 8 == 0) == (reduced, not reduced):
                break
        signature = Signature(thumbprint(public), r + _s(nonce, h, secret))
        return made._replace(batch=made.batch._replace(signatures=[signature]))

    trusted = bundle_of(key_statement(key=jwk_of(public)))
    yes, no = "a key of mixed order: good with h modulo L only", "a key of mixed order: good without the modulo only"
    yield one("good-mixed-order-key", yes, Sent(first(reduced=True)), bundle=trusted)
    yield rejected("bad_signature", "mixed-order-key", no, first(reduced=False).value, bundle=trusted)
