"""``/v1/health`` and ``/metrics``: whether the server lives, whether it can answer, and how the ledger is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from api import metrics
from api.access import Visitor, Watcher
from api.problems import responses
from api.pulse import Pulse
from api.store import Store
from ledger.errors import LedgerError
from ledger.store import overview
from ledger.store.migrations import check_migrated
from ledger.trust.bundle import TrustBundle

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """What `alive`, `ready` and `bundle_digest` say is told to everybody; the rest needs a token where tokens are used."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "alive": True,
                    "ready": True,
                    "detail": "",
                    "ledger": "acme",
                    "bundle_digest": "5b7c09e4" * 8,
                    "bundle_judged": "current",
                    "lag": 0,
                    "lag_detail": "",
                    "findings": 0,
                    "rejected": None,
                    "quarantined": None,
                }
            ]
        }
    )

    alive: Literal[True] = Field(description="this process answers")
    ready: bool = Field(description="the store answers and has the tables of this release")
    detail: str = Field(description="why it is not ready")
    ledger: str
    bundle_digest: str | None = Field(description="SHA-256 of the trust bundle that this server was given")
    bundle_judged: Literal["current", "behind", "different", "unknown"] = Field(
        description="whether the store was judged under that bundle, under the beginning of it, or under another one"
    )
    lag: int | None = Field(None, description="records in the log that are not in the store yet")
    lag_detail: str | None = None
    findings: int | None = Field(None, description="open findings of the token's tenant")
    rejected: dict[str, int] | None = Field(None, description="refused records by reason; for operators")
    quarantined: int | None = Field(None, description="records that killed a worker; for operators")


@router.get("/v1/health", response_model=Health, responses=responses(401, 503), summary="Is it alive, ready, behind?")
def health(
    request: Request,
    visitor: Visitor,
    only: Annotated[
        Literal["alive"] | None, Query(description="`alive` asks the process alone, not the store.")
    ] = None,
) -> Response:
    """200 while it can answer, 503 while it cannot; with `only=alive` 200 as long as the process answers at all."""
    state = request.app.state
    bundle: TrustBundle | None = state.bundle()
    body: dict[str, Any] = {
        "alive": True,
        "ready": False,
        "detail": "",
        "ledger": state.ledger,
        "bundle_digest": bundle.digest.hex() if bundle else None,
        "bundle_judged": "unknown",
    }
    if only is None:
        try:
            _look(state.store, state.pulse, bundle, visitor, body)
        except LedgerError:
            body["detail"] = "the store does not answer, or not with the tables of this release"
    return JSONResponse(body, 200 if body["ready"] or only is not None else 503)


def _look(store: Store, pulse: Pulse, bundle: TrustBundle | None, visitor: Visitor, body: dict[str, Any]) -> None:
    with store.connection() as connection:
        check_migrated(connection)
        judged = overview.trust_lines(connection)
        if visitor is not None:
            counts = overview.counts(connection, visitor.tenant)
            body |= {
                "lag": pulse.lag.records,
                "lag_detail": pulse.lag.detail,
                "findings": sum(counts.findings.values()),
            }
            if visitor.may("watch"):
                body |= {"rejected": counts.rejected, "quarantined": counts.quarantined}
    body["ready"] = True
    if bundle is not None:
        body["bundle_judged"] = _compare(bundle, judged)


def _compare(bundle: TrustBundle, judged: list[bytes]) -> str:
    if not bundle.extends(judged):
        return "different"
    return "current" if len(judged) == len(bundle.lines) else "behind"


@router.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format"}, **responses(401, 403)},
    response_class=Response,
    summary="Prometheus metrics",
)
async def prometheus(request: Request, caller: Watcher) -> Response:  # noqa: ARG001
    """Requests and their times, by route."""
    return Response(request.app.state.metrics.text(), media_type=metrics.MEDIA_TYPE)
