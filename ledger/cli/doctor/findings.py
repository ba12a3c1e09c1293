"""What is wrong with what was recorded: findings, what was refused, what was set aside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.cli.doctor.check import Check, Store
from ledger.store import overview
from ledger.trust.reasons import REASONS


def stored(store: Store) -> Iterator[Check]:
    """What the store counts."""
    counts = overview.counts(store.connection)
    for name, count in counts.findings.items():
        yield _counted("findings", f"{count} open: {name}", name)
    for name, count in counts.rejected.items():
        yield _counted("rejected", f"{count} refused: {name}", name)
    if counts.quarantined:
        detail = f"{counts.quarantined} records killed a worker twice"
        yield Check("quarantine", "wrong", detail, "see its log; `answerable rebuild` tries them again")
    if not (counts.findings or counts.rejected or counts.quarantined):
        yield Check("findings", "ok", "none, and nothing refused")


def _counted(check: str, what: str, name: str) -> Check:
    reason = REASONS.get(name)
    return Check(check, "note", f"{what}, {reason.meaning}", reason.remedy) if reason else Check(check, "note", what)


CHECKS: Final = (stored,)
