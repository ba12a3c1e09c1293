"""Who saw an action, and how what they state of its parameters compares with what was authorized."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.attribution.answer import Account, Compared, Grade, Seen
from ledger.attribution.authority import party
from ledger.attribution.grades import grade_of_claims
from ledger.attribution.index import Index
from ledger.attribution.subgraph import Node, Ref
from ledger.format.kinds import ApiAction


def read_accounts(index: Index, group: Sequence[Node]) -> tuple[Account, ...]:
    """Every account of the action, in order of time."""
    return tuple(
        Account(
            event_id=node.event_id,
            observer=fact.observer,
            service=node.service,
            importer=node.importer,
            phase=fact.phase,
            attempt=fact.attempt,
            outcome=fact.outcome,
            effect=fact.effect,
            status=fact.status,
            agent_id=node.header.agent_id,
            person=party(index, node.header.principal),
            parameter_digest=fact.parameter_digest,
            at=node.at,
            ended_at=fact.ended_at,
        )
        for node in group
        if isinstance(fact := node.fact, ApiAction)
    )


def seen(accounts: Iterable[Account]) -> Seen | None:
    """By which sides an action was seen; None where there is none."""
    by = {"imported" if each.importer else each.observer for each in accounts}
    if {"agent", "resource"} <= by:
        return "both_sides"
    for observer, alone in _ALONE.items():
        if observer in by:
            return alone
    return None


_ALONE: Final[dict[str, Seen]] = {
    "resource": "resource_alone",
    "agent": "caller_alone",
    "intermediary": "between_alone",
    "imported": "log_alone",
    "importer": "log_alone",
}


def read_outcome(group: Sequence[Node]) -> tuple[str | None, Grade | None]:
    """How it ended, as whoever received the call says, else as the caller does; graded by all who say the same.

    What succeeded once was done, whichever try it was and whatever came of those before and after it; of what never did, the last
    try tells whose end is known.
    """
    said = [(node, fact) for node in group if isinstance(fact := node.fact, ApiAction) and fact.outcome is not None]
    if not said:
        return None, None
    _, told = max(said, key=lambda each: _tells(*each))
    return told.outcome, grade_of_claims(node for node, fact in said if fact.outcome == told.outcome)


def _tells(node: Node, fact: ApiAction) -> tuple[bool, bool, bool, int, int, Ref]:
    """Orders accounts by what they tell of how it ended."""
    ended = fact.outcome == "success", fact.outcome != "unknown"
    return fact.observer == "resource", *ended, fact.attempt or 0, node.at, node.ref


def compare(authority: Node, authorized: bytes | None, group: Sequence[Node]) -> Compared:
    """The parameters that were authorized against those in effect. What an importer read has the form of its own log."""
    stated = [(node, fact.parameter_digest) for node in group if isinstance(fact := node.fact, ApiAction)]
    digests = [(node, digest) for node, digest in stated if digest is not None]
    if not digests or authorized is None:
        return "not_stated"
    alike = {digest for node, digest in digests if comparable(node, authority)}
    if not alike:
        return "not_comparable"
    return "same" if alike == {authorized} else "other"


def comparable(one: Node, other: Node) -> bool:
    """Whether the parameter digests of two events are of one form: RFC 8785, or that of one log that was imported."""
    return not (one.importer or other.importer) or one.service == other.service
