"""What an importer derives from its kept secret: ids, salts, and what stands in the place of secrets and of personal ids.

An imported event depends on its own record, this secret, the tenant and the service alone: importing it again gives the same
bytes. Whoever has the secret can tell which record became which event; without it, salted digests stay closed.
"""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

from ledger.errors import ConfigurationError
from ledger.format import ids
from ledger.format.limits import HEADER_STRING_BYTES
from ledger.importers.json_text import MASKED

SECRET_BYTES: Final = 32


class Derivation:
    """Keys for one tenant, each for one use. ``correlation_key`` is the tenant's; without one, the importer has its own."""

    __slots__ = ("_content", "_correlation", "_event", "_mask", "_person", "_salt", "tenant")

    def __init__(self, secret: bytes, tenant: str, correlation_key: bytes | None = None) -> None:
        if len(secret) < SECRET_BYTES:
            raise ConfigurationError(f"an importer secret has {SECRET_BYTES} bytes; remove the file to make a new one")
        self.tenant = tenant
        scope = b"\0" + tenant.encode()
        self._event = hmac.digest(secret, b"event" + scope, sha256)
        self._salt = hmac.digest(secret, b"salt" + scope, sha256)
        self._content = hmac.digest(secret, b"content" + scope, sha256)
        self._person = hmac.digest(secret, b"person" + scope, sha256)
        self._mask = hmac.digest(secret, b"mask" + scope, sha256)
        self._correlation = correlation_key or hmac.digest(secret, b"correlation" + scope, sha256)

    def event_id(self, milliseconds: int, record: bytes, role: str) -> bytes:
        """The id of the event that ``record`` (its name) gives in ``role``."""
        return ids.uuid8(milliseconds, self._event, record + b"\0" + role.encode())

    def event_salt(self, event_id: bytes) -> bytes:
        return hmac.digest(self._salt, event_id, sha256)[:16]

    def content_salt(self, within: bytes, media_type: str, data: bytes) -> bytes:
        """Differs from record to record, or whatever it is to be told ``within``: beyond, nobody sees that two say the same."""
        return hmac.digest(self._content, b"\0".join((within, media_type.encode(), data)), sha256)[:16]

    def person_salt(self, person: str) -> bytes:
        """The same in every record: the person's digest is a pseudonym."""
        return hmac.digest(self._person, person.encode(), sha256)[:16]

    def masked(self, secret: str) -> str:
        """What stands in the place of ``secret``. Keyed, because a short password can be guessed from a bare digest."""
        return f"{MASKED.decode()}{hmac.digest(self._mask, secret.encode(), sha256).hex()}]"

    def pseudonym(self, personal: str) -> str:
        """An id that is personal, as it may stand in a header or payload."""
        return "hmac:" + hmac.digest(self._correlation, personal.encode(), sha256).hex()

    def fitting(self, value: str, limit: int = HEADER_STRING_BYTES) -> str:
        """``value``, or its pseudonym where it is longer than ``limit`` bytes: nothing is cut short."""
        return value if len(value.encode()) <= limit else self.pseudonym(value)


def open_secret(path: Path) -> bytes:
    """The importer secret in ``path``, made at first use (mode 0600); raises ``ConfigurationError``.

    It is to be kept: with another one, importing the same files again adds every event a second time.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        _make(path)
        return _read(path)


def _read(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        raise ConfigurationError(f"{path} is not an importer secret; restore it from a copy") from None
    if len(secret) != SECRET_BYTES:
        raise ConfigurationError(f"{path} is not an importer secret; restore it from a copy")
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path} can be read by others; make it yours only: chmod 600 {path}")
    return secret


def _make(path: Path) -> None:
    """Writes beside and links, so that two importers that start together agree on one secret."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
