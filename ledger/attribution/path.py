"""The events that an answer shows, in order, and what was read and who was accountable on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from ledger.attribution.answer import Actor, Influence, Owner, PathStep, Trigger
from ledger.attribution.authority import party, token_text
from ledger.attribution.grades import grade_of_claim, weakest
from ledger.attribution.index import Index
from ledger.attribution.links import Links
from ledger.attribution.owning import last_words, owning, since
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.walk import Walk, is_idle
from ledger.format.event import INFORMED_BY, RESULT_OF, STEERED_BY
from ledger.format.kinds import (
    AgentRegistration,
    ApiAction,
    ExecutionControl,
    Grant,
    Handoff,
    Memory,
    Observation,
    Oversight,
    PolicyDecision,
    Prompt,
    ReasoningStep,
    TokenIssuance,
    TriggerRegistration,
)

STEPS: Final = 200
"""Events that a path shows at most."""

_INFORMS: Final = frozenset({INFORMED_BY, RESULT_OF, STEERED_BY})


class Step(NamedTuple):
    node: Node
    shown: PathStep


def read_path(
    links: Links,
    group: Sequence[Node],
    walk: Walk,
    triggers: Sequence[Trigger],
    rights: Sequence[tuple[Node, object, int]],
) -> list[Step]:
    """The accounts, all that they come from by the causes they state, the ways to the triggers, and what authorized them.

    In order of time. Without a trigger: how far the walk came.
    """
    nodes: dict[Ref, Node] = {node.ref: node for node in group}
    for found in walk.found:
        nodes.update((node.ref, node) for edge in found.way for node in (edge.source, edge.target))
        nodes[found.node.ref] = found.node
    if not walk.found:
        nodes.update((node.ref, node) for node in walk.seen)
    nodes.update((node.ref, node) for node, _, _ in rights)
    set_up = {trigger.set_up for trigger in triggers}
    nodes.update((node.ref, node) for each in set_up if each for node in links.index.by_id[each] if node.effective)
    _add_causes(links, nodes, group)
    kept = sorted(nodes.values(), key=lambda node: (node.at, node.event_id, node.digest))
    accounts = {node.ref for node in group}
    while len(kept) > STEPS:  # the accounts stay, and the oldest: the middle of a long run says least
        middle = next((i for i in range(len(kept) // 2, len(kept)) if kept[i].ref not in accounts), None)
        if middle is None:
            break
        del kept[middle]
    shown = {node.ref for node in kept}
    return [Step(node, _step(links, node, shown, walk)) for node in kept]


def _add_causes(links: Links, nodes: dict[Ref, Node], group: Sequence[Node]) -> None:
    """Adds what stated causes lead to, the nearest first, until there are enough."""
    frontier, passed = list(group), {node.ref for node in group}
    while frontier and len(nodes) < STEPS:
        ahead: dict[Ref, Node] = {}
        for node in frontier:
            for edge in links.out.get(node.ref, ()):
                if edge.join is None and (ref := edge.target.ref) not in passed:
                    ahead[ref] = edge.target
        frontier = list(ahead.values())
        passed.update(ahead)
        nodes.update(ahead)


def _step(links: Links, node: Node, shown: set[Ref], walk: Walk) -> PathStep:
    (event_id, digest), header = node.ref, node.header
    return PathStep(
        event_id=event_id,
        digest=digest,
        kind=header.kind,
        summary=summary(node),
        occurred_at=header.occurred_at,
        append_time=node.append_time,
        service=node.service,
        key_id=node.key_id,
        importer=node.importer,
        agent_id=header.agent_id,
        execution_id=header.execution_id,
        links=tuple(
            [
                edge.link
                for edge in links.out.get(node.ref, ())
                if edge.target.ref in shown and not is_idle(links, edge, walk.led)
            ]
        ),
        findings=node.findings,
    )


def read_influences(links: Links, path: Sequence[Node]) -> tuple[Influence, ...]:
    """What the events of the path read, and what that was made from in turn, in this run or an earlier one: each once.

    What is reached by causes that are stated alone is as sure as its own word; what only a join leads to is inferred.
    """
    stated = _informing(links, path, joined=False)
    every = _informing(links, path, joined=True)
    found = [
        _influence(node) if ref in stated else replace(_influence(node), grade="inferred")
        for ref, node in every.items()
        if node.kind in ("observation", "memory")
    ]
    return tuple(sorted(found, key=lambda each: (each.at, each.event_id)))


def _informing(links: Links, path: Sequence[Node], *, joined: bool) -> dict[Ref, Node]:
    """The events of ``path`` and all that informed them."""
    found = {node.ref: node for node in path}
    frontier = list(path)
    while frontier:
        edges = [edge for node in frontier for edge in links.of(node, _INFORMS) if joined or edge.join is None]
        frontier = list({edge.target.ref: edge.target for edge in edges if edge.target.ref not in found}.values())
        found.update((node.ref, node) for node in frontier)
    return found


def _influence(node: Node) -> Influence:
    fact = node.fact
    source: str | None = None
    uri: str | None = None
    origin: str | None = None
    trust = "unknown"
    if isinstance(fact, Observation):
        source, uri, origin, trust = fact.source, fact.uri, fact.origin, fact.trust
    elif isinstance(fact, Memory):
        source, uri, trust = fact.action, fact.store, fact.trust
    return Influence(
        event_id=node.event_id,
        kind=node.kind,
        source=source,
        uri=uri,
        origin=origin,
        trust=trust,
        at=node.at,
        grade=weakest((grade_of_claim(node),)),
    )


def read_owners(index: Index, path: Iterable[Node], actors: Sequence[Actor]) -> tuple[Owner, ...]:
    """Who was accountable for each agent of the path when it last acted, and for each actor that was registered."""
    acted: dict[str, int] = {}
    for node in path:
        if (agent := node.header.agent_id) is not None:
            acted[agent] = max(acted.get(agent, node.at), node.at)
    latest = max(acted.values(), default=0)
    known = dict.fromkeys(acted)
    owners = [owner for agent, at in acted.items() for owner in _owners(index, agent, at)]
    for actor in actors:
        for name in (f"{actor.iss}#{actor.sub}", actor.sub):
            registered = index.answer_to(f"agent:{name}", "agent_registration") if actor.sub else []
            fact = registered[-1].fact if registered else None
            if isinstance(fact, AgentRegistration) and fact.agent_id not in known and latest:
                known[fact.agent_id] = None
                owners += _owners(index, fact.agent_id, latest)
    return tuple(owners)


def _owners(index: Index, agent: str, at: int) -> list[Owner]:
    """By the last registration that held at ``at``; where services differ on the owner, by the last of each that do."""
    held = [
        (node, node.fact)
        for node in index.answer_to(f"agent:{agent}", "agent_registration")
        if isinstance(node.fact, AgentRegistration) and since(node) <= at
    ]
    if not held:
        return [Owner(agent_id=agent, name=None, owner=None, state=None, since=None, event_id=None, grade=None)]
    found = owning(index, held, at)
    if not found:  # whoever registered it last let it run out
        node, fact = max(held, key=lambda each: (since(each[0]), each[0].ref))
        grade = grade_of_claim(node)
        ended = Owner(
            agent_id=agent,
            name=fact.name,
            owner=None,
            state="expired",
            since=fact.expires_at,
            event_id=node.event_id,
            grade=grade,
        )
        return [ended]
    last = [fact for _, fact in last_words(held)][-1]
    return [
        Owner(
            agent_id=agent,
            name=fact.name,
            owner=party(index, fact.owner),
            state=last.state if node is found[-1][0] else fact.state,
            since=since(node),
            event_id=node.event_id,
            grade=grade_of_claim(node),
        )
        for node, fact in found
    ]


def summary(node: Node) -> str:
    """What an event says, in a few words that name nobody."""
    fact = node.fact
    if fact is None:
        return "(payload erased)" if node.payload is None else "(unknown kind)"
    match fact:
        case Prompt():
            text = f"{fact.trigger_kind} prompt" + (f" over {fact.channel}" if fact.channel else "") + f", {fact.trust}"
        case ReasoningStep():
            text = f"reasoning step {'' if fact.index is None else fact.index} ({fact.status})".replace("  ", " ")
        case TokenIssuance():
            text = f"token {token_text(fact.token) or ''} {fact.status}: {' '.join(fact.scopes) or 'no scope stated'}"
        case PolicyDecision():
            version = f" by {fact.policy_id or fact.engine or 'policy'} {fact.policy_version or ''}".rstrip()
            text = f"{fact.decision} {fact.action}{version}"
        case ApiAction():
            text = (
                f"{fact.operation} {fact.phase}"
                + (f": {fact.outcome}" if fact.outcome else "")
                + f", seen by {fact.observer}"
            )
        case Grant():
            text = f"grant {fact.grant_id}: {fact.action} {' '.join(fact.scopes)}"
        case Oversight():
            text = f"{fact.action} {fact.oversight_id} ({fact.binding})"
        case Observation():
            text = f"read {fact.source} {fact.uri or ''}".rstrip() + f", {fact.trust}"
        case Memory():
            text = f"memory {fact.action} {fact.key or ''}".rstrip() + f", {fact.trust}"
        case Handoff():
            text = f"hand-off {fact.direction}" + (f" ({fact.peer_ledger})" if fact.peer_ledger else "")
        case TriggerRegistration():
            text = f"{fact.action} {fact.trigger_kind} {fact.trigger_id}"
        case AgentRegistration():
            text = f"agent {fact.agent_id} {fact.state}"
        case ExecutionControl():
            text = f"run: {fact.action}" + (f", {fact.outcome}" if fact.outcome else "")
        case _:
            text = node.kind.replace("_", " ")
    return text
