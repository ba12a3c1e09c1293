"""``--format``: a graph on standard output, for the programs that draw and compute."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from ledger.attribution.drawing import to_dot, to_graphml
from ledger.attribution.graph import graph_of, node_link
from ledger.attribution.subgraph import Subgraph
from ledger.cli.output import emit
from ledger.errors import ConfigurationError
from ledger.graphviz import draw_svg

FORMATS: Final = ("json", "graphml", "dot", "svg")
Form = Annotated[
    str | None, typer.Option("--format", help="As a graph: json (node-link), graphml, dot, or svg (needs Graphviz).")
]


def form_of(text: str | None, *, as_json: bool) -> str | None:
    """The format asked for; None: text for people. Raises ``ConfigurationError``."""
    if text is not None and text not in FORMATS:
        raise ConfigurationError(f"{text!r} is no format of a graph; there are {', '.join(FORMATS)}")
    if as_json and text not in (None, "json"):
        raise ConfigurationError("choose one of --json and --format")
    return "json" if as_json else text


def emit_graph(found: Subgraph, form: str) -> None:
    """Writes it; raises ``DrawingFailed``."""
    graph = graph_of(found)
    if form == "json":
        emit(node_link(graph))
        return
    dot = to_dot(graph)
    text = to_graphml(graph) if form == "graphml" else draw_svg(dot).decode() if form == "svg" else dot
    sys.stdout.write(text)
    sys.stdout.flush()
