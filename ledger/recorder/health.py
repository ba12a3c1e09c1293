"""How a recorder fares."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.recorder.process import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A recorder as of now. Times are µs UTC.

    ``doing`` is what the sender is about: starting, adopting, idle, sending, retrying, closing, ended, failed; ``error`` the last
    failure, None once the same attempt succeeded. ``waiting_events`` are in the spool and not acknowledged by the log.
    """

    doing: str
    error: str | None
    failures: int
    waiting_events: int
    waiting_bytes: int
    oldest_waiting_at: int | None
    spool_bytes: int
    dropped: int
    adopted_spools: int
    malformed_headers: int
    open_chains: tuple[str, ...]
    spool_failure: str | None

    @property
    def well(self) -> bool:
        """Whether events reach the log and none was lost."""
        return self.doing not in ("retrying", "failed") and self.spool_failure is None and not self.dropped


def health_of(process: Process, malformed_headers: int) -> Health:
    sender, spool = process.sender, process.spool
    state = sender.state
    events, size = sender.waiting
    return Health(
        doing=state.doing,
        error=state.error,
        failures=state.failures,
        waiting_events=events,
        waiting_bytes=size,
        oldest_waiting_at=state.oldest_at if events else None,
        spool_bytes=spool.events.bytes + spool.sealed.bytes,
        dropped=process.losses.total,
        adopted_spools=state.adopted,
        malformed_headers=malformed_headers,
        open_chains=tuple(each.chain.chain_id.hex() for each in list(process.chains.open.values())),
        spool_failure=str(spool.failure) if spool.failure is not None else None,
    )
