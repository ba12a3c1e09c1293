"""What the house rules demand: another person than whoever triggered it, or a decision."""

from __future__ import annotations

from ledger.attribution.authority import party
from ledger.attribution.house import fits
from ledger.attribution.rules.bindings import is_meant_for_this
from ledger.attribution.rules.case import APPROVES, Case, Found
from ledger.format.kinds import PolicyDecision


def one_person_alone(case: Case) -> Found:
    """Took effect, needs another person by the house rules, and whoever triggered it is the only one who approved.

    Directly or through however many agents: triggers are the people at the other end. Who changes it while they approve it steers
    it too, and is another person still. What was approved only afterwards does not count. Nobody is accused for an approver whose
    name is not known, and where nobody approved only if nothing was left out of what was looked for.
    """
    if not case.house.another_person:
        return
    scopes = {scope for _, fact in case.tokens for scope in fact.scopes}
    needed = [
        fact.operation
        for _, fact in case.accounts
        if any(duty.covers(fact.operation, scopes) for duty in case.house.another_person)
    ]
    said = {node.event_id for node, _ in case.oversights}
    began = [each.who for each in case.began if each.event_id not in said and each.who is not None]
    people = {who.identity: who for who in began if who.state == "named"}
    if not needed or not people or not case.took_effect:
        return
    given = [
        (node, fact)
        for node, fact in case.oversights
        if fact.action in APPROVES and case.was_in_time(node) and is_meant_for_this(case, node)
    ]
    approvers = [(node, party(case.names, fact.by)) for node, fact in given]
    own = [(node, who) for node, who in approvers if who is not None and who.identity in people]
    if own and len(own) == len(approvers):
        detail = f"{needed[0]} needs another person than {own[0][1].label}, who triggered it, and only they approved it"
        yield detail, [*case.triggers, *(node for node, _ in own), *case.took_effect]
    elif not given and case.complete and not any(n.kind == "oversight" and n.payload is None for n in case.cited()):
        names = ", ".join(each.label for each in people.values())
        detail = f"{needed[0]} needs another person than {names}, who triggered it, and nobody is cited who approved it before"
        yield detail, [*case.triggers, *case.took_effect]


def undecided(case: Case) -> Found:
    """Took effect, needs a decision by the house rules, and none that allows it, or a person's override, came before.

    One that is known by circumstance alone is enough, and so is one that cannot be read any more. An importer's log knows none.
    """
    if not case.house.decision:
        return
    needed = [
        (node, fact) for node, fact in case.accounts if not node.importer and fits(case.house.decision, fact.operation)
    ]
    done = [node for node in case.took_effect if not node.importer]
    if not needed or not case.complete:
        return
    if any(node.kind == "policy_decision" and node.payload is None for node in case.names.graph.nodes):
        return
    said = [(node, node.fact) for node, _, _ in case.rights if isinstance(node.fact, PolicyDecision)]
    allowing = [node for node, fact in said if fact.decision != "deny"]
    allowing += [node for node, fact in case.oversights if fact.action == "override"]
    held = [each for each in allowing if is_meant_for_this(case, each)]
    if undecided := [node for node in done if not any(case.was_before(each, node) for each in held)]:
        detail = f"{needed[0][1].operation} needs a decision, and none that allows it came before"
        yield detail, [*(node for node, _ in said), *undecided]
