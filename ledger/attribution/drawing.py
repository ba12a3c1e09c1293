"""A graph in the forms that others' programs read: GraphML, and DOT for Graphviz. Text of strangers is data in both.

The node-link form keeps every value as it is; these two know only scalars. What neither may hold, characters that XML forbids and
those that would end or steer a label, is written as a visible escape.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import networkx

GRAPHML: Final = "application/graphml+xml"
DOT: Final = "text/vnd.graphviz"
SVG: Final = "image/svg+xml"

LEGEND: Final = (
    "arrows lead from a cause to its effect, and say what the effect was: started_by the cause, authorized_by it …"
)
LABEL: Final = 120
"""Characters of a summary that a drawing shows; the other forms have all of it."""
_FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_DASHED: Final = frozenset({"inferred", None})


def to_graphml(graph: networkx.MultiDiGraph) -> str:
    """GraphML 1.0. Lists are JSON, what is not known is left out; an edge's relation is data, for its id must be its own."""
    import networkx

    plain = networkx.MultiDiGraph(**_scalars(graph.graph))
    for name, held in graph.nodes(data=True):
        plain.add_node(name, **_scalars(held))
    for number, (source, target, relation, held) in enumerate(graph.edges(keys=True, data=True)):
        plain.add_edge(source, target, key=f"e{number}", **_scalars({"relation": relation, **held}))
    return "\n".join(networkx.generate_graphml(plain)) + "\n"


def to_dot(graph: networkx.MultiDiGraph) -> str:
    """A ``digraph``: from cause to effect, top down, as its legend says; what was asked about bold, what is missing
    dashed, what is joined dotted."""
    lines = ["digraph ledger {", '  node [shape=box fontname="Helvetica"]; edge [fontname="Helvetica" fontsize=10];']
    asked = graph.graph.get("asked")
    cut = "\ncut short: a limit was reached" if graph.graph.get("truncated") else ""
    lines.append(f"  label={_quoted(LEGEND + cut)};")
    for name, held in graph.nodes(data=True):
        lines.append(f"  {_quoted(name)} [{_node(held, held.get('event_id') == asked)}];")
    for source, target, relation, held in graph.edges(keys=True, data=True):
        style = " style=dotted" if held["grade"] in _DASHED else ""
        label = _quoted(f"{relation}\n{held['grade'] or 'not there'}")
        lines.append(f"  {_quoted(source)} -> {_quoted(target)} [label={label}{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def _node(held: dict[str, Any], asked: bool) -> str:
    if held["kind"] is None:
        return f"label={_quoted('missing: ' + held['missing'])} style=dashed"
    said = held["summary"] if len(held["summary"]) <= LABEL else held["summary"][:LABEL] + "…"
    label = _quoted(f"{held['kind']}\n{said}\n{held['service']} {held['occurred_at']}")
    return f"label={label}{' style=bold' if asked else ''}{' color=red' if held['findings'] else ''}"


def _quoted(text: str) -> str:
    """A quoted string of DOT: no escape sequence of its own (``\\N``, ``\\G``), no end of the string, no HTML."""
    lines = text.replace("\\", "\\\\").replace('"', '\\"').split("\n")
    return '"' + "\\n".join(_visible(each) for each in lines) + '"'


def _visible(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: f"u+{ord(found[0]):04x}", text)


def _scalars(held: dict[str, Any]) -> dict[str, str | int | bool]:
    return {name: _scalar(value) for name, value in held.items() if value is not None}


def _scalar(value: Any) -> str | int | bool:
    if isinstance(value, bool | int):
        return value
    return _visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
