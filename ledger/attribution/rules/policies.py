"""Rules about what policies and people decided before it took effect."""

from __future__ import annotations

from typing import Final

from ledger.attribution.json_form import rfc3339
from ledger.attribution.observed import comparable
from ledger.attribution.rules.case import APPROVES, SKEW, Case, Found, ended
from ledger.attribution.subgraph import Node
from ledger.format.kinds import Oversight, PolicyDecision

DEMANDS_APPROVAL: Final = frozenset({"approval", "human_approval", "require_approval", "approve"})
"""Obligations that a person's approval meets."""


def acted_after_deny(case: Case) -> Found:
    """A denial that nobody took back. One that came only after the effect forbade nothing."""
    for node, fact in case.decisions:
        done = [each for each in case.took_effect if _before(case, node, each)]
        if fact.decision == "deny" and done and not _decided_anew(case, node, fact):
            version = f" version {fact.policy_version}" if fact.policy_version else ""
            yield f"policy {fact.policy_id or fact.engine or '(not named)'}{version} denied it", [node, *done]
    for node, said in case.oversights:
        done = [each for each in case.took_effect if _before(case, node, each)]
        if said.action in ("deny", "stop") and done and not _approved_after(case, node, APPROVES):
            yield f"a person said {said.action} ({said.oversight_id})", [node, *done]


def _before(case: Case, said: Node, account: Node) -> bool:
    return said.at <= ended(account) + SKEW or case.by_cause(account, said)


def _decided_anew(case: Case, node: Node, fact: PolicyDecision) -> bool:
    """Whether the same policy allowed it later, or a person overrode it."""
    return _approved_after(case, node, frozenset({"override"})) or any(
        other.decision != "deny"
        and (other.engine, other.policy_id) == (fact.engine, fact.policy_id)
        and each.at > node.at
        for each, other in case.decisions
    )


def _approved_after(case: Case, node: Node, actions: frozenset[str]) -> bool:
    return any(said.action in actions and each.at > node.at for each, said in case.oversights)


def other_than_decided(case: Case) -> Found:
    decided_about = {
        digest for _, fact in case.decisions if fact.decision != "deny" and (digest := _parameters(fact)) is not None
    }
    for node, fact in case.decisions:
        if fact.decision == "deny" or _parameters(fact) is None:
            continue
        differ = [
            each
            for each, said in case.accounts
            if said.parameter_digest is not None
            and said.parameter_digest not in decided_about
            and comparable(each, node)
            and _is_about(case, node, fact, each)
            and not _is_asked_of(fact, each)
        ]
        if differ:
            yield f"decision {fact.decision_id or ''} was about other parameters".replace("  ", " "), [node, *differ]


def _parameters(fact: PolicyDecision) -> bytes | None:
    """The parameters that a decision allows."""
    return fact.modified_parameter_digest if fact.decision == "modify" else fact.parameter_digest


def _is_about(case: Case, node: Node, fact: PolicyDecision, account: Node) -> bool:
    payload = account.payload
    if payload is None:
        return False
    by_id = fact.decision_id is not None and fact.decision_id == payload["decision_id"]
    return by_id or fact.action_id == payload["action_id"] or case.by_cause(account, node)


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
    if not case.complete or any(
        node.kind == "policy_decision" and node.payload is None for node in case.names.graph.nodes
    ):
        return
    done = {node.ref for node in case.took_effect}
    for node, fact in case.accounts:
        if fact.decision_id is None or node.ref not in done or node.importer:
            continue
        if not case.names.answer_to(f"decision:{fact.decision_id}", "policy_decision"):
            yield f"it relies on decision {fact.decision_id}, which nobody recorded", [node]


def decision_expired(case: Case) -> Found:
    for node, fact in case.decisions:
        ends = fact.expires_at
        if ends is None or fact.decision == "deny":
            continue
        late = [
            each
            for each, _ in case.accounts
            if case.tells_the_start(each) and each.at > ends + SKEW and _is_about(case, node, fact, each)
        ]
        if late and not _decided_anew(case, node, fact):
            yield f"decision {fact.decision_id or ''} held until {rfc3339(ends)}".replace("  ", " "), [node, *late]


def obligation_unmet(case: Case) -> Found:
    approved = any(isinstance(node.fact, Oversight) and node.fact.action in APPROVES for node, _, _ in case.rights)
    hidden = any(node.kind == "oversight" and node.payload is None for node in case.cited())
    if approved or hidden or not case.took_effect or not case.complete:
        return
    for node, fact in case.decisions:
        if fact.decision != "deny" and DEMANDS_APPROVAL & set(fact.obligations) and not _decided_anew(case, node, fact):
            yield "the decision holds only with an approval, and none is cited", [node, *case.took_effect]
