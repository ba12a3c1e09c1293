"""What a recorder has of its own in each process: the spool, its threads, what it knows of people, its encoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import get_args

from ledger.errors import ConfigurationError, InvalidEvent
from ledger.format.codec import Schemas
from ledger.format.limits import HEADER_STRING_BYTES
from ledger.ports import Clock, Log, Signer
from ledger.recorder.chains import Chains, Delivery
from ledger.recorder.contents import Contents
from ledger.recorder.encoding import Encoder
from ledger.recorder.losses import Losses
from ledger.recorder.outlet import Outlet
from ledger.recorder.randomness import Randomness
from ledger.recorder.sender import Sender
from ledger.recorder.spool import Spool
from ledger.recorder.syncer import Syncer
from ledger.recorder.troubles import Troubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a recorder was given. ``log`` may be a function that opens one, in each process that needs it."""

    log: Log | Callable[[], Log]
    signer: Signer
    spool: Path
    ledger: str
    tenant: str
    service: str
    schemas: Schemas
    clock: Clock
    mode: Delivery
    instance: str | None
    linger: float
    heartbeat: float
    append_timeout: float
    strict_timeout: float
    spool_bytes: int
    segment_bytes: int

    def __post_init__(self) -> None:
        """Raises ``InvalidEvent`` for a name that no seal can hold, ``ConfigurationError`` for a setting that means nothing."""
        for what in ("ledger", "tenant", "service"):
            check_name(what, getattr(self, what))
        if self.mode not in get_args(Delivery):
            raise ConfigurationError(f"there is no mode {self.mode!r}: give {', '.join(get_args(Delivery))}")
        for what in ("heartbeat", "append_timeout", "strict_timeout", "spool_bytes", "segment_bytes"):
            if not getattr(self, what) > 0:
                raise ConfigurationError(f"{what} is {getattr(self, what)}: give more than 0")
        if not self.linger >= 0:
            raise ConfigurationError(f"linger is {self.linger}: give 0 or more seconds")


class Process:
    """The recorder's part in this process, running from the moment it is made. Raises ``SpoolFailed``."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.losses = Losses()
        self.troubles = Troubles(plan.service)
        randomness = Randomness()
        self._randomness = randomness
        self.contents = Contents(plan.schemas, randomness)
        self._encoders: dict[str, Encoder] = {}
        self.spool = Spool(
            plan.spool,
            ledger=plan.ledger,
            service=plan.service,
            limit=plan.spool_bytes,
            segment_bytes=plan.segment_bytes,
        )
        self.chains = Chains(
            schemas=plan.schemas,
            signer=plan.signer,
            clock=plan.clock,
            ledger=plan.ledger,
            service=plan.service,
            delivery=plan.mode,
            instance=plan.instance,
            heartbeat=plan.heartbeat,
            randomness=Randomness(),
        )
        self.syncer = Syncer(self.spool, self.troubles)
        self.sender = Sender(
            spool=self.spool,
            root=plan.spool,
            owner=(plan.ledger, plan.service),
            outlet=Outlet(
                _opener(plan.log), closes=callable(plan.log), timeout=plan.append_timeout, troubles=self.troubles
            ),
            chains=self.chains,
            losses=self.losses,
            troubles=self.troubles,
            linger=plan.linger,
            schemas=plan.schemas,
        )
        self.syncer.thread.start()
        self.sender.thread.start()

    def encoder(self, tenant: str) -> Encoder:
        """The tenant's encoder; raises ``InvalidEvent`` for a name that no seal can hold."""
        found = self._encoders.get(tenant)
        if found is None:
            plan = self._plan
            check_name("tenant", tenant)
            found = self._encoders[tenant] = Encoder(plan.schemas, plan.ledger, tenant, plan.service, self._randomness)
        return found

    def stored(self) -> None:
        """Something is in the spool: who sleeps is woken, once for many events."""
        if self.sender.idle:
            self.sender.wake()
        if self.syncer.clean:
            self.syncer.touch()

    def end(self, timeout: float) -> bool:
        """Sends all, closes chains and spool; whether all of that was done within ``timeout`` seconds."""
        deadline = monotonic() + timeout
        self.sender.stop(deadline)
        self.sender.thread.join(max(0.0, deadline - monotonic()) + GRACE)
        self.syncer.stop()
        if self.sender.thread.is_alive():
            return False
        self.spool.close(delete=self.sender.finished)
        return self.sender.finished

    def forget(self) -> None:
        """Called in a forked child: its parent goes on with the files."""
        self.spool.close()


GRACE = 1.0
"""Seconds beyond its time that a sender may take to come back from the log; after that its thread is left to end by itself."""


def check_name(what: str, name: str) -> None:
    """Raises ``InvalidEvent`` for a tenant, service or ledger that no seal can hold."""
    if not name or "\0" in name or len(name.encode()) > HEADER_STRING_BYTES // 2:
        raise InvalidEvent(f"the {what} {name[:60]!r} is empty, too long or holds U+0000; give another name")


def _opener(log: Log | Callable[[], Log]) -> Callable[[], Log]:
    return log if callable(log) else lambda: log
