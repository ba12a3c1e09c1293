"""The chains that this process signs, one a tenant: opening, sealing, beating, closing. The sender's thread alone uses them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes
from time import monotonic
from typing import Final, Literal

from ledger.format.batch import Chain, ChainHead, Sealed, SealedEvent, seal_events
from ledger.format.codec import Schemas
from ledger.format.heads import KnownHead
from ledger.format.kinds import ChainClose, ChainHeartbeat, ChainLoss, ChainOpen, ContinuedChain, Kind
from ledger.format.limits import BATCH_BYTES, EVENTS_PER_SEAL, SEAL_BYTES
from ledger.ports import Clock, Signer
from ledger.recorder.encoding import About, Encoder
from ledger.recorder.frames import SpooledEvent
from ledger.recorder.randomness import Randomness
from ledger.recorder.spool import Head

Delivery = Literal["spool", "strict", "best_effort"]

PER_EVENT: Final = 32
"""Bytes that a batch's frame adds to an event's header and payload, rounded up."""
ROOM: Final = BATCH_BYTES - 2 * SEAL_BYTES
OWN_EVENTS: Final = 96 * 1024
"""Room for the events that a chain adds to a batch by itself: an opening that continues many takes the most."""


@dataclass(slots=True, kw_only=True)
class OpenChain:
    """A chain of this process. ``opening`` is its ``chain_open`` until that is sealed."""

    tenant: str
    chain: Chain
    encoder: Encoder
    partition: int
    opening: SealedEvent | None
    head: ChainHead = field(default_factory=ChainHead)
    sealed_at: int = 0
    due: float = 0.0
    lost: int = 0

    @property
    def known(self) -> KnownHead:
        """Its head, for whoever keeps it apart from the log; there is one once it has sealed."""
        head = self.head
        return KnownHead(self.chain, head.seal_number - 1, head.previous_seal, head.first_sequence, self.sealed_at)

    @property
    def noted(self) -> Head:
        """Its head, as a successor must name it."""
        head = self.head
        return Head(
            self.tenant,
            self.chain.chain_id,
            self.chain.key_id,
            head.seal_number - 1,
            head.previous_seal,
            head.first_sequence,
        )


class Chains:
    """The open chains. ``continued``: heads that dead processes left, by tenant; named when its chain opens."""

    def __init__(
        self,
        *,
        schemas: Schemas,
        signer: Signer,
        clock: Clock,
        ledger: str,
        service: str,
        delivery: Delivery,
        instance: str | None,
        heartbeat: float,
        randomness: Randomness,
    ) -> None:
        self._schemas = schemas
        self._signer = signer
        self._clock = clock
        self._ledger = ledger
        self._service = service
        self._delivery: Delivery = delivery
        self._instance = instance
        self._heartbeat = heartbeat
        self._next_within = max(2, round(3 * heartbeat))
        self._randomness = randomness
        self.open: dict[str, OpenChain] = {}
        self.continued: dict[str, list[Head]] = {}

    def of(self, tenant: str, partition: Callable[[bytes], int]) -> OpenChain:
        """The tenant's chain, opened now if it has none. ``partition`` chooses one from the chain's id, once."""
        found = self.open.get(tenant)
        if found is None:
            found = self.open[tenant] = self._begin(tenant, partition)
        return found

    def seal(
        self, chain: OpenChain, events: Sequence[SealedEvent], *, closes: bool = False
    ) -> tuple[Sealed, Callable[[], None]]:
        """Seals ``events`` as the chain's next batch. The chain goes on only when the second value is called: after the bytes
        are in the spool. Until then a failed attempt may be made again.
        """
        if chain.opening is not None:
            events = [chain.opening, *events]
        sealed_at = max(self._clock.now(), chain.sealed_at)
        sealed = seal_events(
            self._schemas,
            chain.chain,
            chain.head,
            events,
            sealed_at=sealed_at,
            next_within=0 if closes else self._next_within,
            sign=self._signer.sign,
        )

        def advance() -> None:
            chain.opening = None
            chain.head = sealed.head
            chain.sealed_at = sealed_at
            chain.due = monotonic() + self._heartbeat
            if closes:
                del self.open[chain.tenant]

        return sealed, advance

    def heartbeat(self, chain: OpenChain, waiting: int, size: int, oldest: int | None) -> SealedEvent:
        beat = ChainHeartbeat(waiting_events=waiting, waiting_bytes=size, oldest_waiting_at=oldest)
        return self._own(chain.encoder, beat)

    def loss(self, chain: OpenChain, loss: ChainLoss) -> SealedEvent:
        chain.lost += loss.count
        return self._own(chain.encoder, loss)

    def close(self, chain: OpenChain, reason: Literal["shutdown", "idle", "key_change"]) -> SealedEvent:
        count = chain.head.first_sequence + (chain.opening is not None) + 1
        return self._own(chain.encoder, ChainClose(reason=reason, event_count=count, lost_count=chain.lost))

    def next_due(self) -> float | None:
        """When the next heartbeat is due, by ``time.monotonic``."""
        return min((chain.due for chain in self.open.values()), default=None)

    def noted(self) -> list[Head]:
        return [chain.noted for chain in self.open.values() if chain.opening is None]

    def _begin(self, tenant: str, partition: Callable[[bytes], int]) -> OpenChain:
        chain_id = token_bytes(16)
        encoder = Encoder(self._schemas, self._ledger, tenant, self._service, self._randomness)
        opening = ChainOpen(
            continues=tuple(map(_continued, self.continued.pop(tenant, ()))),
            delivery=self._delivery,
            software="answerable",
            software_version=SOFTWARE_VERSION,
            runtime=f"{platform.python_implementation()} {platform.python_version()}",
            os=f"{platform.system()} {platform.machine()}",
            instance=self._instance,
        )
        chain = Chain(self._ledger, tenant, self._service, self._signer.key_id, chain_id)
        return OpenChain(
            tenant=tenant,
            chain=chain,
            encoder=encoder,
            partition=partition(chain_id),
            opening=self._own(encoder, opening),
            due=monotonic() + self._heartbeat,
        )

    def _own(self, encoder: Encoder, payload: Kind) -> SealedEvent:
        now = self._clock.now()
        encoded = encoder.encode(payload, About(now), now)
        return SealedEvent(encoded.header, encoded.salt, encoded.payload)


SOFTWARE_VERSION: Final = "0.1.0"


def cut(events: Iterable[SpooledEvent]) -> list[list[SpooledEvent]]:
    """``events`` in batches that keep to the limits of count and bytes, with room for the chain's own events."""
    batches: list[list[SpooledEvent]] = []
    room = 0
    for event in events:
        size = len(event.header) + len(event.payload) + PER_EVENT
        if not batches or size > room or len(batches[-1]) >= EVENTS_PER_SEAL - 2:
            batches.append([])
            room = ROOM - OWN_EVENTS
        batches[-1].append(event)
        room -= size
    return batches


def _continued(head: Head) -> ContinuedChain:
    return ContinuedChain(
        chain_id=head.chain_id,
        key_id=head.key_id,
        next_sequence=head.next_sequence,
        last_seal_number=head.seal_number,
        last_seal_digest=head.seal_digest,
    )
