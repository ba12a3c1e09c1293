"""Records of the inventory as JSON: ids as UUID text, digests in hex, times RFC 3339."""

from __future__ import annotations

from typing import Any

from ledger.attribution.answer import Party
from ledger.attribution.inventory.agent import REMARKS, Agent
from ledger.attribution.json_form import rfc3339
from ledger.format import ids


def agent_json(agent: Agent) -> dict[str, Any]:
    """The record as JSON: ids as UUID text, digests in hex, times RFC 3339."""
    return {
        "agent_id": agent.agent_id,
        "registered": agent.registered,
        "seen_as": list(agent.seen_as),
        "last_seen": _time(agent.last_seen),
        "name": agent.name,
        "state": agent.state,
        "owner": None if agent.owner is None else _party(agent.owner),
        "owners": [_party(each) for each in agent.owners],
        "purpose": agent.purpose,
        "provider": agent.provider,
        "model": agent.model,
        "version": agent.version,
        "scopes": list(agent.scopes),
        "risk_class": agent.risk_class,
        "client_ids": list(agent.client_ids),
        "parent_agent": agent.parent_agent,
        "expires_at": _time(agent.expires_at),
        "configuration": agent.configuration,
        "credentials": list(agent.credentials),
        "services": list(agent.services),
        "remarks": [
            {
                "name": each.name,
                "says": REMARKS[each.name],
                "about": list(each.about),
                "evidence": [ids.text(event_id) for event_id in each.evidence],
            }
            for each in agent.remarks
        ],
        "truncated": list(agent.truncated),
    }


def history_json(agent: Agent) -> list[dict[str, Any]]:
    """What registrations and configurations said anew, the earliest first."""
    return [
        {
            "from": rfc3339(each.at),
            "append_time": rfc3339(each.append_time),
            "event_id": ids.text(each.event_id),
            "kind": each.kind,
            "service": each.service,
            "says": each.says,
        }
        for each in agent.history
    ]


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _party(who: Party) -> dict[str, Any]:
    return {
        "digest": who.digest.hex(),
        "state": who.state,
        "issuer": who.issuer,
        "subject": who.subject,
        "name": who.name,
        "kind": who.kind,
    }
