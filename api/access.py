"""Who may ask what: bearer tokens from a file that holds their hashes, each with one tenant and one role.

A line is ``<SHA-256 of the token, hex> <tenant, percent-encoded> <role> <name>``; empty lines and those that begin with # are
skipped. The file is read again when it changes, so that a token is withdrawn by deleting its line.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import unquote

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.problems import Forbidden, Unauthenticated
from ledger.errors import ConfigurationError

Role = Literal["auditor", "operator", "admin"]
Right = Literal["read", "watch"]

RIGHTS: Final[Mapping[str, frozenset[str]]] = {
    "auditor": frozenset({"read"}),
    "operator": frozenset({"watch"}),
    "admin": frozenset({"read", "watch"}),
}
"""``read``: events, answers, executions, findings and chains of the token's tenant. ``watch``: health in full, and metrics."""
RELOAD_SECONDS: Final = 1.0
_TOKEN_BYTES: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. ``name`` is the token's, for the log of accesses."""

    tenant: str
    role: str
    name: str

    def may(self, right: Right) -> bool:
        return right in RIGHTS[self.role]

    def require(self, right: Right) -> None:
        """Raises ``Forbidden`` unless the role has ``right``."""
        if not self.may(right):
            raise Forbidden(f"the role {self.role} may not {right}; ask for a token with another role")


class Tokens:
    """The tokens of a file; without one, everybody who reaches the socket is the administrator of one tenant."""

    def __init__(self, path: Path | None, tenant: str, *, reload_seconds: float = RELOAD_SECONDS) -> None:
        self._path = path
        self._reload_seconds = reload_seconds
        self._anyone = Caller(tenant=tenant, role="admin", name="local")
        self._lock = threading.Lock()
        self._looked = 0.0
        self._stamp: tuple[int, int, int] | None = None
        self._callers: Mapping[bytes, Caller] = {}
        if path is not None:
            self._refresh()

    @property
    def required(self) -> bool:
        return self._path is not None

    def caller(self, token: str | None) -> Caller:
        """Whose token this is; raises ``Unauthenticated``."""
        if self._path is None:
            return self._anyone
        if time.monotonic() - self._looked > self._reload_seconds:
            self._refresh()
        if token is None:
            raise Unauthenticated("send the header `Authorization: Bearer TOKEN`")
        # The look-up is by digest: how long it takes tells nothing about a token.
        found = self._callers.get(sha256(token[:_TOKEN_BYTES].encode("utf-8", "replace")).digest())
        if found is None:
            raise Unauthenticated("the token is not known here, or was withdrawn")
        return found

    def _refresh(self) -> None:
        """Reads the file if it changed. A file that went bad while we run admits nobody."""
        if self._path is None:
            return
        with self._lock:
            self._looked = time.monotonic()
            try:
                status = self._path.stat()
                stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                if stamp != self._stamp:
                    self._callers = read_tokens(self._path.read_text())
                    self._stamp = stamp
            except (OSError, UnicodeDecodeError, ConfigurationError) as error:
                first = self._stamp is None
                self._callers, self._stamp = {}, None
                if first:
                    raise ConfigurationError(f"the file of tokens {self._path} cannot be used: {error}") from None


def read_tokens(text: str) -> dict[bytes, Caller]:
    """Digest of the token → caller; raises ``ConfigurationError`` naming the line."""
    callers: dict[bytes, Caller] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            digest, tenant, role, name = line.split()
            key = bytes.fromhex(digest)
        except ValueError:
            raise ConfigurationError(f"line {number} is not `sha256 tenant role name`") from None
        if len(key) != 32 or role not in RIGHTS:
            raise ConfigurationError(f"line {number} needs a SHA-256 in hex and a role of {', '.join(RIGHTS)}")
        callers[key] = Caller(tenant=unquote(tenant), role=role, name=name)
    return callers


def check_address(host: str, tokens: Tokens) -> None:
    """Raises ``ConfigurationError`` for an address that others reach, while nobody needs a token."""
    if not tokens.required and not is_loopback(host):
        raise ConfigurationError(
            f"the API does not bind to {host} while no tokens are configured: set ANSWERABLE_API_TOKENS "
            "(`answerable tokens new`), or bind to 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port, is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


_bearer = HTTPBearer(auto_error=False, description="A token whose SHA-256 is in the server's file of tokens.")


# Asynchronous, as they never wait: a synchronous one would cost a second hand-over to a thread. And none rests on another: each
# level costs as much as all that it does.
def _having(right: Right) -> Callable[..., Awaitable[Caller]]:
    async def caller(
        request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Caller:
        tokens: Tokens = request.app.state.tokens
        found = tokens.caller(sent.credentials if sent else None)
        found.require(right)
        return found

    return caller


async def _visitor(
    request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller | None:
    tokens: Tokens = request.app.state.tokens
    return tokens.caller(sent.credentials) if sent else (None if tokens.required else tokens.caller(None))


Reader = Annotated[Caller, Depends(_having("read"))]
"""A caller who may read events."""
Watcher = Annotated[Caller, Depends(_having("watch"))]
"""A caller who may see how the server is."""
Visitor = Annotated[Caller | None, Depends(_visitor)]
"""Anybody; None without a token where one is needed elsewhere."""
