"""What came of events: by the causes that later ones state, by the uses of tokens and approvals, and by what names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from ledger.attribution.findable import value_names
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
    """Fetches what came of events, as many as the limit allows; those and what was fetched before are kept. ``accounts``: also by
    equal action ids, what others state of the same actions and what came of that."""
    most, asked = max(question.limits.nodes, len(question.rows)), frozenset(start)
    walk = question.walk_far if most > FEW else question.walk_near
    walked: set[bytes] = set()
    used: set[_Key] = set()
    sought: set[_Key] = set()
    crowded = False
    for _ in range(ROUNDS):
        if not start:
            break
        walked |= walk("lineage_down.sql", start, most + 1)
        new: set[bytes] = set()
        if len(question.rows) <= most:
            new = _uses(question, _new(question, _USED | {"api_action"} if accounts else _USED, used))
            named, more = _naming(question, _new(question, _NAMED, sought))
            new |= named
            crowded |= more
        if len(question.rows) > most:
            question.keep(asked, most)
            return Below(walked, ("nodes",))
        start = sorted(new)
    return Below(walked, (*(["nodes"] if crowded else []), *(["rounds"] if start else [])))


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


def _naming(question: Question, new: Sequence[Node]) -> tuple[set[bytes], bool]:
    """Events not fetched yet that name one of ``new``, and need not cite it: a memory read, a hand-off received, what a schedule
    began, what was done on a decision. What states the same value and means something else is let go. And whether there is more
    of a value than is looked at."""
    rows, decoded, most = question.rows, question.decoded, question.limits.nodes
    named = [node for node in new if _named_by(node)]
    values = {value for node in named if (value := _named_by(node))}
    if not values:
        return set(), False
    answers = {name for node in named for name in names_of(node.header, node.payload)[0]}
    known = set(rows)
    names = {f"value:{value}" for value in values}
    found = question.by_keys(sorted(names), most + 1)
    more = len(found) > most and _fullest(decoded.values(), names) > most
    for ref in [ref for ref in decoded if ref not in known]:
        node = decoded[ref]
        if answers.isdisjoint(names_of(node.header, node.payload)[1]) and CHANGED not in node.findings:
            del rows[ref], decoded[ref]
    return {event_id for event_id, _ in rows} - {event_id for event_id, _ in known}, more


def _fullest(nodes: Iterable[Node], names: Collection[str]) -> int:
    """How many events answer to that of the names to which most do; what cannot be read may answer to each."""
    ids: dict[str, set[bytes]] = {name: set() for name in names}
    for node in nodes:
        for name in names if CHANGED in node.findings else ids.keys() & value_names(node.header, node.payload):
            ids[name].add(node.event_id)
    return max(map(len, ids.values()))


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
