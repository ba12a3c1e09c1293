"""The answer to "who triggered this?" as HTTP shows it: the shape of ``ledger.attribution.answer``, for OpenAPI.

What is sent is made by ``to_json`` there; a test holds these models against it, so that the documented shape is the real one.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ledger.attribution.answer import MISSING

EventId = Annotated[str, Field(description="UUID", examples=["018f4c1e-6a00-7cc3-98c4-dc0c0c07398f"])]
Digest = Annotated[str, Field(description="lower-case hex of 32 bytes", examples=["9f86d081" * 8])]
Time = Annotated[str, Field(description="RFC 3339, UTC, µs", examples=["2026-03-01T12:00:00.000000Z"])]
Grade = Annotated[
    Literal["corroborated", "sealed", "asserted", "inferred"],
    Field(description="stated by two services' keys; cited by digest under a seal; stated without digest; joined"),
]


class Shown(BaseModel):
    """A part of an answer; nothing beyond its fields is sent."""

    model_config = ConfigDict(extra="forbid")


class Party(Shown):
    """A person or workload: named, erased, unresolved, or erased_since (after the time asked about)."""

    digest: Digest
    state: str
    issuer: str | None
    subject: str | None
    name: str | None
    kind: str | None


class Link(Shown):
    """From an event to a cause of it."""

    effect: EventId
    effect_digest: Digest
    cause: EventId
    cause_digest: Digest
    relation: str
    grade: Grade
    join: str | None
    candidates: int


class Trigger(Shown):
    """What set it going."""

    event_id: EventId
    digest: Digest
    role: str
    trigger_kind: str
    at: Time
    service: str
    agent_id: str | None
    who: Party | None
    owner: Party | None
    set_up: EventId | None
    channel: str | None
    trust: str | None
    authenticated: list[str]
    peer_ledger: str | None
    peer_event: str | None
    earlier: bool
    grade: Grade
    candidates: int


class Authority(Shown):
    """Whose rights were used."""

    source: str
    event_id: EventId | None
    subject: Party | None
    issuer: str | None
    token: str | None
    grant_id: str | None
    client_id: str | None
    scopes: list[str]
    audiences: list[str]
    issued_at: Time | None
    expires_at: Time | None
    revoked_at: Time | None
    verification: str | None
    exchanged_from: EventId | None
    grade: Grade
    candidates: int


class Actor(Shown):
    """A party of an act claim (RFC 8693); position 0 is the current actor."""

    event_id: EventId
    position: int
    iss: str | None
    sub: str | None
    person: Party | None
    grade: Grade


Concerns = Literal["this", "named", "another", "not_comparable"]
_CONCERNS: Final = (
    "Whether it is about what was done: as both state, or by the word of an action that names it alone; or about another thing."
    " `not_comparable`: nothing tells."
)
Compared = Literal["same", "other", "not_comparable", "not_bound", "not_stated"]


class Decision(Shown):
    """What a policy said."""

    event_id: EventId
    decision: str
    decision_id: str | None
    engine: str | None
    policy_id: str | None
    policy_version: str | None
    policy_digest: Digest | None
    determining_policies: list[str]
    reasons: list[str]
    obligations: list[str]
    subject_type: str | None
    subject: Party | None = Field(description="Who asked, where that is a principal.")
    subject_agent: str | None = Field(description="The agent that asked: an agent_id.")
    action: str = Field(description="What was asked for, in the policy's words.")
    resource_type: str | None
    resource: str | None
    action_id: str | None = Field(description="The action that it is for.")
    concerns: Concerns = Field(description=_CONCERNS)
    parameters: Compared = Field(description="Those decided about against those in effect.")
    at: Time
    grade: Grade
    candidates: int


class Account(Shown):
    """An action as one of its observers saw it."""

    event_id: EventId
    observer: str
    service: str
    importer: bool
    phase: str
    attempt: int | None
    outcome: str | None
    effect: str | None
    status: str | None
    agent_id: str | None
    person: Party | None
    parameter_digest: Digest | None
    at: Time
    ended_at: Time | None


class Approval(Shown):
    """What a person said."""

    event_id: EventId
    oversight_id: str
    action: str
    by: Party | None
    role: str | None
    authenticated: list[str]
    binding: str
    bound: bool | None
    concerns: Concerns = Field(description=_CONCERNS)
    parameters: Compared = Field(description="Those approved against those in effect.")
    reference: str | None
    operation: str | None
    external_system: str | None
    external_id: str | None
    uses_allowed: int | None
    uses: int = Field(description="Actions that relied on it, without those that are known to have come to nothing.")
    use: int | None = Field(description="Which of them this one is, or would have been; null: it relies on none.")
    used_up: bool | None = Field(
        description="Whether it is one of `uses`: false where it is known to have come to nothing."
    )
    more_uses: Literal["earlier", "later", "both"] | None = Field(
        description="There are more than were looked at, before or after: `uses` is at least that, and so is `use` if before."
    )
    expires_at: Time | None
    at: Time
    grade: Grade
    candidates: int


class Influence(Shown):
    """What was read on the way, or what that was made from."""

    event_id: EventId
    kind: str
    source: str | None
    uri: str | None
    origin: str | None
    trust: str
    at: Time
    grade: Grade


class Owner(Shown):
    """Who was accountable for an agent when it acted."""

    agent_id: str
    name: str | None
    owner: Party | None
    state: str | None
    since: Time | None
    event_id: EventId | None
    grade: Grade | None


class Accountable(Shown):
    """Who answers for it: the agent's owner, and the person on whose behalf it was; ``missing`` says what is not known."""

    agent_id: str | None
    owner: Party | None
    state: str | None
    person: Party | None
    grant_id: str | None
    missing: list[str] = Field(description="; ".join(f"`{name}`: {why}" for name, why in MISSING.items()))


