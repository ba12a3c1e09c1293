"""Rules about what is registered: a suspended or retired agent acts no more, a removed schedule fires no more."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.attribution.json_form import rfc3339
from ledger.attribution.rules.case import SKEW, Case, Found
from ledger.attribution.subgraph import Node
from ledger.format.event import SCHEDULED_BY
from ledger.format.kinds import AgentRegistration, ApiAction, TriggerRegistration


def agent_suspended(case: Case) -> Found:
    """An agent reasoned or acted, by its own word, when the last that was registered of it said that it is suspended or retired:
    the first event of each such agent. What was refused wherever it was called did no harm."""
    if not case.took_effect and any(fact.outcome == "denied" for _, fact in case.accounts):
        return
    told: set[str] = set()
    for node in sorted(case.told, key=lambda each: (each.at, each.event_id)):
        agent = node.header.agent_id
        if agent is None or agent in told or not _acts(case, node):
            continue
        said = [
            (each.at if fact.effective_at is None else fact.effective_at, each, fact.state)
            for each in case.names.answer_to(f"agent:{agent}", "agent_registration")
            if isinstance(fact := each.fact, AgentRegistration) and fact.agent_id == agent
        ]
        since, last, state = _last(said, node) or (0, None, "active")
        if last is not None and state != "active" and since < node.at - SKEW:
            told.add(agent)
            yield f"agent {agent} was {state} at {rfc3339(since)}, and acted at {rfc3339(node.at)}", [last, node]


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
