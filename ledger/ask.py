"""The question that the ledger exists for, and the two directions of lineage, over any ``Lineage``."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ledger.attribution.answer import Answer
from ledger.attribution.explain import explain
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.attribution.index import Index
from ledger.attribution.links import Links
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits, Subgraph
from ledger.attribution.walk import comes_from
from ledger.ports import Lineage

Direction = Literal["up", "down"]


def who_triggered(
    lineage: Lineage,
    tenant: str,
    event_id: bytes,
    *,
    as_of: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    house: HouseRules = NO_RULES,
) -> Answer:
    """Who triggered an event, over every account of the same action; raises ``NotFound``. ``as_of`` is an append time."""
    return explain(lineage.above(tenant, event_id, as_of=as_of, limits=limits), house)


def lineage_of(
    lineage: Lineage,
    tenant: str,
    event_id: bytes,
    direction: Direction,
    *,
    as_of: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Subgraph:
    """What an event comes from (up), or what came of it (down), and nothing beside it; raises ``NotFound``.
    ``attribution.graph`` shows it.
    """
    fetch = lineage.above if direction == "up" else lineage.below
    found = fetch(tenant, event_id, as_of=as_of, limits=limits)
    if found.nearby:
        nodes = [node for node in found.nodes if node.ref not in found.nearby]
        found = replace(found, nodes=nodes, nearby=frozenset())
    if direction == "down":
        return found
    reached = comes_from(Links(Index(found)), event_id)
    return replace(found, nodes=[node for node in found.nodes if node.ref in reached])
