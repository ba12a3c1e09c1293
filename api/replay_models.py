"""A run step by step as HTTP shows it, for OpenAPI: the shape of ``ledger.replay_view``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.answer_models import EventId, Grade, Party, Shown, Time
from api.event_models import Event


class TokenState(Shown):
    """A token that the run holds."""

    token: str = Field(description="its jti, else its digest")
    event_id: EventId | None = Field(description="its issuance; null: nobody recorded it")
    exchanged_from: str | None
    issued_at: Time | None
    expires_at: Time | None
    state: Literal["alive", "not_yet_valid", "expired", "revoked", "unknown"]
    ended_at: Time | None
    ended_by: EventId | None = Field(description="the revocation")
    uses: int = Field(description="in this run so far")
    last_use: Time | None
    last_used_by: EventId | None


class ApprovalState(Shown):
    """What a person said, or was asked and did not say."""

    oversight_id: str | None = Field(description="null: it was asked, and nobody gave it")
    event_id: EventId = Field(description="the person's word, or the decision that demands it")
    action: str
    by: Party | None
    at: Time
    binding: str | None
    bound: str | None = Field(description="to what: parameters (digest in hex), a reference, an operation")
    state: Literal["asked", "open", "used_up", "overused", "expired", "denied", "said"]
    uses_allowed: int | None
    uses: int = Field(
        description="actions that relied on it so far, of any run, without those that are known by then to have come to nothing"
    )
    last_used_by: EventId | None
    expires_at: Time | None


class Taint(Shown):
    """Untrusted content in reach of the run."""

    event_id: EventId = Field(description="the content's own event")
    what: str
    origin: str | None
    execution_id: str | None = Field(description="the run that read it")
    step: EventId = Field(description="the event of this run by which it came in")
    since: Time
    way: list[EventId] = Field(description="from the content to the step")
    grade: Grade = Field(description="of the weakest link of the way")


class State(Shown):
    """What holds after a step."""

    tokens: list[TokenState]
    approvals: list[ApprovalState]
    taint: list[Taint]


class StateChange(Shown):
    """What became of a token, an approval or the taint since the step before."""

    what: Literal["token", "approval", "taint"]
    how: str = Field(
        description="issued, exchanged, used, expired, revoked; asked, given, denied, said; read, brought_in"
    )
    name: str
    at: Time
    event_id: EventId | None
    detail: str


class Crossing(Shown):
    """A link between the step and another run, or another ledger."""

    direction: Literal["from", "to"] = Field(description="from: its cause lies there; to: its effect does")
    execution_id: str | None
    peer_ledger: str | None
    event_id: EventId | None
    kind: str | None
    agent_id: str | None
    service: str | None
    relation: str
    grade: Grade
    join: str | None
    candidates: int


class Silence(Shown):
    """What was to be heard and was not."""

    what: Literal[
        "gap",
        "attempt_without_outcome",
        "cause_missing",
        "decision_missing",
        "approval_missing",
        "run_without_end",
        "chain_silent",
    ]
    since: Time
    ended_at: Time | None = Field(description="null: it lasts")
    detail: str


class ReplayStep(Shown):
    """An event of the run, with what held after it."""

    event: Event
    state: State
    changes: list[StateChange]
    crossings: list[Crossing]
    silences: list[Silence]


class Replay(Shown):
    """A page of a run, step by step."""

    execution_id: str
    before: State = Field(description="what held when the page began")
    items: list[ReplayStep]
    next: str | None = Field(description="the cursor of the next page; null: there was no more")
    truncated: list[str] = Field(description="limits that were hit")
    limits: dict[str, int]
