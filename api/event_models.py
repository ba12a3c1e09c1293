"""Events as HTTP shows them, for OpenAPI: the shape of ``ledger.event_view``. A test holds the two together."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.answer_models import Digest, EventId, Party, Shown, Time


class Cause(Shown):
    """A link that the event states."""

    event_id: EventId
    digest: Digest | None
    relation: str


class EventSummary(Shown):
    """An event without what it says beyond its header."""

    event_id: EventId
    digest: Digest = Field(description="binds the event to ledger, tenant and service")
    kind: str
    occurred_at: Time
    append_time: Time = Field(description="when the log took it: the only arrival there is")
    sealed_at: Time
    service: str
    key_id: str
    chain_id: str
    seal_number: int
    sequence: int
    sightings: int = Field(description="how many seals cover it")
    imported: bool
    effective: bool = Field(description="false: its key may not state this kind; it has no effect on any answer")
    findings: list[str]
    execution_id: str | None
    agent_id: str | None
    agent_instance: str | None
    principal: Party | None
    causes: list[Cause]
    correlation: list[str]
    contents: list[Digest]


class Event(EventSummary):
    """An event with its payload, as its schema names the fields; null where erased or of a schema unknown here."""

    payload: dict[str, Any] | None


class FoundEvent(EventSummary):
    """An event that was found."""

    matched: list[str] = Field(description="the fields in which `value` stands; empty where none was searched")


class Events(Shown):
    """A page of events."""

    items: list[FoundEvent]
    next: str | None = Field(description="the cursor of the next page; null: there was no more")
    truncated: list[str] = Field(
        description="limits of the search itself that were hit; `scan`: it goes on by `next`; `rebuild`: events stored by a "
        "release before are not found by every value"
    )


class EventList(Shown):
    """Events, all of them."""

    items: list[Event]
    truncated: list[str] = Field(default_factory=list, description="limits that were hit")


class Execution(Shown):
    """A page of a run's events."""

    execution_id: str
    items: list[Event]
    next: str | None
