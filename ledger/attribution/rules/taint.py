"""The rule about content that nobody vouches for, on its way to an action of consequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ledger.attribution.authority import party
from ledger.attribution.house import fits
from ledger.attribution.links import Edge, Links
from ledger.attribution.rules.case import APPROVES, Case, Found
from ledger.attribution.subgraph import Node, Ref
from ledger.format.event import AUTHORIZED_BY, COMPENSATES
from ledger.format.kinds import Memory, Observation, Oversight, Prompt

CONSEQUENCE: Final = frozenset({"create", "update", "delete", "other"})
"""Activities of an action of consequence: all but reading, as whoever states it says (`api_action.activity`)."""


def untrusted_influence(case: Case) -> Found:
    """Content marked untrusted leads, by links that services state, to an action of consequence that took effect.

    Of consequence is what is said to create, update, delete or do other than read, and what the house rules name: where neither
    tells, nobody is accused. A person who approved exactly these parameters,
    after the content was there and before the effect, answers for it.
    """
    took = {node.ref for node in case.took_effect}
    done = [
        node
        for node, fact in case.accounts
        if node.ref in took and (fact.activity in CONSEQUENCE or fits(case.house.consequence, fact.operation))
    ]
    if not done:
        return
    cleared = max((node.at for node, fact in case.oversights if _answers_for(case, node, fact)), default=None)
    for way in untrusted_ways(case.links, case.group):
        source = way[0]
        if cleared is None or source.at > cleared:
            passed = ", ".join(each.kind for each in way[1:-1])
            detail = f"untrusted content ({what(source)}) led to it" + (f" by way of {passed}" if passed else "")
            yield detail, [*way, *done]


def _answers_for(case: Case, node: Node, fact: Oversight) -> bool:
    """Whether a person, as far as is known, approved exactly what was done."""
    approved = fact.edited_digest or fact.bound_digest
    return (
        fact.binding == "digest"
        and fact.action in APPROVES
        and case.was_in_time(node)
        and not case.is_no_person(party(case.names, fact.by))
        and any(said.parameter_digest == approved for _, said in case.accounts if said.parameter_digest is not None)
    )


def untrusted_ways(
    links: Links, starts: Sequence[Node], before: dict[Ref, Node | None] | None = None
) -> Iterator[list[Node]]:
    """The shortest way from each untrusted content to one of ``starts``, in order. It ends at what people trusted or approved.

    With ``before``, which the next call may go on with, whatever was met is not gone through again.
    """
    before = {} if before is None else before
    before.update((node.ref, None) for node in starts)
    frontier = list(starts)
    while frontier:
        found: list[Node] = []
        for node in frontier:
            for edge in links.out.get(node.ref, ()):
                if edge.target.ref in before or not _carries(links, edge):
                    continue
                before[edge.target.ref] = node
                if is_untrusted(edge.target):
                    yield _back(before, edge.target)
                elif not ends_taint(edge.target):
                    found.append(edge.target)
        frontier = found


def _back(before: dict[Ref, Node | None], source: Node) -> list[Node]:
    way = [source]
    while (onward := before[way[-1].ref]) is not None:
        way.append(onward)
    return way


def _carries(links: Links, edge: Edge) -> bool:
    """Whether content goes along a link: one that a service states, or a memory, if whatever was written to it was untrusted.
    What undoes a thing does not do what the content wanted, unless content leads to it by another way too."""
    if edge.join is None:
        return edge.relation not in _NO_CONTENT
    if edge.join != "memory":
        return False
    writes = [each.target for each in links.out.get(edge.source.ref, ()) if each.join == "memory"]
    return len(writes) == 1 or all(map(is_untrusted, writes))


_NO_CONTENT: Final = frozenset({AUTHORIZED_BY, COMPENSATES})


def is_untrusted(node: Node) -> bool:
    """Whether nobody vouches for what the event brought in."""
    return isinstance(node.fact, (Prompt, Memory, Observation)) and node.fact.trust == "untrusted"


def ends_taint(node: Node) -> bool:
    """A person's own words end the way: what they had read before is not what the agent read."""
    fact = node.fact
    return isinstance(fact, Prompt) and fact.trigger_kind == "human" and fact.trust == "trusted"


def what(node: Node) -> str:
    """What was read or said, in a few words."""
    match node.fact:
        case Prompt(trigger_kind=kind, channel=channel):
            return f"{kind} prompt" + (f" over {channel}" if channel else "")
        case Observation(source=source, uri=uri):
            return f"{source} {uri or ''}".rstrip()
        case Memory(store=store, key=key):
            return " ".join(("memory", *(each for each in (store, key) if each)))
    return node.kind
