"""Verification of every chain from the log alone: no store is believed, none is needed.

One pass keeps a few hundred bytes a chain. What depends on later records (a second seal of a number, copies out of time, a
payload erased by an event that follows, the event at fault in a changed batch) is settled in a second pass over the records
that it concerns, which an honest log does not need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import Final, NamedTuple

from ledger.errors import VerificationError
from ledger.format.batch import Chain, Seal, SealedBatch, split_batch
from ledger.format.codec import Schemas
from ledger.format.event import decode_header
from ledger.format.hashing import event_digest, event_prefix
from ledger.ports import EVENTS, Log, Record
from ledger.trust.chain import ChainFinding, ChainState, Mark, advance, mark_of, needs, replay
from ledger.trust.verdict import Judge, Rejected, VerifiedBatch

Known = Callable[[Seal], Mapping[int, bytes]]
"""Event digests that are known of the seal of a number in a chain, by index in its batch: from a store, or nothing."""
Progress = Callable[[int, int], None]
"""Called with records and events done."""

_EVERY: Final = 200


class Refusal(NamedTuple):
    """A record that does not verify, with what it claims; where it claims nothing legible, what its neighbours leave for it.

    ``events``: the event digests at fault, where a cause or the store knows them.
    """

    partition: int
    offset: int
    append_time: int
    reason: str
    detail: str
    chain_id: bytes | None
    seal_number: int | None
    first_sequence: int | None
    last_sequence: int | None
    inferred: bool
    events: tuple[bytes, ...]


class ChainResult(NamedTuple):
    """One chain. ``intervals``: (first, last) numbers of consecutive verified seals; ``counted``: findings about its events."""

    chain: Chain
    seals: int
    events: int
    intervals: tuple[tuple[int, int], ...]
    closed: bool
    findings: tuple[ChainFinding, ...]
    counted: Mapping[str, int]
    refused_events: int
    verified_up_to: int


class _Held:
    """A chain while it is read."""

    __slots__ = ("contested", "counted", "events", "findings", "refused", "seals", "state", "until")

    def __init__(self) -> None:
        self.state = ChainState()
        self.findings: frozenset[ChainFinding] = frozenset()
        self.counted: Counter[str] = Counter()
        self.seals = self.events = self.refused = self.until = 0
        self.contested = False


class Verification:
    """One verification of a log. Without ``canonical`` in the judge, decoding payloads is best left out of it (``payloads``)."""

    def __init__(
        self,
        log: Log,
        judge: Judge,
        schemas: Schemas,
        *,
        known: Known | None = None,
        progress: Progress = lambda *_: None,
    ) -> None:
        self._log, self._judge, self._schemas = log, judge, schemas
        self._known, self._progress = known, progress
        self._chains: dict[Chain, _Held] = {}
        self._by_id: dict[bytes, Chain] = {}
        self._erased: dict[str, set[bytes]] = {}
        self._unsettled: set[bytes | None] = set()
        self._bounds = dict(log.bounds(EVENTS))
        self.records = self.events = 0

    def run(self) -> Iterator[Refusal | ChainResult]:
        """The refusals first, then every chain. Lazy; one use."""
        for record in self._read():
            self._first(record)
            if self.records % _EVERY == 0:
                self._progress(self.records, self.events)
        self._progress(self.records, self.events)
        contested = {chain.chain_id for chain, held in self._chains.items() if held.contested}
        if self._unsettled or contested:
            yield from self._second(self._unsettled | contested)
        for chain, held in self._chains.items():
            yield _result(chain, held)

    def _read(self) -> Iterator[Record]:
        for partition, bounds in sorted(self._bounds.items()):
            yield from self._log.read(EVENTS, partition, bounds.first, bounds.end)

    def _first(self, record: Record) -> None:
        self.records += 1
        verdict = self._judge.judge(record.key, record.value, record.append_time, self._names)
        if isinstance(verdict, Rejected):
            self._unsettled.add(record.key)
            return
        held = self._chains.setdefault(verdict.chain, _Held())
        self._by_id.setdefault(verdict.chain.chain_id, verdict.chain)
        self._note_erasures(verdict)
        if held.contested or needs(held.state, verdict.seal.seal_number):
            held.contested = True
            return
        step = advance(held.state, mark_of(verdict))
        held.state, held.findings = step.state, (held.findings | step.opened) - step.closed
        self._count(held, verdict)

    def _count(self, held: _Held, batch: VerifiedBatch) -> None:
        held.seals += 1
        held.events += len(batch.events)
        held.refused += len(batch.refused)
        held.until = max(held.until, batch.append_time)
        held.counted.update(batch.findings)
        for event in batch.events:
            if event.findings:
                held.counted.update(event.findings)
        self.events += len(batch.events)

    def _note_erasures(self, batch: VerifiedBatch) -> None:
        for event in batch.events:
            if event.header.kind == "content_erasure" and event.effective and event.payload is not None:
                self._erased.setdefault(batch.seal.tenant, set()).update(event.payload["events"])

    def _names(self, tenant: str, digests: Sequence[bytes]) -> AbstractSet[bytes]:
        return self._erased.get(tenant, set()).intersection(digests)

    def _second(self, keys: set[bytes | None]) -> Iterator[Refusal]:
        """Reads the chains in question again, whole: each is settled from the set of its seals."""
        marks: dict[Chain, set[Mark]] = {}
        earliest: dict[bytes, int] = {}
        refused: list[tuple[Record, Rejected]] = []
        for chain in [chain for chain in self._chains if chain.chain_id in keys]:
            self.events -= self._chains[chain].events
            self._chains[chain] = _Held()
        for record in self._read():
            if record.key not in keys:
                continue
            verdict = self._judge.judge(record.key, record.value, record.append_time, self._names)
            if isinstance(verdict, Rejected):
                refused.append((record, verdict))
                continue
            seen = marks.setdefault(verdict.chain, set())
            earliest[verdict.seal_digest] = min(
                record.append_time, earliest.get(verdict.seal_digest, record.append_time)
            )
            if mark_of(verdict) not in seen:
                seen.add(mark_of(verdict))
                self._count(self._chains.setdefault(verdict.chain, _Held()), verdict)
        for chain, found in marks.items():
            held = self._chains[chain]
            held.state, held.findings = replay(found)
            self._by_id.setdefault(chain.chain_id, chain)
        cited = self._cited(refused)
        for record, verdict in refused:
            if (
                verdict.seal_digest is None
                or earliest.get(verdict.seal_digest, record.append_time + 1) > record.append_time
            ):
                yield self._refusal(record, verdict, marks, cited)

    def _refusal(
        self,
        record: Record,
        verdict: Rejected,
        marks: Mapping[Chain, AbstractSet[Mark]],
        cited: Mapping[bytes, AbstractSet[bytes]],
    ) -> Refusal:
        where = (record.partition, record.offset, record.append_time, verdict.reason, verdict.detail)
        seal = verdict.seal
        if seal is not None:
            last = seal.first_sequence + seal.event_count - 1
            events = self._at_fault(record, verdict, seal, cited)
            return Refusal(*where, seal.chain_id, seal.seal_number, seal.first_sequence, last, False, events)
        chain = self._by_id.get(record.key or b"")
        number, first, stop = _left_for(marks.get(chain, frozenset())) if chain is not None else (None, None, None)
        return Refusal(*where, record.key, number, first, stop, True, ())

    def _at_fault(
        self, record: Record, verdict: Rejected, seal: Seal, cited: Mapping[bytes, AbstractSet[bytes]]
    ) -> tuple[bytes, ...]:
        """The events of a changed batch whose digests are known to be others. A known digest is named, not the changed one."""
        if verdict.reason != "bad_root":
            return ()
        known = self._known(seal) if self._known is not None else {}
        found: list[bytes] = []
        for index, (event_id, digest) in enumerate(self._digests(record, seal)):
            if index in known and known[index] != digest:
                found.append(known[index])
            elif event_id is not None and event_id in cited and digest not in cited[event_id]:
                found += sorted(cited[event_id])
        return tuple(found)

    def _digests(self, record: Record, seal: Seal) -> list[tuple[bytes | None, bytes]]:
        """Id, where legible, and digest of each event in a record that does not verify."""
        prefix = event_prefix(seal.ledger, seal.tenant, seal.service)
        found: list[tuple[bytes | None, bytes]] = []
        for event in _split(self._schemas, record).events:
            try:
                event_id: bytes | None = decode_header(self._schemas, event.header).event_id
            except VerificationError:
                event_id = None
            found.append((event_id, event_digest(prefix, event.header)))
        return found

    def _cited(self, refused: Sequence[tuple[Record, Rejected]]) -> dict[bytes, set[bytes]]:
        """Digests by which verified events cite the events of changed batches, by their ids."""
        wanted = {
            event_id
            for record, verdict in refused
            if verdict.reason == "bad_root" and verdict.seal is not None
            for event_id, _ in self._digests(record, verdict.seal)
            if event_id is not None
        }
        cited: dict[bytes, set[bytes]] = {}
        if not wanted:
            return cited
        for record in self._read():
            verdict = self._judge.judge(record.key, record.value, record.append_time, self._names)
            if isinstance(verdict, VerifiedBatch):
                for event in verdict.events:
                    for cause in event.header.causes:
                        if cause.event_id in wanted and cause.digest is not None:
                            cited.setdefault(cause.event_id, set()).add(cause.digest)
        return cited


def verify_log(
    log: Log, judge: Judge, schemas: Schemas, *, known: Known | None = None, progress: Progress = lambda *_: None
) -> Iterator[Refusal | ChainResult]:
    """Verifies every chain of ``log``: what is refused, then each chain with its intervals and findings."""
    return Verification(log, judge, schemas, known=known, progress=progress).run()


def _split(schemas: Schemas, record: Record) -> SealedBatch:
    return split_batch(schemas, record.value or b"")


def _left_for(marks: AbstractSet[Mark]) -> tuple[int | None, int | None, int | None]:
    """Number, first and last sequence of the first seal that is missing between those there are, or after them."""
    ordered = sorted(marks)
    for before, after in pairwise(ordered):
        if after.number > before.number + 1:
            return before.number + 1, before.next_sequence, after.first_sequence - 1
    if not ordered:
        return None, None, None
    if ordered[0].number > 0:
        return 0, 0, ordered[0].first_sequence - 1
    return ordered[-1].number + 1, ordered[-1].next_sequence, None


def _result(chain: Chain, held: _Held) -> ChainResult:
    return ChainResult(
        chain,
        held.seals,
        held.events,
        tuple((run.start, run.stop) for run in held.state.runs),
        held.state.closed_at is not None,
        tuple(sorted(held.findings, key=lambda each: (each.number, each.name, each.digest or b""))),
        dict(held.counted),
        held.refused,
        held.until,
    )
