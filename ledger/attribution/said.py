"""What policies and people said about an action, with what each was bound to."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.attribution.answer import Approval, Compared, Decision
from ledger.attribution.authority import authenticated, party
from ledger.attribution.grades import grade_of_claim, weakest
from ledger.attribution.observed import compare
from ledger.attribution.rules.bindings import concerns
from ledger.attribution.rules.case import Case
from ledger.attribution.subgraph import Node
from ledger.attribution.uses import more_uses, uses_of
from ledger.format.kinds import ApiAction, Oversight, PolicyDecision


def read_decisions(case: Case) -> tuple[Decision, ...]:
    """What policies said, in order of time."""
    index, group = case.names, case.group
    decisions = [
        Decision(
            event_id=node.event_id,
            decision=fact.decision,
            decision_id=fact.decision_id,
            engine=fact.engine,
            policy_id=fact.policy_id,
            policy_version=fact.policy_version,
            policy_digest=fact.policy_digest,
            determining_policies=fact.determining_policies,
            reasons=fact.reasons,
            obligations=fact.obligations,
            subject_type=fact.subject_type,
            subject=party(index, fact.subject),
            subject_agent=fact.subject_agent,
            action=fact.action,
            resource_type=fact.resource_type,
            resource=fact.resource,
            action_id=fact.action_id,
            concerns=concerns(case, node),
            parameters=_decided(node, fact, group),
            at=node.at,
            grade=weakest((grade, grade_of_claim(node))),
            candidates=count,
        )
        for node, grade, count in case.rights
        if isinstance(fact := node.fact, PolicyDecision)
    ]
    return tuple(sorted(decisions, key=lambda each: (each.at, each.event_id)))


def read_approvals(case: Case) -> tuple[Approval, ...]:
    """What people said about the action, in order of time."""
    index, group = case.names, case.group
    approvals = [
        Approval(
            event_id=node.event_id,
            oversight_id=fact.oversight_id,
            action=fact.action,
            by=party(index, fact.by),
            role=fact.role,
            authenticated=authenticated(fact.authentication),
            binding=fact.binding,
            bound={"same": True, "other": False}.get(parameters := _approved(node, fact, group)),
            concerns=concerns(case, node),
            parameters=parameters,
            reference=fact.reference,
            operation=fact.operation,
            external_system=fact.external_system,
            external_id=fact.external_id,
            uses_allowed=fact.uses_allowed,
            uses=len((uses := uses_of(index, node)).by()),
            use=uses.number(use) if (use := uses.of(group)) is not None else None,
            used_up=use.used_up() if use is not None else None,
            more_uses=more_uses(index, node),
            expires_at=fact.expires_at,
            at=node.at,
            grade=weakest((grade, grade_of_claim(node))),
            candidates=count,
        )
        for node, grade, count in case.rights
        if isinstance(fact := node.fact, Oversight)
    ]
    return tuple(sorted(approvals, key=lambda each: (each.at, each.event_id)))


def _decided(node: Node, fact: PolicyDecision, group: Sequence[Node]) -> Compared:
    """What the policy allows; an attempt may still state what it was asked, before the policy changed it."""
    if fact.parameter_digest is None:
        return "not_bound"
    if fact.decision != "modify":
        return compare(node, fact.parameter_digest, group)
    done = [each for each in group if isinstance(each.fact, ApiAction) and each.fact.phase != "intended"]
    return compare(node, fact.modified_parameter_digest, done or group)


def _approved(node: Node, fact: Oversight, group: Sequence[Node]) -> Compared:
    if fact.binding != "digest":
        return "not_bound"
    return compare(node, fact.edited_digest or fact.bound_digest, group)
