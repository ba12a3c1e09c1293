"""What reaches a run from outside, and what it reaches: untrusted content, and links to other runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ledger.attribution.grades import RANK, grade_of_claim, weakest
from ledger.attribution.links import Edge, Links
from ledger.attribution.replay.values import Change, Crossing, Place, Taint, place_of
from ledger.attribution.rules.taint import ends_taint, is_untrusted, untrusted_ways, what
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.walk import is_idle, led_on
from ledger.format.kinds import Handoff, Observation, Prompt
from ledger.wording import counted


def taint_of(links: Links, run: Sequence[Node]) -> list[Taint]:
    """The untrusted content in reach of the run, each from the first step through which it came in, in that order.

    What an agent read is in its reach from then on, whatever it did with it; what others had read is, where links that services
    state lead from it to a step (``rules.taint``).
    """
    found: dict[Ref, Taint] = {}
    before: dict[Ref, Node | None] = {}
    for step in (each for each in run if each.effective):
        if is_untrusted(step):
            found.setdefault(step.ref, _taint(links, [step], step))
        if ends_taint(step):
            continue
        for way in untrusted_ways(links, [step], before):
            if way[0].ref not in found:
                found[way[0].ref] = _taint(links, way, step)
    return list(found.values())


def _taint(links: Links, way: Sequence[Node], step: Node) -> Taint:
    source = way[0]
    fact = source.fact
    grades = [grade_of_claim(source)]
    for cause, effect in pairwise(way):
        between = [edge.grade for edge in links.out.get(effect.ref, ()) if edge.target.ref == cause.ref]
        grades.append(max(between, key=RANK.__getitem__))
    return Taint(
        event_id=source.event_id,
        what=what(source),
        origin=fact.origin if isinstance(fact, Observation | Prompt) else None,
        execution_id=source.header.execution_id,
        step=step.event_id,
        since=step.at,
        way=tuple(node.event_id for node in way),
        grade=weakest(grades),
    )


def taint_happenings(taint: Sequence[Taint], run: Sequence[Node]) -> Iterator[tuple[Place, Change]]:
    """When each came in."""
    places = {node.event_id: place_of(node) for node in run}
    for each in taint:
        read = each.event_id == each.step
        detail = "read in this run" if read else f"{counted(len(each.way) - 1, 'link')} away, {each.grade}"
        yield (
            places[each.step],
            Change(
                what="taint",
                how="read" if read else "brought_in",
                name=each.what,
                at=each.since,
                event_id=each.event_id,
                detail=detail,
            ),
        )


def crossings_of(links: Links, execution: bytes, steps: Sequence[Node]) -> dict[Ref, list[Crossing]]:
    """The links between steps and other runs, by step: those that lead there from it, and those that come from there."""
    own = {node.ref for node in steps}
    led = led_on(links)
    found: dict[Ref, list[Crossing]] = {}
    for edge in links.edges():
        if edge.source.ref not in own and edge.target.ref not in own:
            continue
        if is_idle(links, edge, led):
            continue
        if edge.source.ref in own and _elsewhere(edge.target, execution):
            found.setdefault(edge.source.ref, []).append(_crossing("from", edge.target, edge))
        elif edge.target.ref in own and _elsewhere(edge.source, execution):
            found.setdefault(edge.target.ref, []).append(_crossing("to", edge.source, edge))
    for node in steps:
        fact = node.fact
        if node.effective and isinstance(fact, Handoff) and fact.peer_ledger is not None:
            found.setdefault(node.ref, []).append(_to_peer(node, fact))
    for crossings in found.values():
        crossings.sort(key=lambda each: (each.direction, each.execution_id or b"", each.event_id or b"", each.relation))
    return found


def _elsewhere(node: Node, execution: bytes) -> bool:
    return node.header.execution_id is not None and node.header.execution_id != execution


def _crossing(direction: str, other: Node, edge: Edge) -> Crossing:
    return Crossing(
        direction="from" if direction == "from" else "to",
        execution_id=other.header.execution_id,
        peer_ledger=None,
        event_id=other.event_id,
        kind=other.kind,
        agent_id=other.header.agent_id,
        service=other.service,
        relation=edge.relation,
        grade=edge.grade,
        join=edge.join,
        candidates=edge.candidates,
    )


def _to_peer(node: Node, fact: Handoff) -> Crossing:
    return Crossing(
        direction="to" if fact.direction == "sent" else "from",
        execution_id=None,
        peer_ledger=fact.peer_ledger,
        event_id=fact.peer_event_id,
        kind=None,
        agent_id=None,
        service=None,
        relation="handoff",
        grade=grade_of_claim(node),
        join=None,
        candidates=1,
    )
