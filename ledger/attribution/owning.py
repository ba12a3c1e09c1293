"""Which registrations of an agent say who owns it: the last that names one, and that of every other service that names another.

Of a service its last registration counts, until it runs out: what it had replaced comes to life no more.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.attribution.answer import Party
from ledger.attribution.authority import party
from ledger.attribution.index import Index
from ledger.attribution.subgraph import Node
from ledger.format.kinds import AgentRegistration

Registered = tuple[Node, AgentRegistration]


def since(node: Node) -> int:
    """From when a registration holds."""
    fact = node.fact
    return fact.effective_at if isinstance(fact, AgentRegistration) and fact.effective_at is not None else node.at


def in_force(registered: Registered, at: int | None) -> bool:
    """Whether a registration had not run out at a time; None: whatever time it is."""
    ends = registered[1].expires_at
    return at is None or ends is None or ends > at


def last_words(held: Sequence[Registered]) -> list[Registered]:
    """The last registration of each service, in the order in which they take effect."""
    last: dict[str, Registered] = {}
    for each in sorted(held, key=lambda each: (since(each[0]), each[0].event_id, each[0].digest)):
        last.pop(each[0].service, None)
        last[each[0].service] = each
    return list(last.values())


def owning(index: Index, held: Sequence[Registered], at: int | None) -> list[Registered]:
    """Of the registrations that hold at a time, the last one of all that names an owner; and the last of each service, where they
    name different people. None where the last of every service has run out; where none names an owner, the last of all.

    Whoever registers an agent and says nothing of its owner takes nothing back that another service says. What a service retired
    it claims no more. Nobody without a name is shown to be another, and an importer's word does not stand against that of a
    service about itself.
    """
    valid = [each for each in last_words(held) if in_force(each, at)]
    if not valid:
        return []
    claims = [each for each in valid if each[1].owner is not None and (each[1].state != "retired" or each is valid[-1])]
    *others, latest = claims or valid
    owner = _named(index, latest)
    told = {owner.identity: latest} if owner is not None else {}
    for each in reversed(others):
        node = each[0]
        who = _named(index, each)
        if told and who is not None and (not node.importer or latest[0].importer):
            told.setdefault(who.identity, each)
    return list(reversed(told.values())) or [latest]


def _named(index: Index, registered: Registered) -> Party | None:
    who = party(index, registered[1].owner)
    return who if who is not None and who.state == "named" else None


__all__ = ["Registered", "in_force", "last_words", "owning", "since"]
