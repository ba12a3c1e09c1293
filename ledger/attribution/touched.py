"""What came of a thing: of the events below its first ones those that links really lead to, each as sure as its surest way."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.attribution.answer import Grade
from ledger.attribution.grades import RANK
from ledger.attribution.index import Index
from ledger.attribution.links import Edge, Links
from ledger.attribution.subgraph import Node, Ref, Subgraph
from ledger.format.event import SAME

_SUREST_FIRST: Final[Sequence[Grade]] = sorted(RANK, key=RANK.__getitem__, reverse=True)


class Reached(NamedTuple):
    """An event below, and how sure the surest way to it is: as its weakest link. ``candidates`` is the most that any had."""

    node: Node
    grade: Grade
    candidates: int
    steps: int


def reached(subgraph: Subgraph, starts: Sequence[Ref]) -> list[Reached]:
    """Everything below ``starts``, without these, in order of time. Ids and digests are compared: a hint leads nowhere."""
    links = Links(Index(subgraph))
    below: dict[Ref, list[tuple[Edge, Node]]] = {}
    for edge in links.edges():
        below.setdefault(edge.target.ref, []).append((edge, edge.source))
        if edge.relation in SAME:  # of one action whichever account names the other
            below.setdefault(edge.source.ref, []).append((edge, edge.target))
    found: dict[Ref, Reached] = {}
    begun = set(starts)
    for grade in _SUREST_FIRST:
        sure: dict[Ref, tuple[int, int]] = dict.fromkeys(starts, (1, 0))
        frontier = deque(starts)
        while frontier:
            ref = frontier.popleft()
            candidates, steps = sure[ref]
            for edge, node in below.get(ref, ()):
                if node.ref in sure or RANK[edge.grade] < RANK[grade] or not node.effective:
                    continue
                sure[node.ref] = max(candidates, edge.candidates), steps + 1
                frontier.append(node.ref)
                if node.ref not in begun and node.ref not in found:
                    found[node.ref] = Reached(node, grade, *sure[node.ref])
    return sorted(found.values(), key=lambda each: (each.node.at, each.node.event_id, each.node.digest))
