"""How a recorder fares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from ledger.errors import SpoolFailed
from ledger.recorder.process import Process

CLOSED: Final = "closed"
SILENT_SECONDS: Final = 5.0
"""An attempt at the log that lasts longer is a problem, though it has not failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A recorder as of now. Times are µs UTC.

    ``problems`` says what is wrong, a sentence each, as long as it is wrong. ``doing`` is what the sender is about: starting,
    adopting, idle, sending, retrying, closing, ended, failed; of a closed recorder ``closed``, and the rest is what it left.
    ``error`` is the last failure, None once the same attempt succeeded; ``failures`` counts all of them. ``waiting_events`` are
    in the spool and not acknowledged by the log; the oldest of them occurred at ``oldest_waiting_at``. ``dropped`` counts since
    the start. Of the spools that dead processes left, ``adopting_spools`` are being sent, ``adopted_spools`` were, and
    ``left_spools`` cannot be read, by this release or by any.
    """

    problems: tuple[str, ...]
    doing: str
    error: str | None
    failures: int
    waiting_events: int
    waiting_bytes: int
    oldest_waiting_at: int | None
    spool_bytes: int
    dropped: int
    adopting_spools: int
    adopted_spools: int
    left_spools: tuple[str, ...]
    malformed_headers: int
    open_chains: tuple[str, ...]
    spool_failure: str | None

    @property
    def well(self) -> bool:
        """Whether events are taken and reach the log, and nothing is lost or left."""
        return not self.problems


NEVER_BEGUN: Final = Health(
    problems=(), doing=CLOSED, error=None, failures=0, waiting_events=0, waiting_bytes=0, oldest_waiting_at=None, spool_bytes=0,
    dropped=0, adopting_spools=0, adopted_spools=0, left_spools=(), malformed_headers=0, open_chains=(), spool_failure=None,
)  # fmt: skip
"""How a recorder is that was closed in a process in which it recorded nothing."""


def health_of(process: Process, malformed_headers: int) -> Health:
    sender, spool = process.sender, process.spool
    state = sender.state
    events, size = sender.waiting
    return Health(
        problems=tuple(_problems(process)),
        doing=state.doing,
        error=state.error,
        failures=state.failures,
        waiting_events=events,
        waiting_bytes=size,
        oldest_waiting_at=spool.oldest_at if events else None,
        spool_bytes=spool.events.bytes + spool.sealed.bytes,
        dropped=process.losses.total,
        adopting_spools=state.adopting,
        adopted_spools=state.adopted,
        left_spools=tuple(str(directory) for directory, _ in state.left if directory.exists()),
        malformed_headers=malformed_headers,
        open_chains=tuple(each.chain.chain_id.hex() for each in list(process.chains.open.values())),
        spool_failure=str(spool.failure) if spool.failure is not None else None,
    )


def closed_health(process: Process, malformed_headers: int, failure: SpoolFailed | None) -> Health:
    """How a recorder ended, that of this process; ``failure`` is what its spool failed of before it was closed."""
    last = health_of(process, malformed_headers)
    problems = [] if failure is None else [str(failure)]
    if last.waiting_events:
        problems.append(
            f"{last.waiting_events} events wait in {process.spool.directory}: the log had not taken them when the recorder"
            " was closed; the next start of this service sends them"
        )
    return replace(
        last,
        doing=CLOSED,
        problems=tuple(problems),
        spool_bytes=last.spool_bytes if process.spool.directory.exists() else 0,
        spool_failure=None if failure is None else str(failure),
    )


def _problems(process: Process) -> Iterator[str]:
    state, spool = process.sender.state, process.spool
    if spool.failure is not None:
        yield str(spool.failure)
    elif spool.refusal is not None:
        yield f"the last event was not taken: {spool.refusal}"
    if state.doing == "retrying":
        yield f"what waits does not reach the log and is sent again ({state.error})"
    elif (since := state.since) is not None and (lasts := monotonic() - since) > SILENT_SECONDS:
        yield f"the log has not answered for {lasts:.0f} s"
    if untold := process.losses.untold:
        yield f"{untold} events were dropped, and the ledger does not know yet"
    for directory, what in state.left:
        if directory.exists():
            yield f"{directory} {what}"
