"""Rules about what policies and people decided before it took effect."""

from __future__ import annotations

from typing import Final

from ledger.attribution.index import Index
from ledger.attribution.json_form import rfc3339
from ledger.attribution.observed import comparable
from ledger.attribution.rules.bindings import concerns, is_allowed, is_meant_for_this, is_of_others, relying
from ledger.attribution.rules.case import APPROVES, OVERRIDES, SKEW, Case, Found
from ledger.attribution.rules.things import Told, answering
from ledger.attribution.subgraph import Node
from ledger.format.kinds import ApiAction, Oversight, PolicyDecision

DEMANDS_APPROVAL: Final = frozenset(
    {"approval", "approve", "approval_required", "human_approval", "require_approval", "requires_approval"}
)
"""Obligations that a person's approval meets; docs/contradictions.md names them. Others demand nothing that is known here."""


def acted_after_deny(case: Case) -> Found:
    """A denial of this that nobody took back before the effect. One that came only after it forbade nothing, nor does one of
    something else, of other parameters, or of which nothing tells whether it is of this."""
    for node, fact in case.decisions:
        if fact.decision != "deny" or not _forbids(case, node, fact.parameter_digest):
            continue
        done = [
            each
            for each in case.took_effect
            if case.was_before(node, each) and not _decided_anew(case, node, fact, each)
        ]
        if done:
            version = f" version {fact.policy_version}" if fact.policy_version else ""
            yield f"policy {fact.policy_id or fact.engine or '(not named)'}{version} denied it", [node, *done]
    for node, said in case.oversights:
        if said.action not in ("deny", "stop") or not _forbids(case, node, said.bound_digest):
            continue
        done = [
            each
            for each in case.took_effect
            if case.was_before(node, each) and not _approved_after(case, node, APPROVES, each)
        ]
        if done:
            yield f"a person said {said.action} ({said.oversight_id})", [node, *done]


def _forbids(case: Case, node: Node, parameters: bytes | None) -> bool:
    """Whether a denial is bound to what was done."""
    return concerns(case, node) in ("this", "named") and not is_of_others(case, node, parameters)


def _decided_anew(case: Case, node: Node, fact: PolicyDecision, account: Node) -> bool:
    """Whether the same policy allowed it later, or a person overrode it, before it was over."""
    return _approved_after(case, node, OVERRIDES, account) or any(
        other.decision != "deny"
        and (other.engine, other.policy_id) == (fact.engine, fact.policy_id)
        and each.at > node.at
        and case.was_before(each, account)
        and is_meant_for_this(case, each)
        for each, other in case.decisions
    )


def _approved_after(case: Case, node: Node, actions: frozenset[str], account: Node) -> bool:
    return any(
        said.action in actions
        and each.at > node.at
        and case.was_before(each, account)
        and is_meant_for_this(case, each)
        for each, said in case.oversights
    )


def other_than_decided(case: Case) -> Found:
    """Of a denial: what was carried out on it, with other parameters, while nothing that is cited allows any."""
    for node, fact in case.decisions:
        if _parameters(fact) is None:
            continue
        denied = fact.decision == "deny"
        differ = [
            each
            for each, said in case.accounts
            if said.parameter_digest is not None
            and each in case.not_refused
            and said.parameter_digest != _parameters(fact)
            and not _is_decided(case, said.parameter_digest, each)
            and comparable(each, node)
            and _is_about(case, node, fact, each)
            and not _is_asked_of(fact, each)
            and not (denied and not _is_done_on(case, node, fact, each))
        ]
        if differ:
            yield f"decision {fact.decision_id or ''} was about other parameters".replace("  ", " "), [node, *differ]


def may_differ(account: ApiAction, decision: PolicyDecision) -> bool:
    """Whether an account states other parameters than a decision allows."""
    allowed = _parameters(decision)
    return allowed is not None and account.parameter_digest not in (None, allowed)


def _is_decided(case: Case, parameters: bytes, account: Node) -> bool:
    """Whether some decision, taken before it was over, allows what an account states."""
    return any(
        fact.decision != "deny" and _parameters(fact) == parameters and case.was_before(node, account)
        for node, fact in case.decisions
    )


