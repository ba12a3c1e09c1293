"""A replay as JSON: what HTTP and ``--json`` show."""

from __future__ import annotations

from typing import Any

from ledger.attribution.json_form import to_json
from ledger.event_view import show_event
from ledger.format import ids
from ledger.store.replaying import EARLIER, EFFECTS, Replayed


def replay_json(page: Replayed) -> dict[str, Any]:
    """The page, without where the next one begins."""
    replay = page.replay
    return {
        "execution_id": ids.text(replay.execution_id),
        "before": to_json(replay.before),
        "items": [
            {
                "event": show_event(step.node, page.persons),
                "state": to_json(step.state),
                "changes": to_json(step.changes),
                "crossings": to_json(step.crossings),
                "silences": to_json(step.silences),
            }
            for step in replay.steps
        ],
        "truncated": list(replay.truncated),
        "limits": {**replay.limits, "earlier": EARLIER, "effects": EFFECTS, "silence": replay.silence},
    }
