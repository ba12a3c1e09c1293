"""``/v1/chains`` and ``/v1/findings``: what publishers signed, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.access import Reader
from api.answer_models import Digest, EventId, Time
from api.cursors import BAD_CURSOR, bounded, read_cursor, write_cursor
from api.json_body import JsonBody
from api.parameters import PAGE, TEXT_MOST, AsOf, Cursor, Limit, read_text, read_time
from api.problems import InvalidRequest, responses
from ledger.attribution.answer import Severity
from ledger.attribution.contradictions import BY_NAME
from ledger.attribution.json_form import rfc3339
from ledger.findings_view import finding_json
from ledger.store import overview
from ledger.store.survey import NAMES, Asked, At, place_of, survey

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

    items: list[Chain]
    next: str | None = Field(description="the cursor of the next page; null: there was no more")


class Finding(BaseModel):
    """Something wrong or suspicious, with what it means and what to do."""

    name: str
    origin: Literal["stored", "computed"] = Field(
        description="`stored`: follows from what was recorded. `computed`: depends on the state as of `as_of`"
    )
    as_of: Time = Field(description="the time at which this holds, the same on every page")
    refused: bool = Field(
        description="true: a record that was refused, and kept. false: what was admitted, and is wrong"
    )
    meaning: str
    remedy: str
    service: str | None = Field(description="of a refused record, what its seal claims")
    key_id: str | None
    chain_id: str | None
    number: int | None = Field(description="the seal, or the first missing one; of what the log lost, the first offset")
    until: int | None = Field(description="the last missing seal of a gap; of what the log lost, the last offset")
    digest: Digest | None = Field(description="of the seal, event, content or refused record")
    event_id: EventId | None
    severity: str | None = Field(
        description="of a contradiction: how soon to look; null: of a finding about the record"
    )
    evidence: list[EventId] = Field(description="of a contradiction: the events that show it")
    detail: str
    opened_at: Time | None = Field(
        description="the append time, or the due time, from which on it held; null: not known"
    )
    closed_at: Time | None = Field(description="null: it holds")


class Looked(BaseModel):
    """How much was looked at for this page, by source; a source that was not reached, or not asked for, is absent."""

    stored: int | None = Field(None, description="stored findings")
    refused: int | None = Field(None, description="refused records")
    contradictions: int | None = Field(None, description="contradictions that the sentinel found")
    chains: int | None = Field(None, description="chains whose promise of a next seal was checked")
    continuations: int | None = Field(None, description="chains whose opening event was read, the latest first")
    events: int | None = Field(None, description="events whose id and causes were checked, the latest chains first")
    log: int | None = Field(None, description="stretches of the log that were dropped unread")


class Findings(BaseModel):
    """A page of findings. It may be short, or empty, while `next` leads on: see `truncated`."""

    items: list[Finding]
    next: str | None = Field(description="the cursor of the next page; null: everything was looked at")
    truncated: list[Literal["scan", "continuations", "cycles", "trust", "log"]] = Field(
        description="`scan`: enough was looked at for one page, go on by `next`. What going on does not lift: "
        "`continuations`: only the latest chains were read for it; `cycles`: the walk for cycles was cut short; "
        "`trust`: there is no trust bundle, and nothing is computed from what cannot be verified; "
        "`log`: the log cannot be asked what it dropped"
    )
    looked: Looked
    as_of: Time


ServiceName = Annotated[str | None, Query(max_length=TEXT_MOST, description="Of this service alone.")]
FindingName = Annotated[str | None, Query(max_length=64, description="Of this name alone.", examples=["gap"])]
FindingState = Annotated[
    Literal["open", "closed", "all"],
    Query(description="What is `open`, what is `closed` by now, or `all` that ever was."),
]
FindingOrigin = Annotated[
    Literal["stored", "computed"] | None, Query(description="Only what is stored, or only what is computed.")
]
FindingSeverity = Annotated[Severity | None, Query(description="Contradictions of this severity alone.")]
FindingAgent = Annotated[
    str | None, Query(max_length=TEXT_MOST, description="Contradictions of what this agent did alone: an agent_id.")
]


@router.get("/chains", response_model=Chains, responses=responses(401, 403, 503), summary="The tenant's chains")
def chains(
    request: Request, caller: Reader, service: ServiceName = None, limit: Limit = PAGE, cursor: Cursor = None
) -> Response:
    """In the order in which the store met them."""
    service = read_text(service, "service")
    scope = ("chains", caller.tenant, service)
    after = bounded(int(read_cursor(scope, cursor, [int])[0])) if cursor is not None else 0
    with request.app.state.store.connection() as connection:
        rows = overview.chains(connection, caller.tenant, service=service, after=after, limit=limit + 1)
    more = write_cursor(scope, [rows[limit - 1].id]) if len(rows) > limit else None
    return JsonBody({"items": [_chain(row) for row in rows[:limit]], "next": more})


@router.get("/findings", response_model=Findings, responses=responses(401, 403, 503), summary="What is wrong")
def findings(
    request: Request,
    caller: Reader,
    name: FindingName = None,
    state: FindingState = "open",
    origin: FindingOrigin = None,
    severity: FindingSeverity = None,
    agent: FindingAgent = None,
    as_of: AsOf = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Stored findings, refused records and contradictions, then what is computed from the state as of a time: see `origin`.

    A page looks at a bounded part of the ledger and says how far, in `looked` and `truncated`; `next` goes on from there.
    """
    if name is not None and name not in NAMES and name not in BY_NAME:
        raise InvalidRequest(
            "name is none that can be found here: docs/format.md lists findings and refusals, docs/contradictions.md rules"
        )
    at, agent = read_time(as_of), read_text(agent, "agent")
    scope = ("findings", caller.tenant, name, state, origin, severity, agent, as_of)
    app = request.app.state
    with app.store.connection() as connection:
        after, now = _read_place(scope, cursor) if cursor is not None else (None, at)
        now = overview.clock(connection) if now is None else now
        whole = caller.may("watch")
        asked = Asked(caller.tenant, now, whole, name, origin, state, at, app.pulse.sample.lost, severity, agent)
        page = survey(connection, app.reading, asked, after=after, limit=limit)
    body = {
        "items": [finding_json(each, now) for each in page.found],
        "next": None if page.next is None else _write_place(scope, page.next, now),
        "truncated": list(page.truncated),
        "looked": page.looked,
        "as_of": rfc3339(now),
    }
    return JsonBody(body)


def _read_place(scope: Sequence[object], cursor: str) -> tuple[At, int]:
    """Where the page before ended, and as of when: all pages of a list are as of one time."""
    source, now, place = read_cursor(scope, cursor, [str, int, str])
    try:
        return place_of(str(source), str(place).split(".")), bounded(int(now))
    except ValueError:
        raise InvalidRequest(BAD_CURSOR) from None


def _write_place(scope: Sequence[object], at: At, now: int) -> str:
    return write_cursor(scope, [at.source, now, ".".join(map(str, at.place))])


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
