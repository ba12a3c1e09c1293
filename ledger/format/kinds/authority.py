"""Who let whom do what: tokens, grants, decisions, approvals.

Fields are those of ``schemas/<kind>.v1.avsc``, in its order; what each means stands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ledger.format.kinds.parts import Actor, ActorChain, Authentication, TokenReference
from ledger.format.kinds.shape import ContentDigest, Digest, Kind, PersonDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssuance(Kind):
    """A token was issued, exchanged or refused, as its issuer states or as somebody who holds or received it read it."""

    KIND = "token_issuance"

    status: Literal["issued", "refused", "unknown"]
    error_type: str | None = None
    token: TokenReference | None = None
    token_type: str | None = None
    grant_type: str | None = None
    grant_id: str | None = None
    subject: PersonDigest | None = None
    act: ActorChain | None = None
    may_act: tuple[Actor, ...] = ()
    client_id: str | None = None
    audiences: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    authorization_details: ContentDigest | None = None
    issued_at: int | None = None
    not_before: int | None = None
    expires_at: int | None = None
    confirmation_method: str | None = None
    confirmation: str | None = None
    subject_token: TokenReference | None = None
    actor_token: TokenReference | None = None
    session: str | None = None
    txn: str | None = None
    authentication: Authentication | None = None
    verification: Literal["issuer", "signature", "introspection", "none", "unknown"]
    observer: Literal["issuer", "client", "resource", "intermediary", "importer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevocation(Kind):
    """A token, or tokens of one origin, stopped being valid."""

    KIND = "token_revocation"

    extent: Literal["token", "grant", "session", "subject", "client"]
    token: TokenReference | None = None
    grant_id: str | None = None
    issuer: str | None = None
    client_id: str | None = None
    session: str | None = None
    subject: PersonDigest | None = None
    by: PersonDigest | None = None
    reason: str | None = None
    effective_at: int | None = None
    issued_before: int | None = None
    derived_tokens: Literal["revoked", "kept", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Kind):
    """A principal let a delegate act on their behalf, changed that, or withdrew it."""

    KIND = "grant"

    grant_id: str
    action: Literal["give", "change", "withdraw"]
    issuer: str | None = None
    grantor: PersonDigest | None = None
    delegate: str | None = None
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    authorization_details: ContentDigest | None = None
    method: Literal["explicit", "standing", "admin", "delegated", "unknown"]
    consent: ContentDigest | None = None
    parent_grant_id: str | None = None
    uses_allowed: int | None = None
    not_before: int | None = None
    expires_at: int | None = None
    authentication: Authentication | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDecision(Kind):
    """A policy engine was asked whether something may be done, and what it answered."""

    KIND = "policy_decision"

    decision: Literal["allow", "deny", "modify"]
    decision_id: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    policy_id: str | None = None
    policy_version: str | None = None
    policy_digest: Digest | None = None
    determining_policies: tuple[str, ...] = ()
    subject_type: str | None = None
    subject: PersonDigest | None = None
    subject_agent: str | None = None
    action: str
    resource_type: str | None = None
    resource: str | None = None
    action_id: str | None = None
    parameter_digest: Digest | None = None
    modified_parameter_digest: Digest | None = None
    reasons: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    context: ContentDigest | None = None
    response: ContentDigest | None = None
    token: TokenReference | None = None
    grant_id: str | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Oversight(Kind):
    """A person, or a system that stands for one, approved, denied, changed, stopped or reviewed what an agent does."""

    KIND = "oversight"

    oversight_id: str
    action: Literal["approve", "deny", "edit", "override", "stop", "review"]
    by: PersonDigest | None = None
    role: str | None = None
    authentication: Authentication | None = None
    binding: Literal["digest", "reference", "standing"]
    bound_digest: Digest | None = None
    reference: str | None = None
    operation: str | None = None
    edited_digest: Digest | None = None
    uses_allowed: int | None = None
    expires_at: int | None = None
    external_system: str | None = None
    external_id: str | None = None
    shown: ContentDigest | None = None
    reason: ContentDigest | None = None

    def fault(self) -> str | None:
        if self.binding == "digest" and self.bound_digest is None:
            return "binding is 'digest' but bound_digest is missing: give the digest of the parameters approved"
        if self.binding == "reference" and self.reference is None:
            return "binding is 'reference' but reference is missing: name what was approved"
        return None
