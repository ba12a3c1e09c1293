"""``/v1/chains`` and ``/v1/findings``: what publishers signed, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import Reader
from api.answer_models import Digest, EventId, Time
from api.cursors import read_cursor, write_cursor
from api.parameters import PAGE, TEXT_MOST, AsOf, Cursor, Limit, read_text, read_time
from api.problems import responses
from ledger.attribution.answer import rfc3339
from ledger.format import ids
from ledger.store import overview
from ledger.trust.reasons import REASONS

router = APIRouter(prefix="/v1", tags=["records"])


class Chain(BaseModel):
    """Everything that one publisher process signed, in its order."""

    service: str
    key_id: str
    chain_id: str
    verified_up_to: int | None = Field(description="every sequence below it is there; null: not even the first seal")
    last_seal: int | None = Field(description="the highest seal number admitted")
    last_append: Time | None
    next_due: Time | None = Field(description="when the chain promised its next seal; null: no promise")
    closed: bool
    gaps: int = Field(description="how many stretches of seals are missing, the beginning included")
    findings: list[str] = Field(description="names of what is open on it")


class Chains(BaseModel):
    """A page of chains."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "service": "travel-agent",
                            "key_id": "drf7GDknD0m_oiCBzXhE6Iievv1buAdI79uYhvWebAo",
                            "chain_id": "4f1c" * 8,
                            "verified_up_to": 512,
                            "last_seal": 3,
                            "last_append": "2026-03-01T12:00:00.000000Z",
                            "next_due": "2026-03-01T12:01:00.000000Z",
                            "closed": False,
                            "gaps": 0,
                            "findings": [],
                        }
                    ],
                    "next": None,
                }
            ]
        }
    )

    items: list[Chain]
    next: str | None = Field(description="the cursor of the next page; null: there was no more")


class Finding(BaseModel):
    """Something wrong or suspicious, with what it means and what to do."""

    name: str
    meaning: str
    remedy: str
    service: str | None
    key_id: str | None
    chain_id: str | None
    number: int | None = Field(description="the seal, or the first missing one")
    until: int | None = Field(description="the last missing seal of a gap")
    digest: Digest | None
    event_id: EventId | None
    detail: str
    opened_at: Time
    closed_at: Time | None


class Findings(BaseModel):
    """A page of findings."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "name": "gap",
                            "meaning": "seals of the chain are missing",
                            "remedy": "wait for the publisher's spool; else read retention and the rejected records",
                            "service": "travel-agent",
                            "key_id": "drf7GDknD0m_oiCBzXhE6Iievv1buAdI79uYhvWebAo",
                            "chain_id": "4f1c" * 8,
                            "number": 7,
                            "until": 8,
                            "digest": None,
                            "event_id": None,
                            "detail": "",
                            "opened_at": "2026-03-01T12:00:00.000000Z",
                            "closed_at": None,
                        }
                    ],
                    "next": None,
                }
            ]
        }
    )

    items: list[Finding]
    next: str | None = Field(description="the cursor of the next page; null: there was no more")


ServiceName = Annotated[str | None, Query(max_length=TEXT_MOST, description="Of this service alone.")]
FindingName = Annotated[str | None, Query(max_length=64, description="Of this name alone.", examples=["gap"])]
FindingState = Annotated[Literal["open", "all"], Query(description="`open` ones, or `all` that ever were.")]


@router.get("/chains", response_model=Chains, responses=responses(400, 401, 403, 503), summary="The tenant's chains")
def chains(
    request: Request, caller: Reader, service: ServiceName = None, limit: Limit = PAGE, cursor: Cursor = None
) -> Response:
    """In the order in which the store met them."""
    service = read_text(service, "service")
    scope = ("chains", caller.tenant, service)
    after = int(read_cursor(scope, cursor, [int])[0]) if cursor is not None else 0
    with request.app.state.store.connection() as connection:
        rows = overview.chains(connection, caller.tenant, service=service, after=after, limit=limit + 1)
    more = write_cursor(scope, [rows[limit - 1].id]) if len(rows) > limit else None
    return JSONResponse({"items": [_chain(row) for row in rows[:limit]], "next": more})


@router.get("/findings", response_model=Findings, responses=responses(400, 401, 403, 503), summary="What is wrong")
def findings(
    request: Request,
    caller: Reader,
    name: FindingName = None,
    state: FindingState = "open",
    as_of: AsOf = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Stored findings, which follow from the chains. What depends on the time of asking stands in each answer."""
    name, at = read_text(name, "name"), read_time(as_of)
    scope = ("findings", caller.tenant, name, state, as_of)
    after = int(read_cursor(scope, cursor, [int])[0]) if cursor is not None else 0
    with request.app.state.store.connection() as connection:
        rows = overview.findings(
            connection,
            caller.tenant,
            whole=caller.may("watch"),
            name=name,
            closed=state == "all",
            as_of=at,
            after=after,
            limit=limit + 1,
        )
    more = write_cursor(scope, [rows[limit - 1].id]) if len(rows) > limit else None
    return JSONResponse({"items": [_finding(row) for row in rows[:limit]], "next": more})


def _chain(row: overview.ChainRow) -> dict[str, object]:
    due = None
    if row.next_within and row.last_append is not None and row.closed_at is None:
        due = rfc3339(row.last_append + row.next_within * 1_000_000)
    return {
        "service": row.service,
        "key_id": row.key_id,
        "chain_id": row.chain_id.hex(),
        "verified_up_to": row.verified_up_to,
        "last_seal": row.last_number,
        "last_append": None if row.last_append is None else rfc3339(row.last_append),
        "next_due": due,
        "closed": row.closed_at is not None,
        "gaps": row.runs - (1 if row.verified_up_to is not None else 0),
        "findings": list(row.findings),
    }


def _finding(row: overview.FindingRow) -> dict[str, object]:
    reason = REASONS.get(row.name)
    return {
        "name": row.name,
        "meaning": reason.meaning if reason else "",
        "remedy": reason.remedy if reason else "",
        "service": row.service,
        "key_id": row.key_id,
        "chain_id": row.chain_id.hex() if row.chain_id is not None else None,
        "number": row.number,
        "until": row.until,
        "digest": row.digest.hex() if row.digest is not None else None,
        "event_id": ids.text(row.event_id) if row.event_id is not None else None,
        "detail": row.detail,
        "opened_at": rfc3339(row.opened_at),
        "closed_at": None if row.closed_at is None else rfc3339(row.closed_at),
    }
