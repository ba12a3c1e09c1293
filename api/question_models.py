"""What the questions answer over HTTP, for OpenAPI."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.answer_models import Digest, EventId, Grade, Party, Shown, Time
from api.event_models import EventSummary


class StepCause(Shown):
    """A link to an earlier step of the run; `step` null: outside of it, or not there."""

    relation: str
    step: int | None


class RunStep(Shown):
    """A step of a run."""

    step: int = Field(description="its place in the run: causes before effects, and else by time")
    event_id: EventId
    digest: Digest
    kind: str
    summary: str
    occurred_at: Time
    causes: list[StepCause]


class Change(Shown):
    """A field that differs."""

    field: str
    a: Any
    b: Any


class DifferenceRow(Shown):
    """A step of one run or of both."""

    status: Literal["same", "changed", "only_a", "only_b"]
    moved: bool = Field(description="it has its equal at another place of the other run")
    candidates: int = Field(description="above 1: so many steps of a run fit as well; the first in order was taken")
    a: RunStep | None
    b: RunStep | None
    changes: list[Change]


class DifferenceCounts(Shown):
    """Rows by what they say."""

    same: int
    changed: int
    only_a: int
    only_b: int
    moved: int


class RunDifference(Shown):
    """What two runs did differently."""

    a: str
    b: str
    same: bool
    counts: DifferenceCounts
    rows: list[DifferenceRow]
    truncated: list[str] = Field(
        description="the runs of which only the first steps were compared; `decisions`: more was cited than looked at"
    )
    limits: dict[str, int]


class Remark(Shown):
    """Something about an agent that does not fit."""

    name: str
    says: str = Field(description="what it means, and what to do")
    about: list[str] = Field(description="the models, clients, agents or digests that it is about")
    evidence: list[EventId]


class Agent(Shown):
    """An agent as of a time: what was registered of it, and what was seen."""

    agent_id: str
    registered: bool
    seen_as: list[Literal["agent", "token"]] = Field(description="named by events as their agent; named by tokens")
    last_seen: Time | None
    name: str | None
    state: str | None
    owner: Party | None = Field(description="null also where services register different people: see `owners`")
    owners: list[Party]
    purpose: str | None
    provider: str | None
    model: str | None
    version: str | None
    scopes: list[str]
    risk_class: str | None
    client_ids: list[str]
    parent_agent: str | None
    expires_at: Time | None
    configuration: dict[str, Any] | None = Field(description="what it was last configured with; texts as digests")
    credentials: list[str] = Field(description="the clients that got its tokens")
    services: list[str] = Field(description="whose keys signed what names it")
    remarks: list[Remark]
    truncated: list[str] = Field(
        description="of which of its registrations, configurations, events and tokens there are more than the latest 40, "
        "which alone were looked at"
    )


class Agents(Shown):
    """A page of agents, by agent id."""

    items: list[Agent]
    next: str | None = Field(description="the cursor of the next page; null: there was no more")
    truncated: list[str] = Field(description="limits that were hit; `scan`: the page looked at so many and no more")


class AgentChange(Shown):
    """What a registration or configuration said anew."""

    from_: Time = Field(alias="from", description="from when it held")
    append_time: Time
    event_id: EventId
    kind: str
    service: str
    says: dict[str, Any]


class AgentDetail(Agent):
    """One agent, with how it came to be what it is."""

    history: list[AgentChange]


class TouchedEvent(EventSummary):
    """An event that came of the thing."""

    grade: Grade = Field(description="of the surest way to it: as its weakest link")
    candidates: int = Field(description="above 1: a link of the way was joined among so many")
    steps: int = Field(description="links from the thing to it")


class Touched(Shown):
    """A page: events of a thing, and what came of them."""

    what: str
    value: str
    starts: list[EventSummary] = Field(description="the events that are the thing, or its use, the latest first")
    items: list[TouchedEvent] = Field(description="what came of these, in order of time")
    agents: list[str]
    executions: list[str]
    next: str | None = Field(description="the cursor of the next page of starts; null: there was no more")
    truncated: list[str] = Field(
        description="limits that were hit; `rounds`: what came of the last events was not looked for, after so many steps by name"
    )
    limits: dict[str, int]
