"""``/v1/events/{id}/who-triggered`` and ``/lineage``: what the ledger is asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from api.access import Reader
from api.answer_models import Answer, Digest, Grade, Time
from api.graphs import Format, graph_response, graph_responses
from api.json_body import JsonBody
from api.parameters import AsOf, EventId, read_id, read_time
from api.problems import responses
from ledger import ask
from ledger.attribution.graph import graph_of
from ledger.attribution.json_form import to_json
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits

router = APIRouter(prefix="/v1", tags=["answers"])

NODES_MOST = 5000

Nodes = Annotated[
    int, Query(ge=1, le=NODES_MOST, description="Most events to look at; `truncated` tells if it was hit.")
]
Direction = Annotated[Literal["up", "down"], Query(description="`up`: what it came from; `down`: what came of it.")]


class GraphNode(BaseModel):
    """An event of a graph, or a cause that is not in the ledger (`kind` null, `missing` says why)."""

    model_config = ConfigDict(extra="forbid")

    id: str
    event_id: str | None = None
    digest: Digest | None = None
    kind: str | None
    summary: str | None = None
    occurred_at: Time | None = None
    append_time: Time | None = None
    service: str | None = None
    importer: bool | None = None
    agent_id: str | None = None
    execution_id: str | None = None
    effective: bool | None = None
    findings: list[str] | None = None
    missing: str | None = None


class GraphEdge(BaseModel):
    """From a cause to its effect; `key` is the relation."""

    model_config = ConfigDict(extra="forbid")

    source: str
    target: str
    key: str | int
    grade: Grade | None
    join: str | None
    candidates: int


class Graph(BaseModel):
    """A bounded execution graph in networkx's node-link form."""

    directed: Literal[True]
    multigraph: Literal[True]
    graph: dict[str, Any]
    nodes: list[GraphNode]
    edges: list[GraphEdge]


@router.get(
    "/events/{event_id}/who-triggered",
    response_model=Answer,
    responses=responses(401, 403, 404, 503),
    summary="Who triggered it, and how that is known",
)
def who_triggered(
    request: Request, caller: Reader, event_id: EventId, as_of: AsOf = None, nodes: Nodes = DEFAULT_LIMITS.nodes
) -> Response:
    """Triggers, authority, actors, approvals, influences, owners and the path, each link with its grade; and what it covers."""
    wanted, time = read_id(event_id, "event id"), read_time(as_of)
    state = request.app.state
    answer = ask.who_triggered(
        state.lineage, caller.tenant, wanted, as_of=time, limits=Limits(nodes=nodes), house=state.house
    )
    return JsonBody(to_json(answer))


@router.get(
    "/events/{event_id}/lineage",
    response_model=Graph,
    responses=graph_responses(401, 403, 404, 503),
    summary="What it came from, or what came of it",
)
def lineage(
    request: Request,
    caller: Reader,
    event_id: EventId,
    direction: Direction = "up",
    as_of: AsOf = None,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    format: Format = "json",  # noqa: A002 - the name that callers know
) -> Response:
    """A graph bounded by `nodes`, with the causes that are missing."""
    wanted, time = read_id(event_id, "event id"), read_time(as_of)
    source = request.app.state.lineage
    found = ask.lineage_of(source, caller.tenant, wanted, direction, as_of=time, limits=Limits(nodes=nodes))
    return graph_response(request, graph_of(found), format)
