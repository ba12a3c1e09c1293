"""Rules about what is registered: a suspended or retired agent acts no more, a removed schedule fires no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.attribution.json_form import rfc3339
from ledger.attribution.rules.case import SKEW, Case, Found
from ledger.attribution.subgraph import Node
from ledger.attribution.uses import CALLED
from ledger.format.event import SCHEDULED_BY
from ledger.format.kinds import AgentRegistration, ApiAction, TokenIssuance, TriggerRegistration


def agent_suspended(case: Case) -> Found:
    """An agent reasoned or acted, by its own word, when the last that was registered of it said that it is suspended or retired:
    the first event of each such agent. Where no agent tells of the action, it is the one that the token presented names as acting
    with it. What was refused wherever it was called did no harm."""
    if not case.took_effect and any(fact.outcome == "denied" for _, fact in case.accounts):
        return
    told: set[str] = set()
    for node in sorted(case.told, key=lambda each: (each.at, each.event_id)):
        agent = node.header.agent_id
        if agent is None or agent in told or not _acts(case, node):
            continue
        if (over := _out_of_service(_registrations(case, {agent}), agent, node)) is not None:
            since, last, state = over
            told.add(agent)
            yield f"agent {agent} was {state} at {rfc3339(since)}, and acted at {rfc3339(node.at)}", [last, node]
    if all(node.header.agent_id is None for node, _ in case.accounts):
        yield from _by_token(case)


def _by_token(case: Case) -> Found:
    """By the word of whoever was called: the first call with a token whose statements all name one actor, by the id of an
    agent. A name that another agent has too, as its client, leads to neither."""
    for node, fact in sorted(case.accounts, key=lambda each: (each[0].at, each[0].event_id)):
        stated = case.presented(node) if fact.observer in CALLED and not node.importer else []
        named = {_acting(issued) for _, issued in stated}
        if len(named) != 1 or not case.tells_the_start(node):
            continue
        [names] = named
        registered = _registrations(case, names)
        agents = {each.agent_id for _, each in registered}
        agent = agents.pop() if len(agents) == 1 else None
        if agent is not None and agent in names and (over := _out_of_service(registered, agent, node)) is not None:
            since, last, state = over
            who = f"agent {agent}, which the token names as acting with it"
            was = f"was {state} at {rfc3339(since)}, and {node.service} was called at {rfc3339(node.at)}"
            yield f"{who}, {was}", [last, *(each for each, _ in stated), node]
            return


def _acting(token: TokenIssuance) -> frozenset[str]:
    """The names under which the current actor of a token may be registered: a URI is one agent's, whoever issues its tokens."""
    act = token.act
    actor = act.chain[0] if act is not None and act.chain and not act.malformed else None
    if actor is None or actor.sub is None:
        return frozenset()
    return frozenset({f"{actor.iss or ''}#{actor.sub}", *([actor.sub] if "://" in actor.sub else [])})


def _registrations(case: Case, names: Iterable[str]) -> list[tuple[Node, AgentRegistration]]:
    found = {
        each.ref: (each, fact)
        for name in names
        for each in case.names.answer_to(f"agent:{name}", "agent_registration")
        if isinstance(fact := each.fact, AgentRegistration)
    }
    return list(found.values())


def _out_of_service(
    registered: Iterable[tuple[Node, AgentRegistration]], agent: str, node: Node
) -> tuple[int, Node, str] | None:
    """The last that was registered of an agent when an event came, if it is suspended or retired by it, and since when."""
    said = [
        (each.at if fact.effective_at is None else fact.effective_at, each, fact.state)
        for each, fact in registered
        if fact.agent_id == agent
    ]
    last = _last(said, node)
    return last if last is not None and last[2] != "active" and last[0] < node.at - SKEW else None


def _acts(case: Case, node: Node) -> bool:
    if isinstance(node.fact, ApiAction):
        return node.fact.observer == "agent" and not node.importer and case.tells_the_start(node)
    return node.kind == "reasoning_step" and not node.importer


def schedule_removed(case: Case) -> Found:
    """What a schedule, webhook or queue started when the last that was registered of it had removed it, or had run out: the first
    event of each, for a timer may be removed once it fired."""
    told: set[str] = set()
    for node in sorted(case.told, key=lambda each: (each.at, each.event_id)):
        for trigger in _fired_by(case, node):
            if trigger in told:
                continue
            told.add(trigger)
            said = [
                (each.at, each, fact.action)
                for each in case.names.answer_to(f"trigger:{trigger}", "trigger_registration")
                if isinstance(fact := each.fact, TriggerRegistration) and not each.importer
            ]
            last = _last(said, node)
            fact = last[1].fact if last is not None else None
            if last is None or not isinstance(fact, TriggerRegistration):
                continue
            over = last[0] if fact.action == "remove" else fact.expires_at
            if over is not None and over < node.at - SKEW:
                how = "was removed" if fact.action == "remove" else "had run out"
                yield (
                    f"{fact.trigger_kind} {trigger} {how} at {rfc3339(over)}, and fired at {rfc3339(node.at)}",
                    [last[1], node],
                )


def _fired_by(case: Case, node: Node) -> list[str]:
    """The schedules by which an event says that it was started."""
    if node.importer or node.kind == "trigger_registration":
        return []
    named = node.payload["trigger_id"] if node.kind == "prompt" and node.payload is not None else None
    cited = [
        edge.target.fact.trigger_id
        for edge in case.links.of(node, frozenset({SCHEDULED_BY}))
        if edge.join is None and isinstance(edge.target.fact, TriggerRegistration)
    ]
    return list(dict.fromkeys([*([named] if named is not None else []), *cited]))


def _last(said: Sequence[tuple[int, Node, str]], node: Node) -> tuple[int, Node, str] | None:
    """The last word that held when an event came, or that may have, as far as clocks differ."""
    return max(
        (each for each in said if each[0] <= node.at + SKEW), key=lambda each: (each[0], each[1].ref), default=None
    )


__all__ = ["agent_suspended", "schedule_removed"]
