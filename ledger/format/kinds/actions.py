"""What an agent is told, thinks, does and reads.

Fields are those of ``schemas/<kind>.v1.avsc``, in its order; what each means stands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ledger.format.kinds.parts import Authentication, TokenReference, Trigger, Trust
from ledger.format.kinds.shape import ContentDigest, Digest, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(Kind):
    """Somebody or something gave an agent a task or steered it: the beginning of a run, or an input in the middle of one."""

    KIND = "prompt"

    trigger_kind: Trigger
    channel: str | None = None
    trust: Trust
    origin: str | None = None
    text: ContentDigest | None = None
    attachments: tuple[ContentDigest, ...] = ()
    trigger_id: str | None = None
    token: TokenReference | None = None
    authentication: Authentication | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningStep(Kind):
    """A step in which a model was asked or an agent planned."""

    KIND = "reasoning_step"

    index: int | None = None
    operation: str | None = None
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    status: Literal["completed", "failed", "cancelled", "unknown"]
    error_type: str | None = None
    finish_reasons: tuple[str, ...] = ()
    visibility: Literal["full", "summary", "withheld"]
    reasoning: ContentDigest | None = None
    input: ContentDigest | None = None
    output: ContentDigest | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAction(Kind):
    """A call on a tool or another system, as one of its observers saw it."""

    KIND = "api_action"

    action_id: str
    phase: Literal["intended", "completed", "unknown"]
    attempt: int | None = None
    idempotency_key: str | None = None
    operation: str
    activity: Literal["create", "read", "update", "delete", "other"] | None = None
    resource_type: str | None = None
    resource: str | None = None
    target_system: str | None = None
    domain: Literal["api", "mcp", "saas", "on_prem"] | None = None
    token: TokenReference | None = None
    grant_id: str | None = None
    decision_id: str | None = None
    oversight_ids: tuple[str, ...] = ()
    parameter_digest: Digest | None = None
    arguments: ContentDigest | None = None
    result: ContentDigest | None = None
    outcome: Literal["success", "failure", "denied", "cancelled", "unknown"] | None = None
    effect: Literal["none", "partial", "full"] | None = None
    status: str | None = None
    error_type: str | None = None
    observer: Literal["agent", "resource", "intermediary", "importer"]
    origin: str | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Kind):
    """What a tool, document, memory or other source gave an agent to read: it may inform, and may mislead."""

    KIND = "observation"

    source: Literal["tool", "document", "memory", "web", "message", "dataset", "agent", "unknown"]
    uri: str | None = None
    version: str | None = None
    digest: Digest | None = None
    origin: str | None = None
    trust: Trust
    dataset: str | None = None
    dataset_version: str | None = None
    labels: tuple[str, ...] = ()
    operation: str | None = None
    action_id: str | None = None
    status: Literal["success", "failure", "unknown"]
    result: ContentDigest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory(Kind):
    """An agent wrote, read or deleted something that outlives the run."""

    KIND = "memory"

    action: Literal["write", "read", "delete"]
    store: str | None = None
    scope: str | None = None
    key: str | None = None
    version: str | None = None
    value: ContentDigest | None = None
    trust: Trust
    expires_at: int | None = None
