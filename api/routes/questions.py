"""What auditors and incident responders ask of more than one event."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from api.access import Reader
from api.cursors import BAD_CURSOR, read_cursor, write_cursor
from api.json_body import JsonBody
from api.parameters import PAGE, TEXT_MOST, AsOf, Cursor, Limit, read_id, read_text, read_time
from api.problems import InvalidRequest, responses
from api.question_models import AgentDetail, Agents, RunDifference, Touched
from api.routes.answers import Nodes
from ledger.attribution.difference import difference_json
from ledger.attribution.inventory.agent import Wanted
from ledger.attribution.inventory.json_form import agent_json, history_json
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits
from ledger.errors import NotFound
from ledger.store.absent import by_then
from ledger.store.inventory import agent_by_id, list_agents
from ledger.store.runs import difference_of
from ledger.store.touched import STARTS, What, touched
from ledger.touched_view import touched_json
from ledger.wiring import CLOCK

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
        return JsonBody(difference_json(difference_of(connection, request.app.state.reading, caller.tenant, *wanted)))


AgentId = Annotated[
    str,
    Path(
        description="The agent's URI, percent-encoded, or a name of it in tokens: `issuer#client_id`.",
        max_length=TEXT_MOST,
    ),
]
RemarkName = Annotated[str | None, Query(description="Those with this remark.", max_length=64)]
State = Annotated[str | None, Query(description="Registered as active, suspended or retired.", max_length=64)]
Owner = Annotated[
    str | None, Query(description="Owned by: `issuer#subject`, or a digest of theirs in hex.", max_length=TEXT_MOST)
]


@router.get("/agents", response_model=Agents, responses=responses(401, 403, 503), summary="The inventory of agents")
def agents(
    request: Request,
    caller: Reader,
    remark: RemarkName = None,
    state: State = None,
    owner: Owner = None,
    as_of: AsOf = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Whatever is registered, named by events, acting in tokens, or a client that acts; with what does not fit together."""
    wanted = Wanted(remark, read_text(state, "state"), read_text(owner, "owner")).checked()
    time = read_time(as_of)
    scope = ("agents", caller.tenant, *wanted, as_of)
    after = "" if cursor is None else str(read_cursor(scope, cursor, (str,))[0])
    with request.app.state.store.connection() as connection:
        page = list_agents(
            connection,
            request.app.state.reading,
            caller.tenant,
            wanted=wanted.fits,
            after=after,
            limit=limit,
            now=CLOCK.now(),
            as_of=time,
        )
    more = None if page.next is None else write_cursor(scope, (page.next,))
    items = [agent_json(each) for each in page.agents]
    return JsonBody({"items": items, "next": more, "truncated": list(page.truncated)})


@router.get(
    "/agents/{agent_id:anything}",
    response_model=AgentDetail,
    responses=responses(401, 403, 404, 503),
    summary="One agent, with its history",
)
def agent(request: Request, caller: Reader, agent_id: AgentId, as_of: AsOf = None) -> Response:
    """Owner, purpose, model, version, scopes, state, configuration, what does not fit, and how it came to be so."""
    wanted, time = read_text(agent_id, "agent id") or "", read_time(as_of)
    with request.app.state.store.connection() as connection:
        found = agent_by_id(connection, request.app.state.reading, caller.tenant, wanted, now=CLOCK.now(), as_of=time)
    return JsonBody({**agent_json(found), "history": history_json(found)})


Thing = Annotated[What, Path(description="What it is that touched others.")]
Value = Annotated[
    str,
    Path(
        description="Person: `issuer#subject` or a digest; token: `issuer#jti` or SHA-256; grant: its id; document: its URI; "
        "memory: `store#key`; policy: `id` or `id@version`.",
        max_length=TEXT_MOST,
    ),
]


@router.get(
    "/touched/{what}/{value:anything}",
    response_model=Touched,
    responses=responses(401, 403, 404, 503),
    summary="What a person, token or document touched",
)
def touched_by(
    request: Request,
    caller: Reader,
    what: Thing,
    value: Value,
    as_of: AsOf = None,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    cursor: Cursor = None,
) -> Response:
    """Everything that came of it, through whichever agents and across executions, each with how sure the way to it is."""
    wanted, time = read_text(value, "value") or "", read_time(as_of)
    scope = ("touched", caller.tenant, what, wanted, as_of, nodes)
    before = b"\xff" * 16 if cursor is None else _event_id(str(read_cursor(scope, cursor, (str,))[0]))
    with request.app.state.store.connection() as connection:
        reading = request.app.state.reading
        limits = Limits(nodes=nodes)
        page = touched(connection, reading, caller.tenant, what, wanted, before=before, as_of=time, limits=limits)
    if not page.starts and cursor is None:
        raise NotFound(f"this ledger holds nothing of the {what} {wanted!r}{by_then(time)}")
    more = None if page.before is None else write_cursor(scope, (page.before.hex(),))
    return JsonBody({**touched_json(what, wanted, page), "next": more, "limits": {"nodes": nodes, "starts": STARTS}})


def _event_id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise InvalidRequest(BAD_CURSOR)
    return found
