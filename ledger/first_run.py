"""The first run on a machine: a ledger of one's own, with a root key, a name and an empty trust bundle.

Only where nothing is configured: a ledger that an operator runs is never touched. Safe to run again and at the same time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ledger.errors import ConfigurationError
from ledger.settings import Settings
from ledger.signers import Ed25519Signer, create_key, load_key
from ledger.trust.bundle import ANY, NAMED_KINDS
from ledger.trust.keys import jwk_of
from ledger.trust_file import extend_bundle_file, read_bundle_file, read_public_key, replace_file

ROOT: Final = "root"
EVERY_KIND: Final = (ANY, *sorted(NAMED_KINDS))


def root_key_path(settings: Settings) -> Path:
    """Where the root's private key lies, if this machine is the operator's."""
    return settings.keys_path / f"{ROOT}.jwk"


def prepare_ledger(settings: Settings) -> list[str]:
    """Makes what is missing for a ledger of this machine's own, and says what it made, a sentence each.

    Raises ``ConfigurationError`` where a ledger is half configured: guessing the other half would fork its trust.
    """
    if settings.ledger is not None and settings.trust_root is not None:
        return []
    if settings.ledger is not None or settings.trust_root is not None:
        missing = "TRUST_ROOT" if settings.trust_root is None else "LEDGER"
        raise ConfigurationError(f"ANSWERABLE_{missing} is not set: ask the ledger's operator for it")
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(settings.data_dir / ".first-run.lock"):
        if settings.settings_file.exists():
            if "trust_root" in settings.settings_file.read_text():
                return []
            raise ConfigurationError(f"{settings.settings_file} names no ledger and trust_root: add both, or remove it")
        path = root_key_path(settings)
        root = load_key(path) if path.exists() else create_key(path)
        public = path.with_suffix(".public.jwk")
        replace_file(public, json.dumps({**jwk_of(root.public.raw), "kid": root.key_id}).encode() + b"\n")
        name = f"local-{secrets.token_hex(4)}"
        if not settings.bundle_path.exists():
            replace_file(settings.bundle_path, b"")
        replace_file(settings.settings_file, f'ledger = "{name}"\ntrust_root = {json.dumps(str(public))}\n'.encode())
    return [
        f"made a ledger of your own, {name}, in {settings.data_dir}",
        f"its root key is {path}: whoever has it decides whom the ledger trusts",
    ]


def prepare_service(
    settings: Settings, service: str, *, role: str = "source", kinds: Sequence[str] = EVERY_KIND, now: int | None = None
) -> Ed25519Signer:
    """The signing key of ``service``, made and trusted for the settings' tenant where this machine holds the root key.

    Raises ``ConfigurationError`` where the key is not trusted and only the operator can change that.
    """
    path = settings.key_path(service)
    with _locked(settings.data_dir / ".first-run.lock"):
        signer = load_key(path) if path.exists() else create_key(path)
    ledger = settings.require_ledger()
    root = read_public_key(require_root(settings))
    at = time.time_ns() // 1000 if now is None else now
    known = read_bundle_file(settings.bundle_path, root, ledger) if settings.bundle_path.exists() else None
    if known is not None and not isinstance(known.authority(signer.key_id, settings.tenant, service, at), str):
        return signer
    root_path = root_key_path(settings)
    if not root_path.exists():
        raise ConfigurationError(
            f"the key {signer.key_id} of {service} is not trusted for tenant {settings.tenant}: "
            f"send {path} without its 'd' to the ledger's operator, for `answerable keys trust`"
        )
    # A key is trusted from a little before it is first used: the log's clock may be behind ours.
    statement = statement_of(
        signer.public.raw, role=role, tenants=[settings.tenant], services=[service], kinds=kinds, start=at - 300_000_000
    )
    extend_bundle_file(settings.bundle_path, root, ledger, statement, load_key(root_path))
    return signer


def require_root(settings: Settings) -> str:
    if settings.trust_root is None:
        raise ConfigurationError(
            "no trust root is configured: run `answerable serve` once for a ledger of your own, or set "
            "ANSWERABLE_TRUST_ROOT to the operator's public key"
        )
    return settings.trust_root


def statement_of(
    public: bytes,
    *,
    role: str,
    tenants: Sequence[str],
    services: Sequence[str],
    kinds: Sequence[str],
    start: int,
    until: int | None = None,
) -> dict[str, object]:
    """A trust statement about a key, as ``ledger.trust.bundle`` defines it. ``start`` and ``until`` µs UTC of append time."""
    return {
        "type": "key",
        "key": jwk_of(public),
        "role": role,
        "tenants": list(tenants),
        "services": list(services),
        "kinds": list(kinds),
        "from": start,
        "until": until,
    }


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
