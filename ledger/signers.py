"""Signing keys in files: an Ed25519 seed as JWK (RFC 8037), readable by its owner only."""

from __future__ import annotations

import json
import os
from pathlib import Path

from nacl.signing import SigningKey

from ledger.errors import ConfigurationError
from ledger.trust.keys import KeyRefused, PublicKey, b64url, b64url_decode, jwk_of


class Ed25519Signer:
    """A ``Signer`` that holds its private key in memory."""

    __slots__ = ("_key", "key_id", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.public = PublicKey(bytes(self._key.verify_key))
        self.key_id = self.public.key_id

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


def create_key(path: Path) -> Ed25519Signer:
    """Makes a new private key at ``path`` (mode 0600); raises ``ConfigurationError`` where a file exists."""
    seed = bytes(SigningKey.generate())
    signer = Ed25519Signer(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists; a key file is never overwritten, choose another name") from None
    with os.fdopen(handle, "w") as file:
        json.dump({**jwk_of(signer.public.raw), "d": b64url(seed), "kid": signer.key_id}, file)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    return signer


def load_key(path: Path) -> Ed25519Signer:
    """The key in ``path``; raises ``ConfigurationError`` naming what is wrong with the file."""
    try:
        jwk = json.loads(path.read_text())
        signer = Ed25519Signer(b64url_decode(jwk["d"]))
    except FileNotFoundError:
        raise ConfigurationError(f"no key at {path}; make one with `answerable keys new`") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, KeyRefused):
        raise ConfigurationError(
            f"{path} is not an Ed25519 private key as JWK; make one with `answerable keys new`"
        ) from None
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path} can be read by others; make it yours only: chmod 600 {path}")
    return signer
