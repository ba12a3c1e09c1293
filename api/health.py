"""``/v1/health`` and ``/metrics``: whether the server lives, whether it can answer, and what is wrong while it is wrong."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api import faults, metrics
from api.access import Visitor, Watcher
from api.faults import Fault
from api.json_body import JsonBody
from api.problems import responses
from api.pulse import WAIT_SECONDS, Pulse
from api.store import Store
from ledger.errors import LedgerError
from ledger.store import overview

router = APIRouter(tags=["operation"])


class WrongNow(BaseModel):
    """One thing that is wrong now; it is gone from here when it is mended."""

    name: Literal[
        "store_away",
        "store_not_migrated",
        "log_away",
        "log_replaced",
        "records_lost",
        "materializer_behind",
        "contents_behind",
        "erasures_waiting",
        "bundle_unreadable",
        "bundle_different",
        "rules_different",
    ]
    detail: str
    remedy: str


class Live(BaseModel):
    """The process answers. Nothing else was looked at."""

    status: Literal["live"]


class Ready(BaseModel):
    """Whether questions can be answered, and if not, why."""

    status: Literal["ready", "down"]
    wrong: list[WrongNow] = Field(description="what keeps it from answering")


class Health(BaseModel):
    """How the server is. Figures, beside those, need a token where tokens are used."""

    status: Literal["ok", "degraded", "down"] = Field(
        description="`ok`: nothing is wrong. `degraded`: it answers, and something is wrong. `down`: it cannot answer"
    )
    ready: bool = Field(description="false while `down`")
    wrong: list[WrongNow] = Field(description="everything that is wrong now")
    ledger: str
    bundle_digest: str | None = Field(description="SHA-256 of the trust bundle, the last one that could be read")
    bundle_judged: Literal["current", "behind", "different", "unknown"] = Field(
        description="whether the store was judged under that bundle, under the beginning of it, or under another one"
    )
    lag_records: int | None = Field(None, description="records in the log that are not in the store; null: not known")
    lag_seconds: float | None = Field(None, description="for how long the oldest of them was seen waiting")
    findings: int | None = Field(None, description="open stored findings of the token's tenant")
    rejected: dict[str, int] | None = Field(None, description="refused records by reason; for operators")
    quarantined: int | None = Field(None, description="records that killed a worker; for operators")


@router.get("/v1/health/live", response_model=Live, responses=responses(), summary="Does the process answer?")
async def live() -> Response:
    """200 as long as the process answers at all: restart it when it does not. Looks at nothing else, needs no token."""
    return JsonBody({"status": "live"})


@router.get(
    "/v1/health/ready",
    response_model=Ready,
    responses={**responses(), 503: {"model": Ready, "description": "It cannot answer now"}},
    summary="Can it answer now?",
)
def ready(request: Request) -> Response:
    """200 while questions can be answered, 503 while they cannot: send it none then. Needs no token.

    A log that is away or a materializer that is behind makes answers older, not impossible: see `/v1/health`.
    """
    _, wrong = faults.look_at_store(request.app.state.store, WAIT_SECONDS)
    status = "down" if wrong else "ready"
    return JsonBody({"status": status, "wrong": [_shown(each) for each in wrong]}, 503 if wrong else 200)


@router.get(
    "/v1/health",
    response_model=Health,
    responses={**responses(401), 503: {"model": Health, "description": "It cannot answer now"}},
    summary="What is wrong now?",
    openapi_extra={"security": [{}]},  # beside the token's: who has none is told less
)
def health(request: Request, visitor: Visitor) -> Response:
    """Everything that is wrong while it is wrong, also what does not keep it from answering. 503 only while it cannot answer."""
    state = request.app.state
    pulse: Pulse = state.pulse
    bundle, unreadable = state.bundle.look()
    judged, away = faults.look_at_store(state.store, WAIT_SECONDS)
    wrong = dict.fromkeys([*away, *unreadable])
    body: dict[str, Any] = {"bundle_judged": "unknown"}
    if bundle is not None and judged is not None:
        body["bundle_judged"], different = faults.compare(bundle, judged.lines)
        wrong |= dict.fromkeys(different)
    if judged is not None:
        wrong |= dict.fromkeys(faults.compare_rules(state.house, judged))
    # What was looked at just now is known better than by the pulse.
    wrong |= dict.fromkeys(each for each in pulse.sample.faults if each not in faults.LOOKED)
    down = any(each.down for each in wrong)
    body |= {
        "status": "down" if down else "degraded" if wrong else "ok",
        "ready": not down,
        "wrong": [_shown(each) for each in wrong],
        "ledger": state.ledger,
        "bundle_digest": bundle.digest.hex() if bundle else None,
    }
    if visitor is not None:
        body |= {"lag_records": pulse.sample.records, "lag_seconds": pulse.sample.seconds}
        body |= _counts(state.store, visitor.tenant, whole=visitor.may("watch")) if not down else {}
    return JsonBody(body, 503 if down else 200)


def _counts(store: Store, tenant: str, *, whole: bool) -> dict[str, Any]:
    try:
        with store.connection(WAIT_SECONDS) as connection:
            counts = overview.counts(connection, tenant)
    except LedgerError:
        return {}
    shown: dict[str, Any] = {"findings": sum(counts.findings.values())}
    return shown | {"rejected": counts.rejected, "quarantined": counts.quarantined} if whole else shown


def _shown(fault: Fault) -> dict[str, str]:
    return {"name": fault.name, "detail": fault.detail, "remedy": fault.remedy}


@router.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format"}, **responses(401, 403)},
    response_class=Response,
    summary="Prometheus metrics",
)
async def prometheus(request: Request, caller: Watcher) -> Response:  # noqa: ARG001 - who asks is checked, and not looked at
    """Requests and their times by route, the lag, and what is wrong."""
    return Response(request.app.state.metrics.text(), media_type=metrics.MEDIA_TYPE)
