"""What the authorization server knows: its people, clients, codes, grants, approvals, and the key that signs its tokens.

No HTTP and no ledger here: ``authorization_server`` puts both around it.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pyotp
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64encode

MINUTE = 60


class OAuthError(Exception):
    """Refused; ``code`` as in RFC 6749 §5.2, ``detail`` in words."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(slots=True, kw_only=True)
class Login:
    """An authorization request (RFC 6749 §4.1) with its PKCE challenge (RFC 7636), and who consented to it."""

    client_id: str
    redirect_uri: str
    scope: str
    state: str
    challenge: str
    agent: str
    subject: str | None = None


@dataclass(slots=True, kw_only=True)
class Grant:
    """What a person allowed an agent to do."""

    grant_id: str
    subject: str
    agent: str
    scopes: list[str]
    expires_at: int


@dataclass(slots=True, kw_only=True)
class Approval:
    """A person's approval of exactly one set of parameters, usable once."""

    approval_id: str
    subject: str
    operation: str
    parameter_digest: str
    expires_at: int
    used: bool = False


@dataclass(slots=True, kw_only=True)
class Issuer:
    """``people``: name → (password, TOTP secret). ``clients``: client id → secret."""

    url: str
    people: dict[str, tuple[str, str]]
    clients: dict[str, str]
    key: ECKey = field(
        default_factory=lambda: ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    )
    logins: dict[str, Login] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    approvals: dict[str, Approval] = field(default_factory=dict)

    def begin(self, login: Login) -> str:
        """Keeps an authorization request; the id is what the login page posts back."""
        return self._keep(self.logins, login)

    def consent(self, request: str, username: str, password: str) -> tuple[Grant, str]:
        """Checks the password and turns the request into a grant and a code, which is good once."""
        login = self.logins.pop(request, None)
        if login is None or not secrets.compare_digest(self.people.get(username, ("", ""))[0], password):
            raise OAuthError("access_denied", "unknown request, or wrong name or password")
        login.subject = username
        grant = Grant(
            grant_id=secrets.token_urlsafe(12),
            subject=username,
            agent=login.agent,
            scopes=login.scope.split(),
            expires_at=int(time.time()) + 60 * MINUTE,
        )
        self.grants[grant.grant_id] = grant
        code = self._keep(self.logins, login)
        return grant, f"{code}.{grant.grant_id}"

    def redeem(self, code: str, verifier: str, client_id: str, redirect_uri: str) -> Grant:
        """The grant behind an authorization code; raises unless the PKCE verifier is the one that began it."""
        key, _, grant_id = code.partition(".")
        login = self.logins.pop(key, None)
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode()
        if login is None or grant_id not in self.grants:
            raise OAuthError("invalid_grant", "unknown or used code")
        if (login.challenge, login.client_id, login.redirect_uri) != (challenge, client_id, redirect_uri):
            raise OAuthError("invalid_grant", "the code was issued to another client, or the PKCE verifier is wrong")
        return self.grants[grant_id]

    def authenticate(self, client_id: str, client_secret: str) -> None:
        if not secrets.compare_digest(self.clients.get(client_id, ""), client_secret) or not client_secret:
            raise OAuthError("invalid_client", "unknown client or wrong secret")

    def issue(self, *, lifetime: int, **claims: Any) -> str:
        """A signed JWT (RFC 9068) with ``claims``; ``lifetime`` in seconds."""
        now = int(time.time())
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.key.kid}
        stamped = {"iss": self.url, "jti": secrets.token_urlsafe(12), "iat": now, "exp": now + lifetime}
        return jwt.encode(header, {**stamped, **claims}, self.key)

    def check(self, token: str) -> dict[str, Any]:
        """The claims of a token of ours that is still good."""
        try:
            claims = jwt.decode(token, self.key, algorithms=["ES256"]).claims
        except ValueError:
            raise OAuthError("invalid_grant", "not a token of ours") from None
        if claims["exp"] <= time.time():
            raise OAuthError("invalid_grant", "the token has expired")
        return dict(claims)

    def approve(self, subject: str, totp: str, operation: str, parameter_digest: str) -> Approval:
        """Keeps an approval if the one-time password is right: this period's or a neighbour's, since it takes time to get here
        (RFC 6238 §5.2).
        """
        if not pyotp.TOTP(self.people[subject][1]).verify(totp, valid_window=1):
            raise OAuthError("access_denied", "the second factor is wrong")
        approval = Approval(
            approval_id=secrets.token_urlsafe(12),
            subject=subject,
            operation=operation,
            parameter_digest=parameter_digest,
            expires_at=int(time.time()) + 5 * MINUTE,
        )
        self.approvals[approval.approval_id] = approval
        return approval

    def use(self, approval_id: str, operation: str, parameter_digest: str) -> Approval:
        """Uses an approval up; raises if it is unknown, expired, used, or for other parameters."""
        approval = self.approvals.get(approval_id)
        if approval is None or approval.expires_at <= time.time():
            raise OAuthError("approval_unknown", "no such approval, or it has expired")
        if (approval.operation, approval.parameter_digest) != (operation, parameter_digest):
            raise OAuthError("approval_mismatch", "the approval is for other parameters")
        if approval.used:
            raise OAuthError("approval_used", "the approval was used before")
        approval.used = True
        return approval

    @staticmethod
    def _keep(logins: dict[str, Login], login: Login) -> str:
        key = secrets.token_urlsafe(12)
        logins[key] = login
        return key