class PathStep(Shown):
    """An event of the path, nearest to the trigger first."""

    event_id: EventId
    digest: Digest
    kind: str
    summary: str
    occurred_at: Time
    append_time: Time
    service: str
    key_id: str
    importer: bool
    agent_id: str | None
    execution_id: str | None
    links: list[Link]
    findings: list[str]


class Contradiction(Shown):
    """Two statements that cannot both be in order."""

    rule: str = Field(description="As in docs/contradictions.md.")
    severity: Literal["critical", "high", "medium", "low"]
    detail: str = Field(description="What is wrong.")
    evidence: list[EventId] = Field(description="The events that show it, in the order in which it is told.")
    closes: str = Field(description="What would settle it.")


class FoundWrong(Shown):
    """Something wrong with the record itself."""

    name: str
    event_id: EventId | None
    detail: str


class ChainCoverage(Shown):
    """How far a chain is known."""

    service: str
    key_id: str
    chain_id: str
    verified_up_to: int | None
    last_append: Time | None
    silent_since: Time | None
    closed: bool
    findings: list[str]


class Limits(Shown):
    """The bounds of the search."""

    nodes: int
    depth: int
    candidates: int


class Coverage(Shown):
    """What the answer rests on."""

    chains: list[ChainCoverage]
    events: int
    truncated: list[str]
    limits: Limits
    as_of: Time | None


class Answer(Shown):
    """Who triggered an event, with proof of how that is known."""

    asked: EventId
    action_id: str | None
    operation: str | None
    outcome: str | None
    outcome_grade: Grade | None
    seen: Literal["both_sides", "resource_alone", "caller_alone", "between_alone", "log_alone"] | None = Field(
        description="Which sides saw an action; null where there is none."
    )
    accounts: list[Account]
    events: list[EventId]
    class_: Literal["attributed", "unattended", "external", "erased_principal", "archived", "unattributed"] = Field(
        alias="class"
    )
    reasons: list[str]
    sentence: str
    accountable: Accountable
    triggers: list[Trigger]
    authority: list[Authority]
    actors: list[Actor]
    decisions: list[Decision]
    approvals: list[Approval]
    influences: list[Influence]
    owners: list[Owner]
    path: list[PathStep]
    contradictions: list[Contradiction]
    findings: list[FoundWrong]
    coverage: Coverage
