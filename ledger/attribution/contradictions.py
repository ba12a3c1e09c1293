"""Statements that cannot both be in order. Each rule is a row of data and a pure function that returns what it found.

A rule accuses only where the events themselves state both sides: what is not known is no contradiction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ledger.attribution.answer import Contradiction
from ledger.attribution.rules import accounts, approvals, policies, tokens
from ledger.attribution.rules.case import Case, Found


class Rule(NamedTuple):
    name: str
    meaning: str
    find: Callable[[Case], Found]


RULES: Final = (
    Rule("approval_reused", "an approval was used more often than it allows", approvals.approval_reused),
    Rule("approval_expired", "an approval was used after it had expired", approvals.approval_expired),
    Rule("other_than_approved", "its parameters are not those that were approved", approvals.other_than_approved),
    Rule("acted_after_deny", "it took effect although a policy or a person said no", policies.acted_after_deny),
    Rule("other_than_decided", "its parameters are not those that were decided about", policies.other_than_decided),
    Rule("decision_missing", "it took effect on a decision that nobody recorded", policies.decision_missing),
    Rule("decision_expired", "it was called when the decision held no more", policies.decision_expired),
    Rule("obligation_unmet", "it took effect without the approval that a decision demands", policies.obligation_unmet),
    Rule("scope_missing", "the token presented lacks the scope", tokens.scope_missing),
    Rule("other_audience", "the token presented is for somebody else", tokens.other_audience),
    Rule("expired_token", "the token presented had expired", tokens.expired_token),
    Rule("revoked_token", "the token presented, or one that it was exchanged from, was revoked", tokens.revoked_token),
    Rule("ended_grant", "the grant that it rests on had been withdrawn or was over", tokens.ended_grant),
    Rule("actor_mismatch", "the token's current actor is not the agent that used it", tokens.actor_mismatch),
    Rule("other_person", "it was for one person, and the token presented is another's", tokens.other_person),
    Rule("accounts_disagree", "two accounts of one action do not agree", accounts.accounts_disagree),
)
"""Every rule: its name, what it means, and how it is found."""


def contradictions(case: Case) -> tuple[Contradiction, ...]:
    """What the rules find, in their order."""
    return tuple(
        Contradiction(rule=rule.name, detail=detail, evidence=tuple(dict.fromkeys(node.event_id for node in evidence)))
        for rule in RULES
        for detail, evidence in rule.find(case)
    )


__all__ = ["RULES", "Case", "Rule", "contradictions"]
