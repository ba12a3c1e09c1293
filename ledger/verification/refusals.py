"""Records that do not verify, kept small until it is known where they belong and which of their events is at fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from ledger.errors import VerificationError
from ledger.format.batch import Chain, Seal, split_batch
from ledger.format.codec import Schemas
from ledger.format.event import decode_header
from ledger.format.hashing import event_digest, event_prefix, payload_digest
from ledger.ports import Record
from ledger.trust.chain import ChainState
from ledger.trust.verdict import Erased, Rejected
from ledger.verification.chains import first_missing
from ledger.verification.report import LISTED, Fault, NamedEvent

Known = Callable[[Seal], Mapping[int, NamedEvent]]
"""The events that are known of the seal of a number in a chain, by index in its batch: from a store, or nothing."""
Cited = Mapping[bytes, AbstractSet[bytes]]
"""Digests by which verified events cite others, by the ids of those."""

_KEY: Final = 64
"""Of a record's key that is no chain's id; its writer chose the length."""


class Part(NamedTuple):
    """An event of a record that does not verify: its id, where legible, and its digest. ``stray``: its payload is at fault."""

    event_id: bytes | None
    digest: bytes
    stray: bool


class Draft(NamedTuple):
    """One refused record. ``parts`` where the events can be told from each other."""

    partition: int
    offset: int
    append_time: int
    key: bytes
    reason: str
    detail: str
    seal: Seal | None
    parts: tuple[Part, ...]


class Refusals:
    """What was refused: all are counted, of each reason the first ``LISTED`` kept."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self.counts: Counter[str] = Counter()
        self._drafts: list[Draft] = []

    def add(self, record: Record, verdict: Rejected, erased: Erased) -> None:
        self.counts[verdict.reason] += 1
        if self.counts[verdict.reason] > LISTED:
            return
        telling = verdict.seal is not None and verdict.reason in ("bad_root", "bad_payload")
        parts = tuple(self._parts(record, verdict.seal, erased)) if telling and verdict.seal else ()
        where = (record.partition, record.offset, record.append_time, (record.key or b"")[:_KEY])
        self._drafts.append(Draft(*where, verdict.reason, verdict.detail, verdict.seal, parts))

    def wanted(self) -> set[bytes]:
        """The ids of events whose digests, if verified events cite them, tell which of a batch was changed."""
        changed = (draft for draft in self._drafts if draft.reason == "bad_root")
        return {part.event_id for draft in changed for part in draft.parts if part.event_id is not None}

    def faults(self, states: Mapping[bytes, ChainState], known: Known | None, cited: Cited) -> Iterator[Fault]:
        """Each as a fault. ``states``: of the chains, by id."""
        for draft in self._drafts:
            seal = draft.seal
            fault = Fault(
                draft.reason,
                draft.detail,
                chain_id=draft.key or None,
                partition=draft.partition,
                offset=draft.offset,
                append_time=draft.append_time,
            )
            if seal is not None:
                yield fault._replace(
                    chain=Chain(seal.ledger, seal.tenant, seal.service, seal.key_id, seal.chain_id),
                    chain_id=seal.chain_id,
                    seal=seal.seal_number,
                    first=seal.first_sequence,
                    last=seal.first_sequence + seal.event_count - 1,
                    events=tuple(_at_fault(draft, seal, known, cited)),
                )
            elif draft.key in states:
                number, first, last = first_missing(states[draft.key])
                yield fault._replace(seal=number, first=first, last=last, inferred=True)
            else:
                yield fault

    def _parts(self, record: Record, seal: Seal, erased: Erased) -> Iterator[Part]:
        prefix = event_prefix(seal.ledger, seal.tenant, seal.service)
        for event in split_batch(self._schemas, record.value or b"").events:
            digest = event_digest(prefix, event.header)
            try:
                header = decode_header(self._schemas, event.header)
            except VerificationError:
                yield Part(None, digest, False)
                continue
            if event.payload is None:
                stray = not erased(seal.tenant, [digest])
            else:
                stray = payload_digest(event.salt, event.payload) != header.payload_digest
            yield Part(header.event_id, digest, stray)


def _at_fault(draft: Draft, seal: Seal, known: Known | None, cited: Cited) -> Iterator[NamedEvent]:
    """Events with another digest than they are known by, and then the known one; of a good header, those with another payload."""
    stored = known(seal) if known is not None and draft.reason == "bad_root" else {}
    for index, part in enumerate(draft.parts):
        others = cited.get(part.event_id, frozenset()) if part.event_id is not None else frozenset()
        if index in stored and stored[index].digest != part.digest:
            yield stored[index]
        elif others and part.digest not in others:
            for digest in sorted(others):
                yield NamedEvent(part.event_id, digest)
        elif part.stray:
            yield NamedEvent(part.event_id, part.digest)
