"""Public keys as JWK and what verifies under them. The algorithm follows from the key, never from the message.

Ed25519 is checked as libsodium does: cofactorless, S < L, small-order A and R refused. ES256 and ML-DSA-44 are reserved:
a trust statement with such a key is refused, in words.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import rfc8785
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

RESERVED: Final = {"EC": "ES256", "AKP": "ML-DSA-44"}


class KeyRefused(ValueError):
    """A JWK that this format cannot verify under; the message says why."""


class PublicKey:
    """An Ed25519 public key, ready to verify."""

    __slots__ = ("_verify_key", "key_id", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise KeyRefused(f"an Ed25519 public key has 32 bytes, not {len(raw)}")
        self.raw = raw
        self.key_id = thumbprint(raw)
        self._verify_key = VerifyKey(raw)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over ``message``; False for anything malformed."""
        try:
            self._verify_key.verify(message, signature)
        except (BadSignatureError, ValueError, TypeError):
            return False
        return True


def jwk_of(raw: bytes) -> dict[str, str]:
    """The JWK (RFC 8037) of an Ed25519 public key."""
    return {"crv": "Ed25519", "kty": "OKP", "x": b64url(raw)}


def thumbprint(raw: bytes) -> str:
    """RFC 7638 thumbprint, base64url, of an Ed25519 public key: the ``key_id``."""
    return b64url(sha256(rfc8785.dumps(jwk_of(raw))).digest())


def read_jwk(jwk: object) -> PublicKey:
    """The key in a JWK; raises ``KeyRefused``."""
    if not isinstance(jwk, Mapping):
        raise KeyRefused("the key is not a JWK object")
    kind = jwk.get("kty")
    if isinstance(kind, str) and kind in RESERVED:
        raise KeyRefused(f"{RESERVED[kind]} is reserved and not yet verified here; use an Ed25519 key")
    if kind != "OKP" or jwk.get("crv") != "Ed25519" or not isinstance(jwk.get("x"), str):
        raise KeyRefused("the key is not an Ed25519 JWK {kty: OKP, crv: Ed25519, x}")
    if "d" in jwk:
        raise KeyRefused("the JWK holds a private key; publish its public half only")
    return PublicKey(b64url_decode(jwk["x"]))


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64url_decode(text: str) -> bytes:
    """The bytes of unpadded, canonical base64url; raises ``KeyRefused``."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise KeyRefused("not base64url") from None
    if b64url(data) != text:
        raise KeyRefused("not canonical base64url")
    return data
