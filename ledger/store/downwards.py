"""What came of events: by the causes that later ones state, by the uses of tokens and approvals, and by what names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.attribution.joins import names_of, token_names
from ledger.attribution.subgraph import Node
from ledger.format.kinds import Handoff, Memory, PolicyDecision, TriggerRegistration
from ledger.store.question import Question
from ledger.store.seals import CHANGED

ROUNDS: Final = 64
"""How often it goes on through uses of tokens and approvals, and through names."""

FEW: Final = 1000
"""So many events are as fast fetched whole."""
_USED: Final = frozenset({"token_issuance", "oversight"})
_NAMED: Final = frozenset({"memory", "handoff", "trigger_registration", "policy_decision"})
"""Kinds of event that others use, and that others name."""

_Key = tuple[bytes, bytes]


class Below(NamedTuple):
    """Every id walked, and the limits that were met: `nodes`, or `rounds`: what came of the last events was not looked for."""

    walked: set[bytes]
    truncated: tuple[str, ...]


def walk_below(question: Question, start: Sequence[bytes], *, accounts: bool = False) -> Below:
    """Fetches what came of events. ``accounts``: also by equal action ids, what others state of the same
    actions and what came of that."""
    walked: set[bytes] = set()
    used: set[_Key] = set()
    sought: set[_Key] = set()
    for _ in range(ROUNDS):
        if not start:
            return Below(walked, ("nodes",) if len(walked) >= question.limits.nodes else ())
        walk = question.walk_far if question.limits.nodes > FEW else question.walk
        walked |= walk("lineage_down.sql", start)
        if len(question.rows) >= question.limits.nodes:
            return Below(walked, ("nodes",))
        uses = _uses(question, _new(question, _USED | {"api_action"} if accounts else _USED, used))
        start = sorted(uses | _naming(question, _new(question, _NAMED, sought), walked))
    more = [*(["nodes"] if len(walked) >= question.limits.nodes else []), *(["rounds"] if start else [])]
    return Below(walked, tuple(more))


def _new(question: Question, kinds: frozenset[str], known: set[_Key]) -> list[Node]:
    """The effective events of these kinds that were fetched and are not ``known``, which they then are."""
    decoded = question.decoded.items()
    new = {ref: node for ref, node in decoded if node.header.kind in kinds and ref not in known and node.effective}
    known |= new.keys()
    return list(new.values())


def _uses(question: Question, new: Sequence[Node]) -> set[bytes]:
    """Events that used one of ``new``, tokens, approvals and actions, and are not fetched yet."""
    names: list[str] = []
    for node in new:
        if node.payload is None:
            continue
        if node.kind == "token_issuance":
            names += [f"token_use:{name}" for name in token_names(node.payload["token"])]
        if node.kind == "oversight":
            names.append(f"oversight_use:{node.payload['oversight_id']}")
        if node.kind == "api_action":
            names.append(f"action:{node.payload['action_id']}")
    known = {event_id for event_id, _ in question.rows} if names else set()
    return question.by_keys(names, question.limits.nodes) - known


def _naming(question: Question, new: Sequence[Node], walked: set[bytes]) -> set[bytes]:
    """Events not fetched yet that name one of ``new``, and need not cite it: a memory read, a hand-off received, what a schedule
    began, what was done on a decision. What states the same value and means something else is let go; where there is more of
    it than is looked at, it counts as walked, so that the answer says that it was cut."""
    rows, decoded = question.rows, question.decoded
    named = [node for node in new if _named_by(node)]
    values = {value for node in named if (value := _named_by(node))}
    if not values:
        return set()
    answers = {name for node in named for name in names_of(node.header, node.payload)[0]}
    known = set(rows)
    found = question.by_keys([f"value:{value}" for value in sorted(values)], question.limits.nodes)
    if len(found) >= question.limits.nodes:
        walked |= found
    for ref in [ref for ref in decoded if ref not in known]:
        node = decoded[ref]
        if answers.isdisjoint(names_of(node.header, node.payload)[1]) and CHANGED not in node.findings:
            del rows[ref], decoded[ref]
    return {event_id for event_id, _ in rows} - {event_id for event_id, _ in known}


def _named_by(node: Node) -> str | None:
    """The value by which later events name an event that they need not cite: they answer to it by value alone."""
    match node.fact:
        case Memory(action="write", key=str(key)):
            return key
        case Handoff(direction="sent", task_id=str(task)):
            return task
        case TriggerRegistration(trigger_id=trigger):
            return trigger
        case PolicyDecision(decision_id=str(decision)):
            return decision
    return None


__all__ = ["FEW", "ROUNDS", "Below", "walk_below"]
