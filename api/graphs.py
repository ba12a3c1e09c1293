"""A graph as a response, in the form that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import Query, Request
from fastapi.responses import Response

from api.json_body import JsonBody
from api.problems import responses
from ledger.attribution.drawing import DOT, GRAPHML, SVG, to_dot, to_graphml
from ledger.attribution.graph import node_link

if TYPE_CHECKING:
    import networkx

Format = Annotated[
    Literal["json", "graphml", "dot", "svg"],
    Query(
        description="`json`: networkx node-link; `dot`: for Graphviz; `svg`: drawn here, where Graphviz is installed."
    ),
]
_TEXT: Final = {"schema": {"type": "string"}}


def graph_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the forms beside JSON, and the problems of a path that answers with a graph."""
    forms = {"content": dict.fromkeys((GRAPHML, DOT, SVG), _TEXT)}
    return {200: forms, **responses(*statuses, 501)}


def graph_response(request: Request, graph: networkx.MultiDiGraph, wanted: str) -> Response:
    """The graph; raises ``DrawingFailed``."""
    if wanted == "graphml":
        return Response(to_graphml(graph), media_type=GRAPHML)
    if wanted == "dot":
        return Response(to_dot(graph), media_type=f"{DOT}; charset=utf-8")
    if wanted == "svg":
        # An SVG that is opened by itself is a document: it may run nothing.
        inert = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
        return Response(request.app.state.draw(to_dot(graph)), media_type=SVG, headers=inert)
    return JsonBody(node_link(graph))
