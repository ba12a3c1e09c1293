"""Tokens as the parties see them: signed by the authorization server, checked by whoever receives one."""

from __future__ import annotations

import time
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel


class Refused(Exception):
    """A token that does not allow what it was shown for. ``reason`` is an OAuth error code (RFC 6750)."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Bearer(BaseModel):
    """A checked token: the raw text for the next call, and its claims."""

    raw: str
    claims: dict[str, Any]

    @property
    def subject(self) -> str:
        return str(self.claims["sub"])

    @property
    def is_own(self) -> bool:
        """Whether a client got it for itself, so that no person stands behind it."""
        return bool(self.claims.get("client_id") == self.subject)

    @property
    def scopes(self) -> list[str]:
        return str(self.claims.get("scope", "")).split()


class TokenCheck:
    """Checks signature, issuer, audience, expiry and scope by the issuer's published keys."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys: KeySet | None = None

    def bearer(self, authorization: str | None) -> Bearer:
        """The token in an Authorization header; raises ``Refused``."""
        scheme, _, raw = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not raw:
            raise Refused("invalid_token", "no bearer token")
        try:
            claims = jwt.decode(raw, self._jwks(), algorithms=["ES256"]).claims
        except (JoseError, ValueError):
            raise Refused("invalid_token", "the signature does not verify") from None
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise Refused("invalid_token", f"not issued by {self._issuer} for {self._audience}")
        if claims.get("exp", 0) <= time.time():
            raise Refused("invalid_token", "expired")
        return Bearer(raw=raw, claims=claims)

    def require(self, bearer: Bearer, scope: str) -> None:
        if scope not in bearer.scopes:
            raise Refused("insufficient_scope", f"the token has {' '.join(bearer.scopes)!r}, {scope!r} is needed")

    def _jwks(self) -> KeySet:
        if self._keys is None:
            self._keys = KeySet.import_key_set(httpx.get(f"{self._issuer}/jwks").raise_for_status().json())
        return self._keys
