"""A verdict as a vector states it."""

from __future__ import annotations

from typing import Any

from ledger.trust.verdict import Rejected, VerifiedBatch


def described(judged: VerifiedBatch | Rejected) -> dict[str, Any]:
    if isinstance(judged, Rejected):
        return {"verdict": judged.reason}
    events = [(each.sequence, each.digest.hex(), "admitted", sorted(each.findings)) for each in judged.events]
    events += [(each.sequence, each.digest.hex(), each.reason, []) for each in judged.refused]
    return {
        "verdict": "admitted",
        "seal_digest": judged.seal_digest.hex(),
        "role": judged.role,
        "findings": list(judged.findings),
        "events": [
            dict(zip(("sequence", "digest", "verdict", "findings"), each, strict=True)) for each in sorted(events)
        ],
    }
