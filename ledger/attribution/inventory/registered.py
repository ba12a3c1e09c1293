"""What registrations said of an agent at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.attribution.owning import in_force, last_words, since
from ledger.attribution.subgraph import Node
from ledger.format.kinds import AgentRegistration

Registered = Sequence[tuple[Node, AgentRegistration]]


def taking_effect(nodes: Iterable[Node]) -> list[Node]:
    """The registrations that count, in the order in which they take effect."""
    return sorted(
        (node for node in nodes if node.effective), key=lambda node: (since(node), node.event_id, node.digest)
    )


def held_at(registered: Registered, at: int) -> tuple[Node, AgentRegistration] | None:
    held = [each for each in registered if since(each[0]) <= at]
    return held[-1] if held else None


def holds(registered: Registered, at: int) -> bool:
    """Whether the last registration of any service was in force."""
    return any(in_force(each, at) for each in last_words([each for each in registered if since(each[0]) <= at]))


def stated_at(registered: Registered, at: int, field: str) -> tuple[Node, str] | None:
    """The last registration that stated something, of those that were the last of their service."""
    words = last_words([each for each in registered if since(each[0]) <= at])
    said = ((node, getattr(fact, field)) for node, fact in reversed(words))
    return next((each for each in said if each[1] is not None), None)
