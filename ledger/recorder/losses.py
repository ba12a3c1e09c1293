"""What a best_effort recorder dropped, until a ``chain_loss`` says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from ledger.format.kinds import ChainLoss, KindCount

Reason = Literal["spool_full", "spool_failed", "unknown"]


@dataclass(slots=True)
class _Lost:
    first_at: int
    last_at: int
    reason: Reason
    kinds: Counter[str] = field(default_factory=Counter)


class Losses:
    """Counts by tenant. Any thread adds, the sender takes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lost: dict[str, _Lost] = {}
        self.total = 0

    def add(self, tenant: str, kind: str, occurred_at: int, reason: Reason) -> None:
        with self._lock:
            lost = self._lost.setdefault(tenant, _Lost(occurred_at, occurred_at, reason))
            lost.first_at = min(lost.first_at, occurred_at)
            lost.last_at = max(lost.last_at, occurred_at)
            lost.kinds[kind] += 1
            self.total += 1

    @property
    def untold(self) -> int:
        """How many are not in a statement yet."""
        with self._lock:
            return sum(lost.kinds.total() for lost in self._lost.values())

    def take(self) -> list[tuple[str, ChainLoss]]:
        """What was lost since the last call, a statement a tenant."""
        if not self._lost:
            return []
        with self._lock:
            taken, self._lost = self._lost, {}
        return [
            (
                tenant,
                ChainLoss(
                    count=lost.kinds.total(),
                    first_at=lost.first_at,
                    last_at=lost.last_at,
                    reason=lost.reason,
                    kinds=tuple(KindCount(kind=kind, count=count) for kind, count in sorted(lost.kinds.items())),
                ),
            )
            for tenant, lost in taken.items()
        ]
