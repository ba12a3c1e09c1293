"""What auditors and incident responders ask of more than one event."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from api.access import Reader
from api.parameters import read_id
from api.problems import responses
from api.question_models import RunDifference
from ledger.attribution.difference import difference_json
from ledger.store.runs import difference_of

router = APIRouter(prefix="/v1", tags=["questions"])

RunId = Annotated[str, Path(description="An execution's id, a UUID.", max_length=64)]


@router.get(
    "/executions/{a}/diff/{b}",
    response_model=RunDifference,
    responses=responses(401, 403, 404, 503),
    summary="What two runs did differently",
)
def diff(request: Request, caller: Reader, a: RunId, b: RunId) -> Response:
    """Steps aligned by kind, operation, causal structure and order; never by name alone. Bounded by `limits`."""
    wanted = read_id(a, "first execution id"), read_id(b, "second execution id")
    with request.app.state.store.connection() as connection:
        return JSONResponse(
            difference_json(difference_of(connection, request.app.state.reading, caller.tenant, *wanted))
        )
