"""What runs, who owns it, what sets it going, and where it goes on.

Fields are those of ``schemas/<kind>.v1.avsc``, in its order; what each means stands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ledger.format.kinds.parts import Authentication, PolicyVersion, TokenReference, ToolVersion
from ledger.format.kinds.shape import ContentDigest, Digest, Id, Kind, PersonDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionControl(Kind):
    """A run was started, suspended, resumed or ended."""

    KIND = "execution_control"

    action: Literal["start", "suspend", "resume", "end"]
    name: str | None = None
    conversation: str | None = None
    environment: str | None = None
    outcome: Literal["success", "failure", "cancelled", "timed_out", "unknown"] | None = None
    reason: str | None = None
    by: PersonDigest | None = None
    result: ContentDigest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration(Kind):
    """What an agent ran with: recorded at its start and at each change."""

    KIND = "configuration"

    software_version: str | None = None
    software_digest: Digest | None = None
    provider: str | None = None
    model: str | None = None
    parameters: ContentDigest | None = None
    system_prompt: ContentDigest | None = None
    system_prompt_digest: Digest | None = None
    tool_manifest: ContentDigest | None = None
    tool_manifest_digest: Digest | None = None
    tools: tuple[ToolVersion, ...] = ()
    policies: tuple[PolicyVersion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRegistration(Kind):
    """A schedule, webhook or subscription that will start an agent was set up, changed or removed."""

    KIND = "trigger_registration"

    trigger_id: str
    action: Literal["register", "change", "remove"]
    trigger_kind: Literal["schedule", "webhook", "queue"]
    by: PersonDigest | None = None
    owner: PersonDigest | None = None
    authentication: Authentication | None = None
    token: TokenReference | None = None
    target_agent: str | None = None
    specification: str | None = None
    time_zone: str | None = None
    prompt: ContentDigest | None = None
    grant_id: str | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRegistration(Kind):
    """Who owns an agent and what it is for, from now on."""

    KIND = "agent_registration"

    agent_id: str
    state: Literal["active", "suspended", "retired"]
    name: str | None = None
    owner: PersonDigest | None = None
    by: PersonDigest | None = None
    parent_agent: str | None = None
    client_ids: tuple[str, ...] = ()
    provider: str | None = None
    model: str | None = None
    version: str | None = None
    purpose: str | None = None
    description: ContentDigest | None = None
    scopes: tuple[str, ...] = ()
    risk_class: str | None = None
    effective_at: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff(Kind):
    """Work went over to, or came from, a party that keeps another ledger."""

    KIND = "handoff"

    direction: Literal["sent", "received"]
    peer_ledger: str | None = None
    peer_event_id: Id | None = None
    peer_digest: Digest | None = None
    peer_agent: str | None = None
    protocol: str | None = None
    task_id: str | None = None
    token: TokenReference | None = None
    message: ContentDigest | None = None
    evidence: ContentDigest | None = None
