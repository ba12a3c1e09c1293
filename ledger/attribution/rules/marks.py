"""What a rule has to see before it can find anything, read once of each event.

Each mark is a necessary condition, and stays one whatever is left out: a rule whose marks no event of a question bears
finds nothing in it, nor in what was there of it at an earlier time. Most questions ask few rules.
What two events must say beside each other for a rule to speak is in ``rules.clashes``.
"""

from __future__ import annotations

from typing import Final

from ledger.attribution.subgraph import Node
from ledger.format.kinds import (
    AgentRegistration,
    ApiAction,
    ExecutionControl,
    Grant,
    Memory,
    Observation,
    Oversight,
    PolicyDecision,
    Prompt,
    TokenIssuance,
    TokenRevocation,
    TriggerRegistration,
)

ALWAYS: Final = 1
DENIED: Final = 1 << 1
DECIDED_PARAMETERS: Final = 1 << 2
DECISION_ENDS: Final = 1 << 3
OBLIGED: Final = 1 << 4
APPROVAL: Final = 1 << 5
REVOKED: Final = 1 << 6
GRANT: Final = 1 << 7
REGISTERED: Final = 1 << 8
RUN: Final = 1 << 9
UNTRUSTED: Final = 1 << 10
SEEN: Final = 1 << 11
"""An account of whoever else than the agent saw the action."""
PARAMETERS: Final = 1 << 12
RELIES: Final = 1 << 13
"""An action that names a decision."""
KEYED: Final = 1 << 14
SUBJECT: Final = 1 << 15
AUDIENCE: Final = 1 << 16
TOKEN_ENDS: Final = 1 << 17
TOKEN_BEGINS: Final = 1 << 18
SCHEDULE: Final = 1 << 21
"""A schedule that was removed, or runs out."""
ACTION: Final = 1 << 22
"""An account of an action."""
ACTOR: Final = 1 << 23
"""A token that names who acts with it."""
EXCHANGED: Final = 1 << 24
"""A token that was obtained with another."""
SUSPENDED: Final = 1 << 25
"""An agent that is not registered as active."""
HANDED_DOWN: Final = 1 << 19
"""A token that rests on a grant or was obtained with another token."""
ABOUT: Final = 1 << 20
"""A decision that says whom, what or which action it is about."""


def marks_of(node: Node) -> int:
    """The marks of one event. One without effect, or that cannot be read, bears none but ``ALWAYS``."""
    return ALWAYS | (_of(node) if node.effective and node.kind not in _UNMARKED else 0)


_UNMARKED: Final = frozenset(
    {"reasoning_step", "handoff", "configuration", "content_erasure", "chain_open", "chain_close"}
)
"""Kinds that bear none: nobody needs to look at what they say."""


def _of(node: Node) -> int:
    match node.fact:
        case ApiAction() as fact:
            return _of_action(fact)
        case TokenIssuance() as fact:
            return _of_token(fact)
        case PolicyDecision() as fact:
            return (
                (DENIED if fact.decision == "deny" else 0)
                | (DECISION_ENDS if fact.expires_at is not None else 0)
                | (OBLIGED if fact.obligations else 0)
                | (ABOUT if _is_about(fact) else 0)
                | (DECIDED_PARAMETERS if (fact.parameter_digest or fact.modified_parameter_digest) is not None else 0)
            )
        case Oversight() as fact:
            return APPROVAL | (DENIED if fact.action in ("deny", "stop") else 0) | (RUN if fact.action == "stop" else 0)
        case Prompt(trust="untrusted") | Memory(trust="untrusted") | Observation(trust="untrusted"):
            return UNTRUSTED
        case TokenRevocation():
            return REVOKED
        case Grant():
            return GRANT
        case AgentRegistration() as fact:
            return REGISTERED | (SUSPENDED if fact.state != "active" else 0)
        case ExecutionControl(action="start" | "resume"):
            return 0
        case ExecutionControl():
            return RUN
        case TriggerRegistration() as fact:
            return SCHEDULE if fact.action == "remove" or fact.expires_at is not None else 0
    return 0


def _is_about(fact: PolicyDecision) -> bool:
    said = fact.subject, fact.subject_agent, fact.resource, fact.action_id
    return any(each is not None for each in said)


def _of_action(fact: ApiAction) -> int:
    return (
        ACTION
        | (DENIED if fact.outcome == "denied" else 0)
        | (SEEN if fact.observer != "agent" else 0)
        | (PARAMETERS if fact.parameter_digest is not None else 0)
        | (RELIES if fact.decision_id is not None else 0)
        | (KEYED if fact.idempotency_key is not None else 0)
    )


def _of_token(fact: TokenIssuance) -> int:
    return (
        (DENIED if fact.status == "refused" else 0)
        | (SUBJECT if fact.subject is not None else 0)
        | (AUDIENCE if fact.audiences else 0)
        | (TOKEN_ENDS if fact.expires_at is not None else 0)
        | (TOKEN_BEGINS if fact.issued_at is not None or fact.not_before is not None else 0)
        | (ACTOR if fact.act is not None and fact.act.chain else 0)
        | (EXCHANGED if fact.subject_token is not None else 0)
        | (HANDED_DOWN if fact.grant_id is not None or fact.subject_token is not None else 0)
    )


__all__ = ["ALWAYS", "marks_of"]
