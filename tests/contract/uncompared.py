"""Columns of the store that no comparison with the log sees, and why a change of one cannot make an answer lie."""

from __future__ import annotations

from typing import Final

_SURROGATE: Final = "a number that orders a list and continues it; what the row says stands beside it"
_WORKER: Final = "between workers; no answer reads it"
_SENTINEL: Final = (
    "the sentinel's, which `answerable sentinel --check` compares; who triggered an event is answered without it"
)
_BEFORE: Final = "for which seals an earlier release made no such rows; a missing row is a difference whatever it says"

WHOLE: Final = {
    "migrations": "a store with others than this release's answers nothing",
    "schema_set": "compared before the rows: see the test of standings",
    "rights_since": _BEFORE,
    "values_since": _BEFORE,
    "sentinel": _SENTINEL,
    "sentinel_positions": _SENTINEL,
    "sentinel_stale": _SENTINEL,
    "sentinel_looks": _SENTINEL,
    "sentinel_erasures": _SENTINEL,
    "judgements": _SENTINEL,
    "judgement_waits": _SENTINEL,
    "contradictions": _SENTINEL,
}
COLUMNS: Final = {
    "chains.version": _WORKER,
    "positions.owner_pid": _WORKER,
    "positions.owner_started": _WORKER,
    "quarantine.attempts": "counts towards setting aside, which is compared; no answer reads it",
    "quarantine.attempted_at": "counts towards setting aside, which is compared; no answer reads it",
    "quarantine.detail": "why a record was set aside, for a person; that it was is compared",
    "findings.id": _SURROGATE,
    "rejected.id": _SURROGATE,
    "erasures.swept": "false, the worker sweeps again, which changes nothing; true, bytes that stand are a difference",
}
