# ruff: noqa: E501 - a row a case
"""Signatures that do not verify, and those that just do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256, sha512

from nacl.bindings import crypto_core_ed25519_add, crypto_scalarmult_ed25519_base_noclamp

from ledger.format.batch import SealedBatch, SealedEvent, Signature
from ledger.format.hashing import seal_message
from ledger.trust.keys import jwk_of, thumbprint
from tests.sealing import KEY, START, bundle_of, event, key_statement, opening, seal
from tests.vector_cases.case import OTHER, Case, rejected


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
        ("no-label", "a signature over the seal without its label", [Signature(KEY.key_id, KEY.sign(raw))]),
        ("s-plus-l", "a signature whose S is not reduced", [Signature(KEY.key_id, _unreduced(mine.signature))]),
        ("torsion", "R with a small-order part: only a cofactored check passes", [Signature(KEY.key_id, twisted(seal_message(raw)))]),
    ):  # fmt: skip
        yield rejected("bad_signature", name, title, made.but(signatures=signatures))
    sealed_at = seal(events, sealed_at=START)
    swapped = SealedBatch(sealed_at.seal, batch.signatures, batch.events)
    yield rejected("bad_signature", "other-seal", "the signature of another seal", made._replace(batch=swapped).value)
    weak = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    yield _small_order(events, weak)


ORDER = 2**252 + 27742317777372353535851937790883648493


def _unreduced(signature: bytes) -> bytes:
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")


def twisted(message: bytes) -> bytes:
    """A signature by the service's key whose R has a part of order 8: S·8·B = 8·R + 8·h·A, and not without the 8."""
    seed = sha256(b"answerable test key service").digest()
    scalar = bytearray(sha512(seed).digest()[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    nonce = 12345
    torsion = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    plain = crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    r = crypto_core_ed25519_add(plain, torsion)
    h = int.from_bytes(sha512(r + KEY.public.raw + message).digest(), "little") % ORDER
    return r + ((nonce + h * int.from_bytes(scalar, "little")) % ORDER).to_bytes(32, "little")


def _small_order(events: Sequence[SealedEvent], weak: bytes) -> Case:
    """A trusted key of small order, under which R = identity, S = 0 fits about every eighth message."""
    statement = {**key_statement(), "key": jwk_of(weak)}
    key_id = thumbprint(weak)
    made = seal(events, key_id=key_id)
    identity = b"\x01" + bytes(63)
    value = made.but(signatures=[Signature(key_id, identity)])
    return rejected("bad_signature", "small-order-key", "a key of small order", value, bundle=bundle_of(statement))
