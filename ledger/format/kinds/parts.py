"""Records inside payloads. The fields are those of the schemas, which say what each means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ledger.format.kinds.shape import Digest, Id, Part, PersonDigest

Trigger = Literal["human", "schedule", "webhook", "agent", "queue", "self", "unknown"]
"""What set an agent going."""

Trust = Literal["trusted", "untrusted", "unknown"]
"""Whether an input may give orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReference(Part):
    """Names a token without holding it: by issuer and jti, or by digest where it has no jti."""

    issuer: str | None = None
    jti: str | None = None
    digest: Digest | None = None

    def fault(self) -> str | None:
        if self.jti is None and self.digest is None:
            return "no token is named: give jti (with issuer) or digest"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication(Part):
    """How a person proved who they are, as the party that checked it states."""

    issuer: str | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    auth_time: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorChain(Part):
    """An `act` claim as parsed (RFC 8693 §4.1)."""

    chain: tuple[Actor, ...] = ()
    truncated: int = 0
    omitted: int = 0
    malformed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor(Part):
    """One party of an `act` claim (RFC 8693 §4.1)."""

    iss: str | None = None
    sub: str | None = None
    person: PersonDigest | None = None

    def fault(self) -> str | None:
        if self.person is not None and (self.iss is not None or self.sub is not None):
            return "a person is given beside iss or sub: it stands in their place"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolVersion(Part):
    """One tool that the agent could call, as it was described to the model."""

    name: str
    server: str | None = None
    version: str | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion(Part):
    """One policy in force."""

    id: str
    version: str | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuedChain(Part):
    """The head of an unclosed chain that the spool held."""

    chain_id: Id
    key_id: str
    next_sequence: int
    last_seal_number: int | None = None
    last_seal_digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCount(Part):
    """How many events of one kind."""

    kind: str
    count: int
