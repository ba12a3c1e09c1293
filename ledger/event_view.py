"""One materialized event as JSON: what HTTP and ``--json`` show. As in answers: UUID text, lower-case hex, RFC 3339."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from ledger.attribution.findable import matches
from ledger.attribution.json_form import rfc3339
from ledger.attribution.subgraph import KnownPerson, Node

TIMES: Final = frozenset(
    {
        "auth_time",
        "effective_at",
        "ended_at",
        "expires_at",
        "first_at",
        "issued_at",
        "issued_before",
        "last_at",
        "not_before",
        "oldest_waiting_at",
    }
)
"""The fields of payloads that are times; a test holds them against the schemas."""
_UUIDS: Final = frozenset({"peer_event_id"})


def show_event(node: Node, persons: Mapping[bytes, KnownPerson], *, payload: bool = True) -> dict[str, Any]:
    """The event. ``payload`` False leaves out what it says beyond its header, as in lists."""
    header = node.header
    shown: dict[str, Any] = {
        "event_id": str(UUID(bytes=node.event_id)),
        "digest": node.digest.hex(),
        "kind": node.kind,
        "occurred_at": rfc3339(node.at),
        "append_time": rfc3339(node.append_time),
        "sealed_at": rfc3339(node.sealed_at),
        "service": node.service,
        "key_id": node.key_id,
        "chain_id": node.chain_id.hex(),
        "seal_number": node.number,
        "sequence": node.sequence,
        "sightings": node.sightings,
        "imported": node.importer,
        "effective": node.effective,
        "findings": list(node.findings),
        "execution_id": None if header.execution_id is None else str(UUID(bytes=header.execution_id)),
        "agent_id": header.agent_id,
        "agent_instance": header.agent_instance,
        "principal": None if header.principal is None else show_person(header.principal, persons),
        "causes": [
            {
                "event_id": str(UUID(bytes=cause.event_id)),
                "digest": None if cause.digest is None else cause.digest.hex(),
                "relation": cause.relation,
            }
            for cause in header.causes
        ],
        "correlation": list(header.correlation),
        "contents": [each.hex() for each in header.contents],
    }
    if payload:
        shown["payload"] = None if node.payload is None else _plain("", node.payload)
    return shown


def matched(node: Node, value: str | None) -> list[str]:
    """The fields of a found event in which the value that was searched stands."""
    return [] if value is None else matches(node.header, node.payload, value)


def people_of(node: Node) -> set[bytes]:
    """The digests whose names ``show_event`` shows."""
    return set() if node.header.principal is None else {node.header.principal}


def show_person(digest: bytes, persons: Mapping[bytes, KnownPerson]) -> dict[str, Any]:
    """Whom a digest names, as far as their content stands."""
    known = persons.get(digest)
    person = known.person if known is not None else None
    return {
        "digest": digest.hex(),
        "state": known.state if known is not None else "unresolved",
        "issuer": person.issuer if person else None,
        "subject": person.subject if person else None,
        "name": person.name if person else None,
        "kind": person.kind if person else None,
    }


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {each: _plain(each, held) for each, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, each) for each in value]
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if name in _UUIDS else value.hex()
    if name in TIMES and isinstance(value, int):
        return rfc3339(value)
    return value
