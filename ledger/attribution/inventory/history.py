"""What registrations and configurations of an agent said anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ledger.attribution.answer import Party
from ledger.attribution.authority import party
from ledger.attribution.index import Index
from ledger.attribution.inventory.agent import Change
from ledger.attribution.owning import since
from ledger.attribution.subgraph import Node
from ledger.format.kinds import AgentRegistration, Configuration

HISTORY: Final = 100


def history(index: Index, entries: Iterable[tuple[Node, AgentRegistration | Configuration]]) -> list[Change]:
    """What each said that the one before of its kind by the same service did not."""
    before: dict[tuple[str, str], Mapping[str, Any]] = {}
    changes = []
    for node, fact in sorted(entries, key=lambda each: (since(each[0]), each[0].event_id, each[0].digest)):
        says = said_by(node)
        whose = node.kind, node.service
        held = before.get(whose, {})
        anew = {name: value for name, value in says.items() if name not in held or held[name] != value}
        if whose not in before:
            anew = {name: value for name, value in anew.items() if value not in (None, [])}
        before[whose] = says
        changes.append(
            Change(
                since(node), node.append_time, node.event_id, node.kind, node.service, anew, _people(index, fact, anew)
            )
        )
    return changes


def _people(index: Index, fact: AgentRegistration | Configuration, anew: Mapping[str, Any]) -> Mapping[str, Party]:
    if not isinstance(fact, AgentRegistration):
        return {}
    found = {name: party(index, digest) for name, digest in (("by", fact.by), ("owner", fact.owner)) if name in anew}
    return {name: who for name, who in found.items() if who is not None}


def said_by(node: Node) -> Mapping[str, Any]:
    """What a registration or configuration says, its digests in hex. People and texts stay digests."""
    return {name: _plain(value) for name, value in (node.payload or {}).items() if name != "agent_id"}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {name: _plain(held) for name, held in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
