"""What a thing touched, as JSON: what HTTP and ``--json`` show."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ledger.event_view import show_event
from ledger.store.touched import Touched


def touched_json(what: str, value: str, page: Touched) -> dict[str, Any]:
    """The page, without what leads to the next: its events, and the agents and executions among what came of them."""
    nodes = [each.node for each in page.items]
    return {
        "what": what,
        "value": value,
        "starts": [show_event(node, page.persons, payload=False) for node in page.starts],
        "items": [
            {
                **show_event(each.node, page.persons, payload=False),
                "grade": each.grade,
                "candidates": each.candidates,
                "steps": each.steps,
            }
            for each in page.items
        ],
        "agents": sorted({node.header.agent_id for node in nodes if node.header.agent_id is not None}),
        "executions": sorted({str(UUID(bytes=node.header.execution_id)) for node in nodes if node.header.execution_id}),
        "truncated": list(page.truncated),
    }
