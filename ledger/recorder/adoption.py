"""What dead processes left in their spools: what to send again, what to seal, and which chains to continue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.format.batch import Seal, decode_seal, split_batch
from ledger.format.codec import Schemas
from ledger.format.event import decode_header
from ledger.format.hashing import seal_digest
from ledger.recorder.frames import SpooledContent, SpooledEvent
from ledger.recorder.spool import Head, Orphan


class LeftBatch(NamedTuple):
    """A sealed batch that the log has not acknowledged."""

    number: int
    chain_id: bytes
    partition: int
    value: bytes


@dataclass(slots=True)
class LeftSpool:
    """One orphan, looked over. ``sealed_until``: its last sealed frame, by tenant."""

    orphan: Orphan
    heads: dict[bytes, Head] = field(default_factory=dict)
    closed: set[bytes] = field(default_factory=set)
    continued: set[bytes] = field(default_factory=set)
    sealed_until: dict[str, int] = field(default_factory=dict)
    chain_of: dict[int, bytes] = field(default_factory=dict)

    def contents(self) -> Iterator[SpooledContent]:
        return (each for each in self.orphan.entries() if isinstance(each, SpooledContent))

    def batches(self) -> Iterator[LeftBatch]:
        """What was sealed and perhaps sent, in order."""
        for batch in self.orphan.batches():
            if batch.number > self.orphan.acked_sealed:
                yield LeftBatch(batch.number, self.chain_of[batch.number], batch.partition, batch.value)

    def unsealed(self) -> Iterator[SpooledEvent]:
        for entry in self.orphan.entries():
            if isinstance(entry, SpooledEvent) and entry.number > self.sealed_until.get(entry.tenant, 0):
                yield entry


class Unreadable(NamedTuple):
    """An orphan that this release cannot send, and why."""

    orphan: Orphan
    reason: str


@dataclass(slots=True)
class Left:
    """The orphans that can be sent, the heads to continue, by tenant, and the orphans that cannot."""

    spools: list[LeftSpool]
    heads: dict[str, list[Head]]
    unreadable: list[Unreadable]


def look_over(schemas: Schemas, orphans: Sequence[Orphan]) -> Left:
    """Reads all that is left, changing nothing. A chain that closed, or that another one continues already, is not continued."""
    spools: list[LeftSpool] = []
    unreadable: list[Unreadable] = []
    for orphan in orphans:
        try:
            spools.append(_look_at(schemas, orphan))
        except Exception as error:  # noqa: BLE001 - whatever a later release wrote, or a disk lost, must not end the sender
            unreadable.append(Unreadable(orphan, f"{type(error).__name__}: {error}"))
    ended = set[bytes]().union(*(each.closed | each.continued for each in spools))
    heads: dict[str, list[Head]] = {}
    for each in spools:
        if not each.orphan.continued:
            for chain_id, head in each.heads.items():
                if chain_id not in ended:
                    heads.setdefault(head.tenant, []).append(head)
    return Left(spools, heads, unreadable)


def _look_at(schemas: Schemas, orphan: Orphan) -> LeftSpool:
    left = LeftSpool(orphan, {head.chain_id: head for head in orphan.heads()})
    for batch in orphan.batches():
        parts = split_batch(schemas, batch.value)
        seal = decode_seal(schemas, parts.seal)
        left.heads[seal.chain_id] = _head(seal, seal_digest(parts.seal))
        left.chain_of[batch.number] = seal.chain_id
        if seal.next_within == 0:
            left.closed.add(seal.chain_id)
        if seal.seal_number == 0:
            payload = parts.events[0].payload
            if payload is not None and decode_header(schemas, parts.events[0].header).kind == "chain_open":
                opened = schemas.decode(payload, "chain_open")
                left.continued.update(each["chain_id"] for each in opened["continues"])
        if batch.sealed_until:
            left.sealed_until[seal.tenant] = batch.sealed_until
    for event in left.unsealed():
        schemas.expect(event.header, "EventHeader")
        schemas.of(event.payload)
    return left


def _head(seal: Seal, digest: bytes) -> Head:
    return Head(
        seal.tenant,
        seal.chain_id,
        seal.key_id,
        seal.seal_number,
        digest,
        seal.first_sequence + seal.event_count,
    )
