"""Bounded execution graphs: a subgraph as a networkx ``MultiDiGraph``, and as node-link JSON. Edges lead from cause to effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ledger.attribution.index import Index
from ledger.attribution.json_form import rfc3339
from ledger.attribution.links import WITHOUT_EFFECT, Links
from ledger.attribution.path import summary
from ledger.attribution.subgraph import Node, Subgraph
from ledger.attribution.walk import is_idle, led_on
from ledger.format import ids

if TYPE_CHECKING:
    import networkx


def graph_of(subgraph: Subgraph) -> networkx.MultiDiGraph:
    """Events by ``<event id>:<first 16 hex of digest>``, links with relation and grade; missing causes as nodes of kind None.

    ``graph["truncated"]`` tells whether a limit kept something out.
    """
    import networkx

    links = Links(Index(subgraph))
    graph = networkx.MultiDiGraph(
        asked=ids.text(subgraph.asked),
        truncated=bool(subgraph.cut),
        limits=subgraph.limits._asdict(),
        as_of=None if subgraph.as_of is None else rfc3339(subgraph.as_of),
    )
    for node in in_order(subgraph.nodes):
        graph.add_node(name_of(node), **_shown(node))
    led = led_on(links)
    for edge in links.edges():
        if is_idle(links, edge, led):
            continue
        link = {"grade": edge.grade, "join": edge.join, "candidates": edge.candidates}
        graph.add_edge(name_of(edge.target), name_of(edge.source), key=edge.relation, **link)
    for missing in (each for several in links.missing.values() for each in several if each.why not in WITHOUT_EFFECT):
        name = ids.text(missing.cause.event_id)
        graph.add_node(name, kind=None, missing=missing.why)
        graph.add_edge(name, name_of(missing.node), key=missing.cause.relation, grade=None, join=None, candidates=0)
    return graph


def node_link(graph: networkx.MultiDiGraph) -> dict[str, Any]:
    """The node-link form that networkx and most viewers read: plain dicts, lists, strings and numbers."""
    import networkx

    data: dict[str, Any] = networkx.node_link_data(graph, edges="edges")
    return data


def in_order(nodes: Iterable[Node]) -> list[Node]:
    """In order of time; of equal times by id."""
    return sorted(nodes, key=lambda node: (node.at, node.event_id, node.digest))


def name_of(node: Node) -> str:
    """An event's name in a graph: two events may share an id."""
    return f"{ids.text(node.event_id)}:{node.digest.hex()[:16]}"


def _shown(node: Node) -> dict[str, Any]:
    return {
        "event_id": ids.text(node.event_id),
        "digest": node.digest.hex(),
        "kind": node.kind,
        "summary": summary(node),
        "occurred_at": rfc3339(node.at),
        "append_time": rfc3339(node.append_time),
        "service": node.service,
        "importer": node.importer,
        "agent_id": node.header.agent_id,
        "execution_id": node.header.execution_id.hex() if node.header.execution_id else None,
        "effective": node.effective,
        "findings": list(node.findings),
    }
