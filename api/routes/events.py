"""``/v1/events``, ``/v1/actions`` and ``/v1/executions``: events found, one by one, by action, by run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from api.access import Reader
from api.cursors import BAD_CURSOR, bounded, read_cursor, write_cursor
from api.event_models import EventList, Events, Execution
from api.graphs import Format, graph_response, graph_responses
from api.json_body import JsonBody
from api.parameters import PAGE, TEXT_MOST, Cursor, EventId, Limit, read_id, read_text, read_time
from api.problems import InvalidRequest, responses
from api.routes.answers import Graph, Nodes
from ledger.attribution.graph import graph_of
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits, Node
from ledger.event_view import matched, people_of, show_event
from ledger.store import judged, queries
from ledger.store.persons import persons_listed

router = APIRouter(prefix="/v1", tags=["events"])

ACCOUNTS_MOST = 500
ID_BYTES, DIGEST_BYTES = 16, 32
_SHAPE: Sequence[type] = (str, str, int)

ExecutionId = Annotated[str, Path(description="The execution's id, a UUID.", max_length=64)]
ActionId = Annotated[str, Path(description="The action's id, as its accounts state it.", max_length=TEXT_MOST)]
Value = Annotated[
    str | None,
    Query(
        max_length=TEXT_MOST,
        description="Stands, exactly, in any field: a request, trace, span, tool call, decision or approval id, a token's jti or "
        "issuer#jti, a resource or a part of one (such as a table), an address or host. Contents are not searched.",
        examples=["0af7651916cd43dd8448eb211c80319c"],
    ),
]
Correlation = Annotated[
    str | None,
    Query(max_length=TEXT_MOST, description="`namespace:value`.", examples=["trace:0af7651916cd43dd8448eb211c80319c"]),
]
Principal = Annotated[
    str | None, Query(max_length=TEXT_MOST, description="A person: `issuer#subject`, or a digest of theirs in hex.")
]
Agent = Annotated[str | None, Query(max_length=TEXT_MOST, description="The logical agent's URI.")]
Resource = Annotated[
    str | None, Query(max_length=TEXT_MOST, description="What was acted upon, as the event states it.")
]
KindName = Annotated[str | None, Query(max_length=64, description="The kind of event.", examples=["api_action"])]
ExecutionQuery = Annotated[str | None, Query(max_length=64, description="Of this execution.")]
ClassName = Annotated[
    str | None,
    Query(
        alias="class",
        max_length=64,
        description=f"Judged as, by the sentinel, as `/v1/coverage` counts: {', '.join(judged.CLASSES)}.",
        examples=["unattributed"],
    ),
]
Reason = Annotated[
    str | None,
    Query(max_length=64, description="Attributed to nobody for this reason.", examples=["no_trigger"]),
]
Since = Annotated[str | None, Query(max_length=40, description="Occurred at or after: RFC 3339.")]
Until = Annotated[str | None, Query(max_length=40, description="Occurred before: RFC 3339.")]


@router.get("/events", response_model=Events, responses=responses(401, 403, 503), summary="Find events")
def find(
    request: Request,
    caller: Reader,
    value: Value = None,
    correlation: Correlation = None,
    principal: Principal = None,
    agent: Agent = None,
    resource: Resource = None,
    kind: KindName = None,
    execution: ExecutionQuery = None,
    since: Since = None,
    until: Until = None,
    class_: ClassName = None,
    reason: Reason = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Those that match everything that is given, the latest ids first. Without their payloads: ask for each by id."""
    search = queries.Search(
        value=read_text(value, "value"),
        correlation=read_text(correlation, "correlation"),
        principal=read_text(principal, "principal"),
        agent=read_text(agent, "agent"),
        resource=read_text(resource, "resource"),
        kind=read_text(kind, "kind"),
        execution=None if execution is None else read_id(execution, "execution"),
        since=read_time(since, "since"),
        until=read_time(until, "until"),
        judged=judged.Judged(read_text(class_, "class"), read_text(reason, "reason")),
    )
    scope = ("events", caller.tenant, *search[:-1], *search.judged)
    after = read_place(scope, cursor)
    with request.app.state.store.connection() as connection:
        reading = request.app.state.reading
        page = queries.find_events(connection, reading, caller.tenant, search, after=after, limit=limit)
        items = _shown(request, connection, caller.tenant, page.events, payload=False)
    for item, node in zip(items, page.events, strict=True):
        item["matched"] = matched(node, search.value)
    return JsonBody({"items": items, "next": write_place(scope, page.next), "truncated": list(page.truncated)})


