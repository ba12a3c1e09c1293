"""``/v1/coverage``: how much of what was done is attributed, to whom, how surely; and what is not judged yet."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.access import Reader
from api.answer_models import Time
from api.json_body import JsonBody
from api.parameters import TEXT_MOST, read_text, read_time
from api.problems import InvalidRequest, responses
from ledger.coverage_view import show_coverage
from ledger.store.coverage import KINDS, Slice, coverage

router = APIRouter(prefix="/v1", tags=["answers"])


class Counted(BaseModel):
    """`actions`, of which all accounts are one, as are all statements of one token's issuance; and `accounts`, the events that
    tell of them: of a call by its caller and by whoever was called, before it and after. A slice has the actions of which it has
    an account. How much is attributed is a share of actions: a call that nobody asked for has fewer accounts."""

    actions: int
    accounts: int


class CoverageClasses(BaseModel):
    """By what it is attributed to; `unattended_alone` is what a schedule or webhook did for which nobody answers. An action whose
    accounts in the slice or group are judged differently counts as the one that is attributed least, so that actions sum up to
    those judged."""

    attributed: Counted
    unattended: Counted
    unattended_alone: Counted
    external: Counted
    erased_principal: Counted
    archived: Counted
    unattributed: Counted


class CoverageGroup(BaseModel):
    """One group of the slice; `group` null: what has no such value. An action whose accounts are in several groups, such as of
    caller and called by service, is counted in each: actions of groups sum up to more than those of the slice."""

    group: str | None
    judged: Counted
    classes: CoverageClasses
    reasons: dict[str, Counted] = Field(description="of what is attributed to nobody, by reason")
    grades: dict[str, Counted] = Field(description="by the grade of the weakest link that it rests on")


class Coverage(BaseModel):
    """What was judged of a slice, and what was not: nothing is left out silently. Each action counts once, whatever it is told
    apart by."""

    judged: Counted
    not_judged: int = Field(description="accounts of the slice without a judgement: of which actions is not known yet")
    not_judged_exact: bool = Field(
        description="false: an upper bound, over all slices, while the sentinel is far behind"
    )
    stale: int = Field(description="of the accounts judged, how many are being judged again")
    behind_since: Time | None = Field(description="append time of the earliest record not judged by; null: none")
    classes: CoverageClasses
    reasons: dict[str, Counted]
    grades: dict[str, Counted]
    by: str | None
    groups: list[CoverageGroup] = Field(description="the largest first, at most 1000")
    others: Counted = Field(description="of the groups beyond those, summed")


def _name(what: str, example: str) -> object:
    return Query(max_length=TEXT_MOST, description=what, examples=[example])


Agent = Annotated[str | None, _name("Of this agent alone.", "https://agents.example/travel")]
Service = Annotated[str | None, _name("As this service recorded it.", "agent")]
System = Annotated[str | None, _name("On this target system.", "flights.example")]
KindName = Annotated[str | None, Query(max_length=64, description="Of this kind alone.", examples=["api_action"])]
Since = Annotated[
    str | None, Query(max_length=40, description="Occurred at or after.", examples=["2026-01-01T00:00:00Z"])
]
Until = Annotated[str | None, Query(max_length=40, description="Occurred before.", examples=["2027-01-01T00:00:00Z"])]
Told = Annotated[
    Literal["agent", "service", "system", "kind", "reason", "grade"] | None, Query(description="Tell apart by this.")
]


@router.get("/coverage", response_model=Coverage, responses=responses(401, 403, 503), summary="How much is attributed")
def covered(
    request: Request,
    caller: Reader,
    agent: Agent = None,
    service: Service = None,
    system: System = None,
    kind: KindName = None,
    since: Since = None,
    until: Until = None,
    by: Told = None,
) -> Response:
    """Actions in a slice, and the accounts of them, by class, reason and grade, as the sentinel judged them."""
    if kind is not None and kind not in KINDS:
        raise InvalidRequest(f"kind is none that is attributed by itself: {', '.join(KINDS)}")
    wanted = Slice(
        read_text(agent, "agent"),
        read_text(service, "service"),
        read_text(system, "system"),
        kind,
        read_time(since, "since"),
        read_time(until, "until"),
    )
    with request.app.state.store.connection() as connection:
        found = coverage(connection, caller.tenant, wanted, by=by)
    return JsonBody(show_coverage(found, by))
