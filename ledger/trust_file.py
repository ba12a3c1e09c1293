"""The trust bundle and its root key as files. What the bundle means is ``ledger.trust.bundle``'s business.

The bundle is replaced whole (written beside, synced, renamed), under a lock: a reader sees the old one or the longer one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ledger.errors import ConfigurationError
from ledger.ports import Signer
from ledger.trust.bundle import TrustBundle, TrustError, extend_bundle, read_bundle
from ledger.trust.keys import KeyRefused, PublicKey, b64url_decode, read_jwk


def read_public_key(text: str) -> PublicKey:
    """A public key given as base64url of its 32 bytes, or as the path of a JWK file (of a private one, its public half).

    Raises ``ConfigurationError``.
    """
    try:
        path = Path(text).expanduser()
        if path.is_file():
            jwk = json.loads(path.read_text())
            return read_jwk({name: value for name, value in jwk.items() if name != "d"})
        return PublicKey(b64url_decode(text))
    except (
        KeyRefused,
        OSError,
        ValueError,
        AttributeError,
        RuntimeError,
    ) as error:  # RuntimeError: no such ~user; too deep
        raise ConfigurationError(
            f"{text!r} is neither a file with an Ed25519 public key (JWK) nor such a key in base64url: {error}"
        ) from None


def read_bundle_file(path: Path, root: PublicKey, ledger: str) -> TrustBundle:
    """The verified bundle in ``path``; raises ``ConfigurationError`` where it is missing, ``TrustError`` where it is not ours."""
    return read_bundle(_bytes_of(path), root, ledger)


class WatchedBundle:
    """The bundle in a file, read again when the file changes. ``last`` is the last one that verified."""

    def __init__(self, path: Path, root: PublicKey, ledger: str) -> None:
        self._path, self._root, self._ledger = path, root, ledger
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self.last: TrustBundle | None = None

    def __call__(self) -> TrustBundle:
        """The bundle of now; raises as ``read_bundle_file`` does."""
        with self._lock:
            stamp = _stamp_of(self._path)
            if self.last is None or stamp is None or stamp != self._stamp:
                self.last = read_bundle_file(self._path, self._root, self._ledger)
                self._stamp = stamp
            return self.last


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; None where that cannot be told, as whoever reads it will be."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def extend_bundle_file(
    path: Path, root: PublicKey, ledger: str, statement: Mapping[str, Any], signer: Signer
) -> TrustBundle:
    """Appends one statement, durably, and returns the longer bundle; the file is untouched if anything is wrong."""
    if signer.key_id != root.key_id:
        raise ConfigurationError(
            f"the key {signer.key_id} is not the configured root {root.key_id}: give the root's private key by --root-key"
        )
    with _locked(path):
        data = _bytes_of(path) if path.exists() else b""
        read_bundle(data, root, ledger)
        try:
            longer = extend_bundle(data, ledger, statement, signer.sign)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"the statement cannot be made: {error}") from None
        bundle = read_bundle(longer, root, ledger)
        replace_file(path, longer)
        return bundle


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """``path`` holds ``data`` when this returns, also after a power cut; until then it holds what it held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"no trust bundle at {path}: fetch the operator's, or begin one with `answerable keys trust`"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"the trust bundle {path} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


__all__ = ["TrustError", "WatchedBundle", "extend_bundle_file", "read_bundle_file", "read_public_key", "replace_file"]
