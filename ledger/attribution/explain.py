"""From a fetched subgraph to an answer. Pure: no clock, no store; the same subgraph gives the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.attribution.accountable import people_of, read_accountable
from ledger.attribution.answer import (
    Actor,
    Answer,
    Authority,
    Class,
    Coverage,
    Finding,
    Grade,
    Party,
    Trigger,
)
from ledger.attribution.authority import authorizing, read_actors, read_authority
from ledger.attribution.contradictions import Case, contradictions
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.links import Links, Right, without_effect
from ledger.attribution.observed import read_accounts, read_outcome, seen
from ledger.attribution.path import read_influences, read_owners, read_path
from ledger.attribution.said import read_approvals, read_decisions
from ledger.attribution.sentence import first_line
from ledger.attribution.subgraph import Node, Subgraph
from ledger.attribution.triggers import beginnings, direct_trigger, read_triggers, sender_by_token
from ledger.attribution.uses import more_uses, taken_by_others
from ledger.attribution.walk import Walk, cycles, find_triggers
from ledger.format.event import RESULT_OF, TO_TRIGGERS
from ledger.format.kinds import ApiAction, Oversight, TokenIssuance

CLASSES: Final[tuple[Class, ...]] = ("attributed", "unattended", "external", "erased_principal")
"""Classes that a trigger can give, the one that says most first."""


class Verdict(NamedTuple):
    """What an answer rests on, before anything of it is told: the accounts of what was asked about, the search, whose rights.

    ``case`` is for the rules, which are asked for what contradicts it only where somebody wants to know."""

    asked: Sequence[Node]
    group: Sequence[Node]
    walk: Walk
    rights: Sequence[tuple[Node, Grade, int]]
    triggers: tuple[Trigger, ...]
    reasons: Sequence[str]
    class_: Class
    case: Case


def judge(event_id: bytes, links: Links, house: HouseRules = NO_RULES) -> Verdict:
    """Who triggered the event asked about, over every account of the same action; raises ``KeyError`` where it is not there.

    ``links`` are those of all that the answer is made from; ``house`` are the rules of an organisation, for contradictions alone.
    """
    asked = _asked(event_id, links)
    group, walk, rights, triggers, case = _search(links, asked, house)
    reasons = _reasons(links, asked, group, walk, triggers, rights)
    return Verdict(asked, group, walk, rights, triggers, reasons, _class(triggers, reasons), case)


def case_of(event_id: bytes, links: Links, house: HouseRules = NO_RULES) -> Case:
    """What the rules are given of the event asked about, where nothing else of it is told."""
    return _search(links, _asked(event_id, links), house).case


def _asked(event_id: bytes, links: Links) -> Sequence[Node]:
    asked = links.index.by_id.get(event_id, [])
    if not asked:
        raise KeyError(event_id)
    return asked


class _Searched(NamedTuple):
    group: Sequence[Node]
    walk: Walk
    rights: Sequence[Right]
    triggers: tuple[Trigger, ...]
    case: Case


def _search(links: Links, asked: Sequence[Node], house: HouseRules) -> _Searched:
    starts = _starts(links, [node for node in asked if node.effective])
    group = _accounts(links, starts)
    walk = find_triggers(links, starts)
    rights = _rights(links, group)
    triggers = read_triggers(links, walk) or direct_trigger(links, group, rights)
    case = Case(
        links=links,
        group=group,
        triggers=[found.node for found in walk.found],
        rights=rights,
        way=[edge.source for found in walk.found for edge in found.way],
        began=triggers,
        house=house,
    )
    return _Searched(group, walk, rights, triggers, case)


def explain(graph: Subgraph, house: HouseRules = NO_RULES) -> Answer:
    """The answer for the event asked about, over every account of the same action; raises ``KeyError`` where it is not there.

    ``house`` are the rules of an organisation, for contradictions alone.
    """
    links = Links(Index(graph))
    index = links.index
    asked, group, walk, rights, triggers, reasons, class_, case = judge(graph.asked, links, house)
    authority = read_authority(index, group, rights)
    actors = read_actors(index, rights)
    path = read_path(links, group or asked, walk, triggers, rights)
    owners = read_owners(index, [step.node for step in path] if path else asked, actors)
    shown = tuple(reasons if class_ in ("unattributed", "archived") else (each for each in reasons if each in _REMARKS))
    facts = [node.fact for node in group if isinstance(node.fact, ApiAction)]
    agent = next(
        (node.header.agent_id for node in (*group, *(step.node for step in path)) if node.header.agent_id), None
    )
    accounts = read_accounts(index, group)
    outcome, outcome_grade = read_outcome(group)
    accountable = read_accountable(agent, owners, authority)
    return Answer(
        asked=graph.asked,
        action_id=facts[0].action_id if facts else None,
        operation=facts[0].operation if facts else None,
        outcome=outcome,
        outcome_grade=outcome_grade,
        seen=None
        if any(links.is_unsure(edge) for node in group for edge in links.out.get(node.ref, ()))
        else seen(accounts),
        accounts=accounts,
        events=tuple(node.event_id for node in group or asked),
        class_=class_,
        reasons=shown,
        sentence=first_line(class_, shown, (group or asked)[0], accountable, people_of(authority), owners, triggers),
        accountable=accountable,
        triggers=triggers,
        authority=authority,
        actors=actors,
        decisions=read_decisions(case),
        approvals=read_approvals(case),
        influences=read_influences(links, [step.node for step in path]),
        owners=owners,
        path=tuple(step.shown for step in path),
        contradictions=contradictions(case),
        findings=read_findings(links),
        coverage=_coverage(links, walk, rights),
    )


_REMARKS: Final = frozenset(
    {"malformed_act", "principal_unresolved", "unverified_token", "ambiguous_join", "limit_reached"}
)
"""Reasons worth saying although somebody is known."""


def _starts(links: Links, asked: Sequence[Node]) -> list[Node]:
    """What was asked about; of an observation, also the action which it is the result of."""
    results = [
        edge.target
        for node in asked
        if node.kind == "observation"
        for edge in links.of(node, frozenset({RESULT_OF}))
        if edge.candidates == 1
    ]
    return [*asked, *results]


def _accounts(links: Links, starts: Sequence[Node]) -> list[Node]:
    """All accounts of it, in order of time."""
    if len(starts) == 1:
        return links.group(starts[0])
    group = {each.ref: each for node in starts for each in links.group(node)}
    return sorted(group.values(), key=lambda node: (node.at, node.event_id, node.digest))


def _rights(links: Links, group: Sequence[Node]) -> list[Right]:
    """What authorized the accounts, found once for all of them."""
    key = tuple([node.ref for node in group])
    rights = links.rights.get(key)
    if rights is None:
        found = authorizing(links, group)
        rights = links.rights[key] = [each for each in found if not _is_theirs(links, group, each)]
    return rights


def _is_theirs(links: Links, group: Sequence[Node], right: Right) -> bool:
    """Whether an approval fits by equal parameters alone, while the actions that rely on it are all others: then it is theirs."""
    node, grade, _ = right
    return grade == "inferred" and isinstance(node.fact, Oversight) and taken_by_others(links.index, group, node)


def class_of(trigger: Trigger) -> Class:
    """What one trigger makes of the answer."""
    if trigger.role == "external":
        return "external"
    if trigger.who is not None and trigger.who.state in ("erased", "erased_since"):
        return "erased_principal"
    if trigger.role == "scheduled":
        return "unattended"
    return "attributed" if trigger.who is not None and trigger.who.state == "named" else "unattributed"


def _class(triggers: Sequence[Trigger], reasons: Sequence[str]) -> Class:
    if any(reason in _FORBID for reason in reasons):
        return "unattributed"
    began = beginnings(triggers)
    if "ambiguous_join" in reasons and all(trigger.candidates > 1 for trigger in began):
        return "unattributed"
    given = {class_of(trigger) for trigger in began}
    for class_ in CLASSES:
        if class_ in given:
            return class_
    return "archived" if "archived" in reasons else "unattributed"


_FORBID: Final = frozenset({"unauthorized_kind", "untrusted_key", "duplicate_event_id"})
"""Reasons under which no trigger counts."""


def _reasons(
    links: Links,
    asked: Sequence[Node],
    group: Sequence[Node],
    walk: Walk,
    triggers: Sequence[Trigger],
    rights: Sequence[tuple[Node, object, int]],
) -> list[str]:
    """Every reason, each once, the most telling first."""
    found: list[str] = []
    if not group:
        found.append(without_effect(asked))
    if len(asked) > 1 and _differ(links, asked):
        found.append("duplicate_event_id")
    if _ambiguous(triggers, links.index.graph.limits.candidates):
        found.append("ambiguous_join")
    for trigger in triggers:
        if trigger.who is None and trigger.role not in ("external", "scheduled"):
            found.append(_unnamed(links, trigger))
        elif trigger.who is not None and trigger.who.state == "unresolved":
            found.append("principal_unresolved")
    for node, _, _ in rights:
        if isinstance(node.fact, TokenIssuance) and node.fact.act is not None and node.fact.act.malformed:
            found.append("malformed_act")
    if not triggers:
        found += [reason for _, reason in walk.ends if reason != "no_trigger"]
        seen = {node.ref for node in walk.seen}
        if any(node.ref in seen for node in cycles(links, TO_TRIGGERS)):
            found.append("cycle")
        if any("schema_unknown" in node.findings for node in group):
            found.append("unknown_schema")
        if any("row_changed" in node.findings for node in walk.seen):
            found.append("row_changed")
        if any(node.payload is None and not _UNREAD & set(node.findings) for node in walk.seen):
            found.append("payload_erased")
        cut = bool(links.index.graph.cut)
        found += ["token_not_recorded"] if not found and not cut and _uses_unknown_token(links.index, group) else []
        found += ["limit_reached" if cut else "no_trigger"] if not found or found == ["malformed_act"] else []
    return list(dict.fromkeys(found))


def _uses_unknown_token(index: Index, group: Sequence[Node]) -> bool:
    """Whether an audit log tells of a call by a credential, and nobody tells of whoever obtained it, or the first of its line."""
    calls = [node for node in group if node.importer and node.kind == "api_action"]
    used = [tuple(token_names(node.payload["token"])) for node in calls if node.payload is not None]
    passed: set[tuple[str, ...]] = set()
    while used:
        names = used.pop()
        if not names or names in passed:
            continue
        passed.add(names)
        issued = [node for name in names for node in index.answer_to(name, "token_issuance")]
        if not issued:
            return True
        used += [tuple(token_names(node.payload["subject_token"])) for node in issued if node.payload is not None]
    return False


_UNREAD: Final = frozenset({"schema_unknown", "row_changed"})
"""Findings of an event whose payload is there, and was not read."""


def _differ(links: Links, asked: Sequence[Node]) -> bool:
    """Whether two events of one id lead to different people."""
    people = set()
    for node in asked:
        starts = _starts(links, [node]) if node.effective else []
        triggers = read_triggers(links, find_triggers(links, starts))
        people.add(frozenset(trigger.who.identity if trigger.who else () for trigger in triggers))
    return len(people) > 1


def _ambiguous(triggers: Sequence[Trigger], most: int) -> bool:
    """Whether what is known only by a join with several candidates leads to different people, or may: not all were looked at."""
    unsure = [trigger for trigger in triggers if trigger.candidates > 1]
    if not unsure:
        return False
    people = {trigger.who.identity if trigger.who else () for trigger in unsure}
    return len(people) > 1 or any(trigger.candidates > most for trigger in unsure)


def _unnamed(links: Links, trigger: Trigger) -> str:
    """Why a trigger names nobody."""
    prompts = [node for node in links.index.by_id.get(trigger.event_id, ()) if node.digest == trigger.digest]
    return "unverified_token" if any(sender_by_token(links, node) for node in prompts) else "no_subject"


def read_findings(links: Links) -> tuple[Finding, ...]:
    """What is wrong with the events fetched: stored findings, and those that only show when read."""
    found: dict[Finding, None] = {}
    graph = links.index.graph
    for event_id, nodes in sorted(links.index.by_id.items()):
        for node in nodes:
            for name in node.findings:
                found[
                    Finding(name=name, event_id=event_id, detail=f"service {node.service}, sequence {node.sequence}")
                ] = None
        if len({node.digest for node in nodes}) > 1:
            services = ", ".join(sorted({node.service for node in nodes}))
            detail = f"{len(nodes)} events under one id, signed by {services}"
            found[Finding(name="duplicate_event_id", event_id=event_id, detail=detail)] = None
    for missing in (each for several in links.missing.values() for each in several):
        if missing.why in ("dangling_cause", "cause_mismatch"):
            refused = graph.refused.get(missing.cause.event_id)
            why = f"; it came and was refused: {refused.reason}" if refused else ""
            detail = f"{missing.cause.relation} {missing.cause.event_id.hex()}{why}"
            found[Finding(name=missing.why, event_id=missing.node.event_id, detail=detail)] = None
    for node in cycles(links):
        found[Finding(name="cause_cycle", event_id=node.event_id, detail="causes lead back to it by id")] = None
    return tuple(found)


def _coverage(links: Links, walk: Walk, rights: Sequence[tuple[Node, object, int]]) -> Coverage:
    graph = links.index.graph
    truncated = ["nodes"] if graph.cut else []
    truncated += ["depth"] if any(reason == "limit_reached" for _, reason in walk.ends) and not graph.cut else []
    acts = [node.fact.act for node, _, _ in rights if isinstance(node.fact, TokenIssuance)]
    truncated += ["actors"] if any(act is not None and act.truncated for act in acts) else []
    given = [node for node, _, _ in rights if node.kind == "oversight"]
    truncated += ["uses"] if graph.crowded or any(more_uses(links.index, each) for each in given) else []
    truncated += ["candidates"] if any(links.index.has_more(node) for node in walk.seen) else []
    return Coverage(
        chains=tuple(graph.chains),
        events=len(graph.nodes),
        truncated=tuple(truncated),
        limits=graph.limits,
        as_of=graph.as_of,
    )


__all__ = ["Actor", "Authority", "Party", "Verdict", "case_of", "class_of", "explain", "judge", "read_findings"]
