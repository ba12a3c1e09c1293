"""Statements that cannot both be in order. Each rule is a row of data and a pure function that returns what it found.

A rule accuses only where the events themselves state both sides: what is not known is no contradiction.
``docs/contradictions.md`` is ``table()``, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from ledger.attribution.answer import Contradiction, Severity
from ledger.attribution.rules import (
    accounts,
    approvals,
    bindings,
    clashes,
    delegations,
    duties,
    exchanges,
    marks,
    order,
    policies,
    registrations,
    taint,
    tokens,
)
from ledger.attribution.rules.case import Case, Found


class Rule(NamedTuple):
    """``why`` is the reason for the severity, ``closes`` what would settle it, ``source`` where both sides are defined.
    ``needs`` are marks of which some event must bear one, and ``also`` those that must all be borne, else it finds nothing; nor
    does it without its ``clash``, where it has one."""

    name: str
    severity: Severity
    why: str
    meaning: str
    closes: str
    source: str
    find: Callable[[Case], Found]
    needs: int
    also: int = 0
    clash: int = 0


SEVERITIES: Final[dict[Severity, str]] = {
    "critical": "somebody acted against a refusal, or with rights that were taken away: answer it now",
    "high": "it took effect outside of what was allowed, or on the word of somebody who may not give it: the same day",
    "medium": "a control was out of force, or two records differ, and nobody is shown to have gained by it: look into it",
    "low": "the attempt failed, or the record is at fault: tidy up",
}
"""Each severity, with what it asks of whoever reads it; the worst first."""

RULES: Final = (
    Rule(
        "acted_after_deny",
        "critical",
        "the control spoke and was not obeyed",
        "it took effect although a policy or a person said no",
        "an allow of the same policy, or a person's override, that came after the denial and is cited",
        "schemas/policy_decision, schemas/oversight",
        policies.acted_after_deny,
        marks.DENIED,
        marks.ACTION,
    ),
    Rule(
        "revoked_token",
        "critical",
        "whoever revoked a token means that its holder is to be stopped",
        "the token presented, or one that it was exchanged from, was revoked, or its grant, session, client or subject was",
        "a revocation that says another time or another token; else revoke what came of it and undo what was done",
        "RFC 7009 §2; schemas/token_revocation",
        tokens.revoked_token,
        marks.REVOKED,
    ),
    Rule(
        "refused_token",
        "critical",
        "whoever issues tokens said no, and it worked all the same",
        "the token presented is one that its issuer had refused to give out",
        "an issuance of it by the same issuer; else look at who made the token, and at what checks it where it was presented",
        "RFC 6749 §5.2; schemas/token_issuance: status",
        tokens.refused_token,
        marks.DENIED,
        marks.ACTION,
    ),
    Rule(
        "other_than_approved",
        "high",
        "a person is shown to have allowed what they did not allow",
        "its parameters are not those that were approved",
        "a person's edit from the approved parameters to these, or an approval of these",
        "schemas/oversight: bound_digest, edited_digest",
        approvals.other_than_approved,
        marks.APPROVAL,
        marks.ACTION,
        clash=clashes.OTHER_APPROVED,
    ),
    Rule(
        "other_than_decided",
        "high",
        "the policy never saw what was carried out",
        "its parameters are not those that were decided about",
        "a decision about these parameters, before it took effect",
        "schemas/policy_decision: parameter_digest, modified_parameter_digest",
        policies.other_than_decided,
        marks.DECIDED_PARAMETERS,
        marks.ACTION,
        clash=clashes.OTHER_DECIDED,
    ),
    Rule(
        "meant_for_another",
        "high",
        "what was decided is another thing, and nobody allowed this",
        "the decision or approval that it names is about another person, agent, thing, operation or action",
        "a decision or approval that is about this, given before; or a correction of what the one named is about",
        "schemas/policy_decision: subject, resource, action_id; oversight: operation, reference",
        bindings.meant_for_another,
        marks.ABOUT | marks.APPROVAL,
        marks.ACTION,
        clash=clashes.MEANT_FOR_ANOTHER,
    ),
    Rule(
        "undecided",
        "high",
        "the house has a policy point for it, and it was gone around",
        "it took effect without a decision that the house rules demand",
        "the decision that allowed it, cited by the action; it may still be on its way",
        "the house rules: decision",
        duties.undecided,
        marks.ALWAYS,
        marks.ACTION,
        clash=clashes.UNDECIDED,
    ),
    Rule(
        "approval_reused",
        "high",
        "one consent stands for several effects",
        "an approval was used more often than it allows",
        "an approval of its own for each action beyond those allowed",
        "schemas/oversight: uses_allowed",
        approvals.approval_reused,
        marks.APPROVAL,
        clash=clashes.REUSED,
    ),
    Rule(
        "obligation_unmet",
        "high",
        "the decision did not hold without a person, and none is there",
        "it took effect without the approval that a decision demands",
        "the approval, recorded and cited by the action",
        "schemas/policy_decision: obligations",
        policies.obligation_unmet,
        marks.OBLIGED,
        marks.ACTION,
    ),
    Rule(
        "other_person",
        "high",
        "one person's rights were used in another's name",
        "it was for one person, and the token presented is another's",
        "a grant of the token's subject to the person it was for, or a correction of who prompted",
        "RFC 8693 §1.1 (impersonation and delegation)",
        tokens.other_person,
        marks.SUBJECT,
        clash=clashes.OTHER_PERSON,
    ),
    Rule(
        "actor_mismatch",
        "high",
        "another agent holds this one's token",
        "the token's current actor is not the agent that used it",
        "a registration that lists the actor among the agent's clients; else revoke the token",
        "RFC 8693 §4.1; schemas/agent_registration: client_ids",
        tokens.actor_mismatch,
        marks.REGISTERED,
        marks.ACTION | marks.ACTOR,
        clash=clashes.OTHER_ACTOR,
    ),
    Rule(
        "ended_grant",
        "high",
        "the person had taken their consent back, or it was over",
        "the grant that it rests on had been withdrawn or was over",
        "a grant given anew before it acted",
        "schemas/grant: action, expires_at",
        tokens.ended_grant,
        marks.GRANT,
        marks.ACTION,
        clash=clashes.GRANT_OVER,
    ),
    Rule(
        "accounts_disagree",
        "high",
        "one of two witnesses states what is not so",
        "two accounts of one action do not agree",
        "a correction by whichever account is wrong; the resource's own records tell which",
        "schemas/api_action: observer",
        accounts.accounts_disagree,
        marks.SEEN | marks.PARAMETERS,
        marks.ACTION,
        clash=clashes.DISAGREE,
    ),
    Rule(
        "vouched_and_denied",
        "high",
        "one of two services is wrong about what was allowed, or a gate was gone around",
        "one service vouches for what another says was refused",
        "a correction by whichever is wrong; whoever decides (policy point, approver, issuer, gateway) tells which",
        "schemas/policy_decision, oversight, token_issuance, api_action: observer",
        accounts.vouched_and_denied,
        marks.DENIED,
    ),
    Rule(
        "agent_approved",
        "high",
        "the control is a person, and there was none",
        "it was approved by an agent",
        "an approval by a person, or a registration that says that the approver is no agent",
        "schemas/oversight: by; EU AI Act Art. 14",
        approvals.agent_approved,
        marks.APPROVAL,
        clash=clashes.BY_AGENT,
    ),
    Rule(
        "one_person_alone",
        "high",
        "the control is a second person, and there was none",
        "it needs another person than whoever triggered it",
        "an approval by somebody else, cited by the action",
        "the house rules: another_person; NIST SP 800-53 AC-5",
        duties.one_person_alone,
        marks.ALWAYS,
        marks.ACTION,
        clash=clashes.ALONE,
    ),
    Rule(
        "delegation_wider",
        "high",
        "rights were made on the way that nobody gave",
        "a token or grant goes beyond what it was derived from",
        "a grant that covers it, given before; else narrow what the issuer gives out and revoke this one",
        "RFC 8693 §1.1, §4.1, §4.4; schemas/grant: parent_grant_id",
        delegations.delegation_wider,
        marks.HANDED_DOWN | marks.GRANT,
        clash=clashes.WIDER,
    ),
    Rule(
        "person_exchanged",
        "high",
        "one person's rights were made of another's, who gave nothing",
        "a token of one person was obtained with the token of another",
        "a grant of the token's subject, given before, or their consent in `may_act`; else revoke it, and what came of it",
        "RFC 8693 §1.1, §4.4; schemas/token_issuance: subject_token",
        exchanges.person_exchanged,
        marks.EXCHANGED,
        clash=clashes.EXCHANGED,
    ),
    Rule(
        "untrusted_influence",
        "high",
        "whoever wrote the content may have given the order",
        "untrusted content led to an action of consequence",
        "a person who approves exactly these parameters after the content was read; else look at what the content says",
        "schemas/observation, memory, prompt: trust; OWASP LLM01",
        taint.untrusted_influence,
        marks.UNTRUSTED,
        marks.ACTION,
    ),
    Rule(
        "run_ended",
        "high",
        "whatever acts after its task holds rights that it needs no more",
        "it acted, or was set going, in a run that had ended or had been stopped or suspended",
        "a resumption of the run, recorded before; else end the agent and what it holds",
        "schemas/execution_control: action; oversight: action (stop)",
        order.run_ended,
        marks.RUN,
        clash=clashes.RUN_OVER,
    ),
    Rule(
        "agent_suspended",
        "high",
        "whoever answers for the agent had taken it out of service, and it acts on",
        "an agent acted that was registered as suspended or retired",
        "a registration as active, in force when it acted; else end the agent and what it holds",
        "schemas/agent_registration: state, effective_at",
        registrations.agent_suspended,
        marks.SUSPENDED,
    ),
    Rule(
        "schedule_removed",
        "high",
        "nobody is there who wants it any more, and it acts on",
        "it was started by a schedule, webhook or queue that was removed or had run out",
        "a registration anew, before it fired; else end what still fires",
        "schemas/trigger_registration: action, expires_at",
        registrations.schedule_removed,
        marks.SCHEDULE,
    ),
    Rule(
        "completed_twice",
        "high",
        "what was meant to happen once happened twice",
        "it was carried out twice under one idempotency key",
        "a compensation of one of them; or the resource says that its second answer had no effect",
        "schemas/api_action: idempotency_key, effect",
        accounts.completed_twice,
        marks.KEYED,
        marks.ACTION,
        clash=clashes.TWICE,
    ),
    Rule(
        "other_audience",
        "medium",
        "a token strayed; whoever was called decides whether it did harm",
        "the token presented is for somebody else",
        "a token for the system called; and a check of aud there, if it took this one",
        "RFC 9068 §4; RFC 7519 §4.1.3",
        tokens.other_audience,
        marks.SEEN | marks.AUDIENCE,
        marks.ACTION,
        clash=clashes.TOKEN_STRAYED,
    ),
    Rule(
        "expired_token",
        "medium",
        "its holder once had the right; whoever was called did not look at the time",
        "the token presented had expired",
        "an issuance that states a later end, or a check of exp where it was presented",
        "RFC 7519 §4.1.4",
        tokens.expired_token,
        marks.TOKEN_ENDS,
        marks.ACTION,
        clash=clashes.TOKEN_OVER,
    ),
    Rule(
        "token_not_yet_valid",
        "medium",
        "its holder was to have the right; whoever was called did not look at the time, or a clock is wrong",
        "the token presented was not valid yet",
        "an issuance that states an earlier beginning, or a check of nbf where it was presented",
        "RFC 7519 §4.1.5",
        tokens.token_not_yet_valid,
        marks.TOKEN_BEGINS,
        marks.ACTION,
        clash=clashes.TOKEN_EARLY,
    ),
    Rule(
        "approval_expired",
        "medium",
        "a person said yes, and not for this late",
        "an approval was used after it had expired",
        "an approval that held at the time",
        "schemas/oversight: expires_at",
        approvals.approval_expired,
        marks.APPROVAL,
        marks.ACTION,
        clash=clashes.APPROVAL_OVER,
    ),
    Rule(
        "decision_expired",
        "medium",
        "the policy said yes, and not for this late",
        "it was called when the decision held no more",
        "a decision that held at the time",
        "schemas/policy_decision: expires_at",
        policies.decision_expired,
        marks.DECISION_ENDS,
        marks.ACTION,
        clash=clashes.DECISION_OVER,
    ),
    Rule(
        "decision_missing",
        "medium",
        "the policy point may not record, or may never have been asked",
        "it took effect on a decision that nobody recorded",
        "the decision's own event; it may still be on its way",
        "schemas/api_action: decision_id",
        policies.decision_missing,
        marks.RELIES,
        marks.ACTION,
        clash=clashes.DECISION_MISSING,
    ),
    Rule(
        "effect_before_cause",
        "medium",
        "a clock is wrong, or a cause was made up afterwards",
        "it was over before what it says that it comes from",
        "a corrected clock; or the time at which each was appended, if it agrees with the causes",
        "schemas/event_header: causes, occurred_at",
        order.effect_before_cause,
        marks.ALWAYS,
        clash=clashes.BEFORE_CAUSE,
    ),
    Rule(
        "scope_missing",
        "low",
        "it was refused: the control held",
        "the token presented lacks the scope",
        "a token with the scope, or an agent that does not try",
        "RFC 6750 §3.1 (insufficient_scope)",
        tokens.scope_missing,
        marks.SEEN,
        marks.ACTION,
        clash=clashes.SCOPELESS,
    ),
    Rule(
        "approval_spent",
        "low",
        "it came to nothing: the control held",
        "it was tried on an approval that allows no more uses",
        "an approval of its own, or an agent that does not try",
        "schemas/oversight: uses_allowed",
        approvals.approval_spent,
        marks.APPROVAL,
        clash=clashes.REUSED,
    ),
)
"""Every rule, the worst first."""

BY_NAME: Final = {rule.name: rule for rule in RULES}


@lru_cache(maxsize=1024)
def asked(borne: int, met: int = clashes.ANY) -> tuple[Rule, ...]:
    """The rules that may find something where events bear these marks, and these clashes are met."""
    return tuple(
        rule
        for rule in RULES
        if rule.needs & borne and rule.also & borne == rule.also and (rule.clash & met or not rule.clash)
    )


def contradictions(case: Case, rules: Iterable[Rule] | None = None) -> tuple[Contradiction, ...]:
    """What the rules find, in their order: the worst first. What two events of the case lead to is said once. ``rules`` are those
    that may find something, where that is known."""
    found = (
        Contradiction(
            rule=rule.name,
            severity=rule.severity,
            detail=detail,
            evidence=tuple(dict.fromkeys(node.event_id for node in evidence)),
            closes=rule.closes,
        )
        for rule in (asked(case.marks) if rules is None else rules)
        for detail, evidence in rule.find(case)
    )
    return tuple(dict.fromkeys(found))


def table() -> str:
    """The rules as Markdown."""
    lines = ["| severity | what it asks |", "|---|---|"]
    lines += [f"| {name} | {asks} |" for name, asks in SEVERITIES.items()]
    lines += ["", "| rule | severity, and why | it says that | what would close it | from |", "|---|---|---|---|---|"]
    lines += [
        f"| `{rule.name}` | {rule.severity}: {rule.why} | {rule.meaning} | {rule.closes} | {rule.source} |"
        for rule in RULES
    ]
    return "\n".join(lines) + "\n"


__all__ = ["BY_NAME", "RULES", "SEVERITIES", "Case", "Rule", "contradictions", "table"]
