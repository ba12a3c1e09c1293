"""The lineage of a token or a grant as HTTP shows it: the shape of ``ledger.attribution.tokens.values``, for OpenAPI."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.answer_models import Actor, Digest, EventId, Grade, Party, Shown, Time


class Right(Shown):
    """A token or a grant."""

    kind: Literal["token", "grant", "session", "client", "subject"]
    issuer: str | None
    id: str = Field(description="the jti, else the digest in hex; of a grant its id")


class Statement(Shown):
    """What one event says of the token or grant itself."""

    event_id: EventId
    digest: Digest
    at: Time
    kind: str
    action: str
    service: str
    agent_id: str | None
    subject: Party | None
    client_id: str | None
    grant_id: str | None
    grant_type: str | None
    scopes: list[str]
    audiences: list[str]
    actors: list[Actor]
    issued_at: Time | None
    expires_at: Time | None
    session: str | None
    verification: str | None
    observer: str | None
    grade: Grade


class Disagreement(Shown):
    """A claim that statements of one token give different values: shown, never chosen from."""

    claim: str
    values: list[str]
    evidence: list[EventId]


class Parent(Shown):
    """A right that it was obtained with, or that such a one was."""

    depth: int = Field(description="1: what it was itself obtained with")
    right: Right
    how: str = Field(description="exchanged, refreshed, acted, granted or delegated")
    child: Right
    stated_by: EventId
    event_id: EventId | None = Field(description="its own issuance or giving; null: nobody recorded it")
    subject: Party | None
    grade: Grade
    candidates: int = Field(description="subjects that its statements name: more than one is an ambiguity")


class End(Shown):
    """How it ended, or may have."""

    how: Literal["expired", "revoked", "withdrawn", "superseded"]
    at: Time
    through: Right | None = Field(description="whose end it is, of what it came from; null: its own")
    effect: Literal["ends", "kept", "given_again", "unknown"] = Field(
        description="`kept`: whoever revoked says that it lives on; `given_again`: the grant was given anew afterwards"
    )
    event_id: EventId
    reason: str | None
    grade: Grade


class Happening(Shown):
    """Something that came of it."""

    event_id: EventId
    digest: Digest
    at: Time
    kind: str
    part: Literal["derived", "used", "ended", "given", "unreadable"]
    how: str | None
    right: Right | None = Field(description="what was obtained, or ended")
    source: Right | None = Field(description="what was used for it")
    direct: bool = Field(description="the source is what was asked about; else it is connected by keys alone")
    timing: Literal["before", "within_tolerance", "after"] | None = Field(description="against `revoked_at`")
    service: str
    agent_id: str | None
    execution_id: str | None
    what: str | None
    outcome: str | None
    scopes: list[str]
    expires_at: Time | None
    grade: Grade | None
    findings: list[str]


class Tally(Shown):
    """How much came of it, by ids."""

    rights: int = Field(description="tokens and grants obtained with it")
    rights_after: int = Field(description="of these, after the revocation, by the time in the ids")
    uses: int
    uses_after: int
    truncated: list[Literal["rights", "rows", "rebuild"]] = Field(description="limits hit: each count is a least")


class TokenLineage(Shown):
    """The lineage of a token or a grant, with one page of what came of it."""

    asked: Right
    state: Literal["valid", "expired", "revoked", "withdrawn", "superseded", "unknown"]
    sentence: str
    statements: list[Statement]
    disagreements: list[Disagreement]
    parents: list[Parent]
    siblings: list[Right] = Field(description="other tokens under its grant, as far as they were looked at")
    ends: list[End]
    revoked_at: Time | None
    tolerance_seconds: int
    counted: Tally
    happenings: list[Happening]
    truncated: list[Literal["candidates", "depth", "rights", "rows", "rebuild"]] = Field(
        description="`rebuild`: rows of a release before are in the store, of which this knows nothing"
    )
    as_of: Time
    next: str | None = Field(description="the cursor of the next page of `happenings`; null: there was no more")


class Figures(Shown):
    """Seconds, over the tokens of which they are known."""

    of: int
    median: int | None
    most: int | None


class TokenLife(Shown):
    """One token against its task: the run in which it was issued, or, where nobody says which, the runs in which it was used."""

    event_id: EventId
    right: Right
    agent_id: str | None
    client_id: str | None
    grant_id: str | None
    issued_at: Time
    first_use: Time | None
    last_use: Time | None
    expires_at: Time | None
    revoked_at: Time | None = Field(description="alone or with others, or its grant withdrawn")
    uses: int
    task_ended: Time | None
    outlived_seconds: int | None = Field(
        description="how long it was good after its task ended, until it expired or was revoked"
    )
    uses_after_task: int
    scopes: list[str] = Field(description="its own, or those of its grant where it states none")
    scopes_used: list[str]
    not_stated: int = Field(description="uses looked at that state no scope")
    looked_at: int
    grade: Grade


class UsageGroup(Shown):
    """The tokens of one agent, client or grant."""

    name: str | None = Field(description="null: not stated")
    tokens: int
    never_used: int
    uses: int = Field(description="counted by ids")
    lifetime: Figures
    to_first_use: Figures
    last_use_to_expiry: Figures
    outlived: Figures = Field(description="how long they were good after their task ended")
    uses_after_task: int
    scopes_granted: list[str]
    scopes_used: list[str]
    scopes_unused: list[str]
    operations: list[str]
    looked_at: int = Field(description="uses that were read, the first ones and the last of each token")
    not_stated: int = Field(description="of these, those that state no scope: an unused scope may be theirs")


class TokenUsage(Shown):
    """Tokens issued in a window."""

    by: Literal["agent", "client", "grant"]
    since: Time
    looked_until: Time = Field(description="the `since` to go on with")
    tokens: int
    groups: list[UsageGroup]
    outlived_longest: list[TokenLife]
    truncated: list[Literal["scan", "tokens", "counted", "uses"]] = Field(
        description="`scan`, `tokens`: the window was not looked at to its end; `counted`: a token has more uses than are "
        "counted; `uses`: not every use was read"
    )
    as_of: Time
