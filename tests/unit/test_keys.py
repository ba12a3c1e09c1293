"""Keys: one thumbprint a key, one signature a message, and nothing lenient in between."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.trust.keys import KeyRefused, PublicKey, b64url, b64url_decode, jwk_of, read_jwk, thumbprint
from tests.sealing import KEY
from tests.vector_cases.signatures import ORDER, twisted

SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert read_jwk({"kty": "OKP", "crv": "Ed25519", "x": x}).key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert thumbprint(b64url_decode(x)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_signature_verifies_and_with_any_bit_changed_does_not() -> None:
    signature = KEY.sign(b"message")
    assert KEY.public.verifies(b"message", signature)
    assert not KEY.public.verifies(b"messagf", signature)
    for at in range(64):
        for bit in (1, 0x80):
            assert not KEY.public.verifies(
                b"message", signature[:at] + bytes([signature[at] ^ bit]) + signature[at + 1 :]
            )


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_does_not_verify_and_does_not_raise(length: int) -> None:
    assert not KEY.public.verifies(b"message", (KEY.sign(b"message") * 2)[:length])


def test_an_s_that_is_not_reduced_and_a_twisted_r_do_not_verify() -> None:
    signature = KEY.sign(b"message")
    more = (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
    assert not KEY.public.verifies(b"message", signature[:32] + more)
    assert not KEY.public.verifies(b"message", twisted(b"message"))


@pytest.mark.parametrize("raw", SMALL_ORDER)
def test_under_a_key_of_small_order_nothing_verifies(raw: str) -> None:
    weak = PublicKey(bytes.fromhex(raw))
    for r in SMALL_ORDER:
        assert not any(weak.verifies(b"%d" % n, bytes.fromhex(r) + bytes(32)) for n in range(16))


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        [],
        "key",
        {},
        {"kty": "OKP", "crv": "Ed448", "x": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "AKP", "pub": "AA"},
        {"kty": ["OKP"], "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "x": 5},
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(bytes(31))},
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(bytes(32)) + "="},
        {**jwk_of(KEY.public.raw), "d": "AA"},
    ],
)
def test_anything_but_a_public_ed25519_jwk_is_refused_in_words(jwk: Any) -> None:
    with pytest.raises(KeyRefused, match=r"\w+ \w+"):
        read_jwk(jwk)


@pytest.mark.parametrize("text", ["A", "AB", "AA==", "AA\n", "A+", "é", "AA AA"])
def test_base64url_that_is_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(KeyRefused):
        b64url_decode(text)
