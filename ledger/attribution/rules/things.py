"""Which accounts may be of one thing, and which tokens, decisions and approvals they may rely on, whatever is left out of what is
known: more than an answer finds, for what ``rules.clashes`` looks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ledger.attribution.index import Index
from ledger.attribution.joins import statement_names, token_names
from ledger.attribution.subgraph import Node
from ledger.attribution.uniting import Sets, unite, united
from ledger.format.event import AUTHORIZED_BY, RESULT_OF, SAME, Cause
from ledger.format.kinds import ApiAction, Oversight, PolicyDecision, TokenIssuance

_NAMED: Final = ("tool_call:", "request:")
"""Correlations that, as the id of an action does, join accounts and what was observed to it."""
_SAID: Final = ("action:", "decision:", "oversight:")
_JOINED: Final = frozenset({"api_action", "observation"})


MOST: Final = 16
"""Accounts of one thing that are looked at."""
MANY: Final = 64
"""What answers to one name that is looked at: whoever records chooses the names, and each event is held against all of these."""


class Many(Exception):
    """More would have to be looked at."""


class Told(NamedTuple):
    """Events that may be of one thing: their ids, and of the accounts among them each with the tokens that it may have
    presented; the decisions and approvals that any may cite."""

    ids: Sequence[bytes]
    accounts: Sequence[tuple[Node, ApiAction, Sequence[TokenIssuance]]]
    decisions: Sequence[PolicyDecision]
    oversights: Sequence[Oversight]


def things_of(index: Index) -> Iterator[tuple[Sequence[bytes], Sequence[tuple[Node, ApiAction]]]]:
    """Each thing that there are accounts of: the ids of all that may be of it, and these."""
    for ids in _together(index):
        nodes = [node for each in ids for node in index.by_id[each] if node.effective]
        told = [(node, node.fact) for node in nodes if isinstance(node.fact, ApiAction)]
        if told:
            yield ids, told


def told_of(index: Index, ids: Sequence[bytes], told: Sequence[tuple[Node, ApiAction]]) -> Told:
    """What the accounts of a thing may rely on; raises ``Many``."""
    if len(ids) > MOST or len(told) > MOST:
        raise Many
    facts = [each.fact for each in _cited(index, [node for node, _ in told])]
    return Told(
        ids,
        [(node, fact, presented(index, node)) for node, fact in told],
        [fact for fact in facts if isinstance(fact, PolicyDecision)],
        [fact for fact in facts if isinstance(fact, Oversight)],
    )


def _together(index: Index) -> Iterable[list[bytes]]:
    """The ids of events that a name or a cause may make accounts of one thing; each id is in one set."""
    sets: Sets[bytes] = {}
    first: dict[str, bytes] = {}
    for event_id, nodes in index.by_id.items():
        for node in nodes:
            if not node.effective:
                continue
            for name in _joining(node):
                unite(sets, event_id, first.setdefault(name, event_id))
            for cause in node.header.causes:
                if _is_of_one(node, cause) and cause.event_id in index.by_id:
                    unite(sets, event_id, cause.event_id)
    return united(sets)


def _joining(node: Node) -> list[str]:
    """The names by which an event and another one may be accounts of one thing, or tell what came of it."""
    if node.kind in _JOINED:
        names = [each for each in node.header.correlation if each.startswith(_NAMED)]
        if node.payload is not None and (action := node.payload["action_id"]) is not None:
            names.append(f"action:{action}")
        return names
    return statement_names(node.kind, node.payload) if node.kind == "token_issuance" else []


def _is_of_one(node: Node, cause: Cause) -> bool:
    return cause.relation in SAME or (cause.relation == RESULT_OF and node.kind == "observation")


def presented(index: Index, node: Node) -> list[TokenIssuance]:
    """What is stated of the token that an event presented, or of those that it cites where it names none."""
    named = token_names(node.payload["token"]) if node.payload is not None else []
    names = named or [
        name
        for cause in node.header.causes
        if cause.relation == AUTHORIZED_BY
        for each in index.by_id.get(cause.event_id, ())
        if each.kind == "token_issuance" and each.payload is not None
        for name in token_names(each.payload["token"])
    ]
    return [fact for each in answering(index, names, "token_issuance") if isinstance(fact := each.fact, TokenIssuance)]


def answering(index: Index, names: Iterable[str], kind: str | None = None) -> list[Node]:
    """The effective events (of a kind) that answer to one of ``names``; raises ``Many``."""
    found: list[Node] = []
    for name in names:
        answers = index.answering.get(name, ())
        if len(answers) > MANY:
            raise Many
        found += [node for node in answers if kind is None or node.kind == kind]
    return found


def _cited(index: Index, accounts: Iterable[Node]) -> Iterable[Node]:
    """What may be cited by a cause, or by its id, or is about the action."""
    found: dict[object, Node] = {}
    for account in accounts:
        cited = [node for cause in account.header.causes for node in index.by_id.get(cause.event_id, ())]
        for name in index.follows(account):
            if name.startswith(_SAID):
                cited += answering(index, [name])
        found.update((node.ref, node) for node in cited if node.kind in _RULED)
    return found.values()


_RULED: Final = frozenset({"policy_decision", "oversight"})


__all__ = ["Many", "Told", "answering", "presented", "things_of", "told_of"]