@router.get(
    "/events/{event_id}", response_model=EventList, responses=responses(401, 403, 404, 503), summary="One event"
)
def event(request: Request, caller: Reader, event_id: EventId) -> Response:
    """What it says and who signed it. Two where one id has two digests: both are kept."""
    wanted = read_id(event_id, "event id")
    with request.app.state.store.connection() as connection:
        found = queries.event_by_id(connection, request.app.state.reading, caller.tenant, wanted)
        return JsonBody({"items": _shown(request, connection, caller.tenant, found)})


@router.get(
    "/actions/{action_id:anything}",
    response_model=EventList,
    responses=responses(401, 403, 404, 503),
    summary="All accounts of one action",
)
def action(request: Request, caller: Reader, action_id: ActionId) -> Response:
    """Attempts and outcomes by every observer, the decisions about it and the approvals of it, in order of time."""
    wanted = read_text(action_id, "action id") or ""
    with request.app.state.store.connection() as connection:
        reading = request.app.state.reading
        page = queries.events_of_action(connection, reading, caller.tenant, wanted, limit=ACCOUNTS_MOST)
        items = _shown(request, connection, caller.tenant, page.events)
    return JsonBody({"items": items, "truncated": list(page.truncated)})


@router.get(
    "/executions/{execution_id}",
    response_model=Execution,
    responses=responses(401, 403, 404, 503),
    summary="A run, step by step",
)
def execution(
    request: Request, caller: Reader, execution_id: ExecutionId, limit: Limit = PAGE, cursor: Cursor = None
) -> Response:
    """The events of a run in the order in which they occurred."""
    wanted = read_id(execution_id, "execution id")
    scope = ("execution", caller.tenant, wanted.hex())
    after = read_place(scope, cursor)
    with request.app.state.store.connection() as connection:
        reading = request.app.state.reading
        page = queries.replay(connection, reading, caller.tenant, wanted, after=after, limit=limit)
        items = _shown(request, connection, caller.tenant, page.events)
    body = {"execution_id": execution_id.lower(), "items": items, "next": write_place(scope, page.next)}
    return JsonBody(body)


@router.get(
    "/executions/{execution_id}/graph",
    response_model=Graph,
    responses=graph_responses(401, 403, 404, 503),
    summary="A run as a graph",
)
def graph(
    request: Request,
    caller: Reader,
    execution_id: ExecutionId,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    format: Format = "json",  # noqa: A002 - the name that callers know
) -> Response:
    """Its first events, up to `nodes`, and the causes outside of it as ends."""
    wanted = read_id(execution_id, "execution id")
    with request.app.state.store.connection() as connection:
        reading = request.app.state.reading
        found = queries.execution_subgraph(connection, reading, caller.tenant, wanted, limits=Limits(nodes=nodes))
    return graph_response(request, graph_of(found), format)


def _shown(
    request: Request, connection: Any, tenant: str, nodes: Sequence[Node], *, payload: bool = True
) -> list[dict[str, Any]]:
    people = {digest for node in nodes for digest in people_of(node)}
    persons = persons_listed(connection, request.app.state.reading, tenant, people)
    return [show_event(node, persons, payload=payload) for node in nodes]


def read_place(scope: Sequence[object], cursor: str | None) -> queries.Cursor | None:
    """Where a list of events goes on; raises ``InvalidRequest``."""
    if cursor is None:
        return None
    event_id, digest, at = read_cursor(scope, cursor, _SHAPE)
    try:
        place = queries.Cursor(bytes.fromhex(str(event_id)), bytes.fromhex(str(digest)), bounded(int(at)))
    except ValueError:
        raise InvalidRequest(BAD_CURSOR) from None
    if len(place.event_id) != ID_BYTES or len(place.digest) not in (0, DIGEST_BYTES):
        raise InvalidRequest(BAD_CURSOR)
    return place


def write_place(scope: Sequence[object], cursor: queries.Cursor | None) -> str | None:
    """The cursor of the next page."""
    return None if cursor is None else write_cursor(scope, [cursor.event_id.hex(), cursor.digest.hex(), cursor.at])
