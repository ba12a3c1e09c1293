"""``/v1/executions/{id}/replay``: a run step by step, with what held at each step."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.access import Reader
from api.json_body import JsonBody
from api.parameters import PAGE, AsOf, Cursor, Limit, read_id, read_time
from api.problems import responses
from api.replay_models import Replay
from api.routes.answers import Nodes
from api.routes.events import ExecutionId, read_place, write_place
from ledger.attribution.replay.silences import SILENCE
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits
from ledger.replay_view import replay_json
from ledger.store.replaying import replay_steps
from ledger.wiring import CLOCK

router = APIRouter(prefix="/v1", tags=["questions"])

SILENCE_MOST = 366 * 86_400
SilenceSeconds = Annotated[
    int,
    Query(
        ge=1,
        le=SILENCE_MOST,
        description="Seconds without a step that are told, where the chain of the step promises no fewer.",
    ),
]


@router.get(
    "/executions/{execution_id}/replay",
    response_model=Replay,
    responses=responses(401, 403, 404, 503),
    summary="A run step by step, with what held at each",
)
def replay(
    request: Request,
    caller: Reader,
    execution_id: ExecutionId,
    silence: SilenceSeconds = SILENCE,
    as_of: AsOf = None,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Tokens, approvals and untrusted content at each step, other runs that it crossed into, and silences.

    A page in the middle has what was carried over from before in `before`.
    """
    wanted, time = read_id(execution_id, "execution id"), read_time(as_of)
    scope = ("replay", caller.tenant, wanted.hex(), as_of, silence, nodes)
    after = read_place(scope, cursor)
    with request.app.state.store.connection() as connection:
        page = replay_steps(
            connection,
            request.app.state.reading,
            caller.tenant,
            wanted,
            now=CLOCK.now(),
            after=after,
            limit=limit,
            silence=silence,
            as_of=time,
            limits=Limits(nodes=nodes),
        )
    return JsonBody({**replay_json(page), "next": write_place(scope, page.next)})
