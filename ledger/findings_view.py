"""The JSON form of what is wrong with the ledger, which HTTP and ``--json`` show."""

from __future__ import annotations

from typing import Any

from ledger.attribution.contradictions import BY_NAME
from ledger.attribution.json_form import rfc3339
from ledger.format import ids
from ledger.store.wrong import Wrong
from ledger.trust.reasons import REASONS


def means(name: str) -> str:
    """What a finding, refusal or contradiction of a name says."""
    known = REASONS.get(name) or BY_NAME.get(name)
    return known.meaning if known is not None else ""


def closes(name: str) -> str:
    """What would settle it."""
    reason, rule = REASONS.get(name), BY_NAME.get(name)
    return reason.remedy if reason is not None else rule.closes if rule is not None else ""


def finding_json(wrong: Wrong, now: int) -> dict[str, Any]:
    """Something wrong, with what it means and what to do; ``now`` is the time at which it holds."""
    reason = REASONS.get(wrong.name)
    return {
        "name": wrong.name,
        "origin": wrong.origin,
        "as_of": rfc3339(now),
        "refused": reason.refuses if reason else False,
        "meaning": means(wrong.name),
        "remedy": closes(wrong.name),
        "service": wrong.service,
        "key_id": wrong.key_id,
        "chain_id": wrong.chain_id.hex() if wrong.chain_id is not None else None,
        "number": wrong.number,
        "until": wrong.until,
        "digest": wrong.digest.hex() if wrong.digest is not None else None,
        "event_id": ids.text(wrong.event_id) if wrong.event_id is not None else None,
        "severity": wrong.severity,
        "evidence": [ids.text(each) for each in wrong.evidence],
        "detail": wrong.detail,
        "opened_at": None if wrong.opened_at is None else rfc3339(wrong.opened_at),
        "closed_at": None if wrong.closed_at is None else rfc3339(wrong.closed_at),
    }