def _parameters(fact: PolicyDecision) -> bytes | None:
    """The parameters that a decision allows."""
    return fact.modified_parameter_digest if fact.decision == "modify" else fact.parameter_digest


def _is_about(case: Case, node: Node, fact: PolicyDecision, account: Node) -> bool:
    payload = account.payload
    if payload is None:
        return False
    by_id = fact.decision_id is not None and fact.decision_id == payload["decision_id"]
    return by_id or fact.action_id == payload["action_id"] or case.by_cause(account, node)


def _is_done_on(case: Case, node: Node, denial: PolicyDecision, account: Node) -> bool:
    """Whether something was carried out on a denial of other parameters, and nothing allowed it."""
    bound = bool(relying(case, node)) or concerns(case, node) == "this"
    return (
        bound
        and account in case.took_effect
        and is_of_others(case, node, denial.parameter_digest)
        and not is_allowed(case, account)
    )


def _is_asked_of(fact: PolicyDecision, account: Node) -> bool:
    """Whether an account of the attempt states what the decision then changed."""
    payload = account.payload
    return (
        fact.decision == "modify"
        and payload is not None
        and payload["phase"] == "intended"
        and payload["parameter_digest"] == fact.parameter_digest
    )


def decision_missing(case: Case) -> Found:
    """An account of somebody's own names a decision, and nobody recorded one. One that cannot be read any more may be it."""
    done = {node.ref for node in case.took_effect}
    relying = [
        (node, fact.decision_id)
        for node, fact in case.accounts
        if fact.decision_id is not None and node.ref in done and not node.importer
    ]
    missing = [each for each in relying if not case.names.answer_to(f"decision:{each[1]}", "policy_decision")]
    if not missing or not case.complete:
        return
    if any(node.kind == "policy_decision" and node.payload is None for node in case.names.graph.nodes):
        return
    for node, decision in missing:
        yield f"it relies on decision {decision}, which nobody recorded", [node]


def may_be_missing(index: Index, told: Told) -> bool:
    """Whether at any time an account may have been there and the decision that it names was not."""
    for node, fact, _ in told.accounts:
        if fact.decision_id is None or node.importer:
            continue
        known = answering(index, [f"decision:{fact.decision_id}"], "policy_decision")
        came = min((each.append_time for each in known), default=None)
        if came is None or came > node.append_time or len(known) > index.graph.limits.candidates:
            return True
    return False


def may_be_late(account: Node, decision: PolicyDecision) -> bool:
    ends = decision.expires_at if decision.decision != "deny" else None
    return ends is not None and account.at > ends + SKEW


def decision_expired(case: Case) -> Found:
    for node, fact in case.decisions:
        ends = fact.expires_at
        if ends is None or fact.decision == "deny":
            continue
        late = [
            each
            for each in case.not_refused
            if case.tells_the_start(each)
            and each.at > ends + SKEW
            and _is_about(case, node, fact, each)
            and not _decided_anew(case, node, fact, each)
        ]
        if late:
            yield f"decision {fact.decision_id or ''} held until {rfc3339(ends)}".replace("  ", " "), [node, *late]


def obligation_unmet(case: Case) -> Found:
    """Took effect on a decision that demands an approval, and none is cited that is for it and was given before."""
    hidden = any(node.kind == "oversight" and node.payload is None for node in case.cited())
    if hidden or not case.complete:
        return
    given = [
        node
        for node, _, _ in case.rights
        if isinstance(node.fact, Oversight) and node.fact.action in APPROVES and is_meant_for_this(case, node)
    ]
    alone = [each for each in case.took_effect if not any(case.was_before(said, each) for said in given)]
    for node, fact in case.decisions:
        if fact.decision == "deny" or not DEMANDS_APPROVAL & set(fact.obligations):
            continue
        if done := [each for each in alone if not _decided_anew(case, node, fact, each)]:
            late = ", and what is cited came only afterwards" if given else ", and none is cited"
            yield f"the decision holds only with an approval{late}", [node, *given, *done]
