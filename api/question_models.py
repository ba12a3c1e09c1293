"""What the questions answer over HTTP, for OpenAPI."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.answer_models import Digest, EventId, Shown, Time


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
    truncated: list[str] = Field(description="the runs of which only the first steps were compared")
    limits: dict[str, int]
