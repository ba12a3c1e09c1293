"""Verification of every chain from the log alone: no store is believed, none is needed.

One pass keeps a few hundred bytes a chain. What depends on other records is settled by reading again the chains that it
concerns, which an honest log does not need, but for copies: a payload that an erasure which follows took away, a seal whose
copies reach the log at times that differ, copies and forks, the event at fault in a changed batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from ledger.errors import VerificationError
from ledger.format.batch import Chain
from ledger.format.codec import Schemas
from ledger.format.heads import KnownHead
from ledger.ports import Log, Record
from ledger.trust.chain import Mark, mark_of
from ledger.trust.verdict import UNTIMELY, Judge, Rejected, VerifiedBatch, VerifiedEvent
from ledger.verification import completeness
from ledger.verification.chains import Claim, Held, faults_of, heads_of, result_of
from ledger.verification.refusals import Known, Refusals
from ledger.verification.report import LISTED, Fault, NamedEvent, Report, Tally, meaning
from ledger.verification.source import Source
from ledger.verification.unknown import unknown

Progress = Callable[[int, int], None]
"""Called with records and events done."""

_EVERY: Final = 200
_DEFERRED: Final = UNTIMELY | {"bad_payload"}
"""Refusals that other records can change: an erasure, or another copy of the seal."""

Order = tuple[int, int, int]


class Verification:
    """One verification of a log; one use.

    ``heads``: what somebody knows of chains. ``at``: as of when promises are judged, µs UTC; by default the latest append
    time read.
    """

    def __init__(
        self,
        source: Source,
        judge: Judge,
        schemas: Schemas,
        *,
        heads: Iterable[KnownHead] = (),
        known: Known | None = None,
        at: int | None = None,
        progress: Progress = lambda *_: None,
    ) -> None:
        self._source, self._judge, self._schemas = source, judge.checking(), schemas
        self._known, self._at, self._progress = known, at, progress
        self._claims: dict[Chain, list[Claim]] = {}
        for head in heads:
            claim = Claim(head.chain, head.seal_number, head.seal_digest, head.next_sequence, None)
            self._claims.setdefault(head.chain, []).append(claim)
        self._chains: dict[Chain, Held] = {}
        self._erased: dict[tuple[str, bytes], set[bytes]] = {}
        self._found: dict[Chain, list[Fault]] = {}
        self._listed: Counter[str] = Counter()
        self._refused = Refusals(schemas)
        self._refused_again = Refusals(schemas)
        self._deferred: set[tuple[int, int]] = set()
        self._again: set[bytes] = set()
        self._all = False
        self._timed: set[bytes] = set()
        self._firsts: dict[bytes, Order | None] = {}
        self._gone: set[bytes] = set()
        self._latest = 0
        self._records = self._events = 0

    def run(self) -> Report:
        for record in self._source:
            self._first(record)
            if self._records % _EVERY == 0:
                self._progress(self._records, self._events)
        self._progress(self._records, self._events)
        while self._again and self._judge_again():
            pass
        self._settle()
        return self._report()

    def _first(self, record: Record) -> None:
        self._records += 1
        self._latest = max(self._latest, record.append_time)
        verdict = self._judge.judge(record.key, record.value, record.append_time, self._named)
        if isinstance(verdict, VerifiedBatch):
            self._admit(record, verdict)
        elif verdict.reason in _DEFERRED:
            self._deferred.add((record.partition, record.offset))
            self._again.add(record.key or b"")
            if verdict.seal_digest is not None:
                self._timed.add(verdict.seal_digest)
        else:
            self._refused.add(record, verdict, self._named)

    def _admit(self, record: Record, batch: VerifiedBatch) -> None:
        held = self._chains.get(batch.chain)
        if held is None:
            held = self._chains[batch.chain] = self._fresh(batch.chain)
        taken = held.take(batch)
        if not taken and record.append_time < held.until:  # an earlier copy than the one that was judged, perhaps
            self._timed.add(batch.seal_digest)
            self._again.add(batch.chain.chain_id)
        self._look(record, batch, held, taken=taken)

    def _fresh(self, chain: Chain) -> Held:
        claims = self._claims.get(chain, ()) if self._claims else ()
        return Held(frozenset(claim.number for claim in claims if claim.number is not None))

    def _look(self, record: Record, batch: VerifiedBatch, held: Held, *, taken: bool) -> None:
        """What the seal and its events say, by themselves and about others."""
        if batch.seal.seal_number == 0 and batch.events:
            held.claims = held.claims | self._continued(batch, batch.events[0])
        for event in batch.events:
            if event.header.kind == "content_erasure" and event.effective and event.payload is not None:
                self._note_erasures(batch, event.payload["events"])
            if taken:
                if event.payload_bytes is None:
                    held.erased += 1
                if event.findings:
                    for name in event.findings:
                        self._note(held, record, batch, name, meaning(name), event)
        if taken:
            self._events += len(batch.events)
            for name in batch.findings:
                self._note(held, record, batch, name, meaning(name))
            for refused in batch.refused:
                self._note(held, record, batch, refused.reason, refused.detail)

    def _note(
        self,
        held: Held,
        record: Record,
        batch: VerifiedBatch,
        name: str,
        detail: str,
        event: VerifiedEvent | None = None,
    ) -> None:
        held.counted[name] += 1
        if self._listed[name] >= LISTED:
            return
        self._listed[name] += 1
        seal = batch.seal
        first, last = seal.first_sequence, seal.first_sequence + seal.event_count - 1
        fault = Fault(
            name,
            detail,
            chain=batch.chain,
            chain_id=seal.chain_id,
            partition=record.partition,
            offset=record.offset,
            append_time=record.append_time,
            seal=seal.seal_number,
            first=first if event is None else event.sequence,
            last=last if event is None else event.sequence,
            events=() if event is None else (NamedEvent(event.header.event_id, event.digest),),
        )
        self._found.setdefault(batch.chain, []).append(fault)

    def _note_erasures(self, batch: VerifiedBatch, digests: Iterable[bytes]) -> None:
        if batch.seal_digest not in self._gone:
            for digest in digests:
                self._erased.setdefault((batch.seal.tenant, digest), set()).add(batch.seal_digest)

    def _continued(self, batch: VerifiedBatch, opening: VerifiedEvent) -> frozenset[Claim]:
        """The chains of its service that a chain's first event says it continues."""
        if opening.header.kind != "chain_open" or not opening.effective or opening.payload_bytes is None:
            return frozenset()
        try:
            opened = self._schemas.decode(opening.payload_bytes, "chain_open")
        except VerificationError:
            return frozenset()
        return frozenset(
            Claim(
                batch.chain._replace(key_id=each["key_id"], chain_id=each["chain_id"]),
                each["last_seal_number"],
                each["last_seal_digest"],
                each["next_sequence"],
                batch.chain,
            )
            for each in opened["continues"]
        )

    def _named(self, tenant: str, digests: Sequence[bytes]) -> AbstractSet[bytes]:
        return {digest for digest in digests if (tenant, digest) in self._erased}

    def _reread(self, keys: AbstractSet[bytes]) -> Iterator[Record]:
        return (record for record in self._source if record.key in keys or self._all)

    def _judge_again(self) -> bool:
        """Judges the chains in question anew, whole, by all that is known now; whether that changed what others depend on."""
        before = len(self._erased)
        self._decide()
        for chain in [chain for chain in self._chains if self._all or chain.chain_id in self._again]:
            self._events -= self._chains[chain].events
            self._chains[chain] = self._fresh(chain)
            self._listed.subtract(fault.name for fault in self._found.pop(chain, ()))
        self._refused_again = Refusals(self._schemas)
        for record in self._reread(self._again):
            plain = self._judge.judge(record.key, record.value, record.append_time, self._named)
            verdict = self._at_its_time(record, plain)
            if isinstance(verdict, VerifiedBatch):
                self._admit(record, verdict)
                continue
            if isinstance(plain, VerifiedBatch) and plain.seal_digest is not None:
                self._gone.add(plain.seal_digest)
            known = isinstance(plain, Rejected) and plain.reason not in _DEFERRED
            if not known or (record.partition, record.offset) in self._deferred:
                self._refused_again.add(record, verdict, self._named)
        return self._forget_erasures() or len(self._erased) > before

    def _decide(self) -> None:
        """When each seal in question reached the log: the earliest of its copies that fail at nothing but their time."""
        self._firsts = dict.fromkeys(self._timed)
        for record in self._reread(self._again):
            verdict = self._judge.judge(record.key, record.value, record.append_time, self._named)
            digest = verdict.seal_digest
            if digest in self._firsts and self._judge.holds(record.key, record.value, self._named):
                order = (record.append_time, record.partition, record.offset)
                self._firsts[digest] = min(order, self._firsts[digest] or order)

    def _at_its_time(self, record: Record, verdict: VerifiedBatch | Rejected) -> VerifiedBatch | Rejected:
        """The verdict on a record, its seal having come when the earliest of its copies came."""
        first = self._firsts.get(verdict.seal_digest) if verdict.seal_digest is not None else None
        if first is None:
            return verdict
        holds = self._judge.holds(record.key, record.value, self._named)
        time = first[0] if holds else min(record.append_time, first[0])
        if time == record.append_time:
            return verdict
        return self._judge.judge(record.key, record.value, time, self._named)

    def _verdict(self, record: Record) -> VerifiedBatch | Rejected:
        plain = self._judge.judge(record.key, record.value, record.append_time, self._named)
        return self._at_its_time(record, plain)

    def _forget_erasures(self) -> bool:
        """Takes back what seals erased that turned out to be refused; whether anything was. All is in question then."""
        lost = [key for key, sources in self._erased.items() if sources <= self._gone]
        for key in lost:
            del self._erased[key]
        self._all = self._all or bool(lost)
        return bool(lost)

    def _settle(self) -> None:
        """Takes in copies and forks, and what stands under the numbers that successors name."""
        wanted = {chain: _wanted(held.asked) for chain, held in self._chains.items() if held.asked}
        inner: dict[Chain, set[int]] = {}
        for held in self._chains.values():
            for claim in held.claims:
                of = self._chains.get(claim.chain)
                if of is not None and claim.number is not None and claim.number < of.state.last_number:
                    inner.setdefault(claim.chain, set()).add(claim.number)
        if not wanted and not inner:
            return
        near: dict[Chain, dict[int, list[Mark]]] = {}
        for record in self._reread({chain.chain_id for chain in (*wanted, *inner)}):
            verdict = self._verdict(record)
            if not isinstance(verdict, VerifiedBatch):
                continue
            chain, mark = verdict.chain, mark_of(verdict)
            if mark.number in inner.get(chain, ()):
                self._chains[chain].seen.setdefault(mark.number, set()).add(mark.digest)
            if mark.number in wanted.get(chain, ()):
                marks = near.setdefault(chain, {}).setdefault(mark.number, [])
                if mark not in marks:
                    marks.append(mark)
                    if len(marks) > 1:  # the other side of a fork, whose events were not looked at yet
                        self._chains[chain].count(verdict)
                        self._look(record, verdict, self._chains[chain], taken=True)
        for chain in wanted:
            self._chains[chain].settle(near.get(chain, {}))

    def _cited(self, wanted: AbstractSet[bytes]) -> dict[bytes, set[bytes]]:
        """Digests by which verified events cite events of these ids."""
        cited: dict[bytes, set[bytes]] = {}
        if wanted:
            for record in self._source:
                verdict = self._verdict(record)
                if isinstance(verdict, VerifiedBatch):
                    for event in verdict.events:
                        for cause in event.header.causes:
                            if cause.event_id in wanted and cause.digest is not None:
                                cited.setdefault(cause.event_id, set()).add(cause.digest)
        return cited

    def _report(self) -> Report:
        at, ended = self._latest if self._at is None else self._at, self._ended()
        tally = Tally()
        states = {chain.chain_id: held.state for chain, held in reversed(self._chains.items())}
        for refusals in (self._refused, self._refused_again):
            for fault in refusals.faults(states, self._known, self._cited(refusals.wanted())):
                tally.add(fault)
            for name, count in refusals.counts.items():
                tally.count(name, max(0, count - LISTED))
        for chain, held in self._chains.items():
            listed = self._found.get(chain, ())
            for fault in (*listed, *faults_of(chain, held)):
                tally.add(fault)
            for name, count in (held.counted - Counter(fault.name for fault in listed)).items():
                tally.count(name, count)
        self._completeness(tally, at)
        return Report(
            records=self._records,
            events=sum(held.events for held in self._chains.values()),
            at=at,
            faults=list(tally),
            counts=dict(tally.counts),
            chains=[result_of(chain, held) for chain, held in self._chains.items() if held.seals],
            due=[
                until
                for chain, held in self._chains.items()
                if chain not in ended and (until := completeness.due(held)) is not None
            ],
            heads=[head for chain, held in self._chains.items() for head in heads_of(chain, held)],
            unknown=list(
                unknown(
                    self._chains,
                    continued=ended,
                    holes=self._source.offsets - self._records,
                    judge=self._judge,
                    heads=len(self._claims),
                    at=at,
                )
            ),
        )

    def _ended(self) -> frozenset[Chain]:
        """The chains that others of the same service continue: they promise nothing any more."""
        return frozenset(claim.chain for held in self._chains.values() for claim in held.claims)

    def _completeness(self, tally: Tally, at: int) -> None:
        ended = self._ended()
        for fault in completeness.lost(self._source.lost):
            tally.add(fault)
        for chain, held in self._chains.items():
            if chain not in ended and (late := completeness.overdue(chain, held, at)) is not None:
                tally.add(late)
        given = [claim for claims in self._claims.values() for claim in claims]
        stated = [claim for held in self._chains.values() for claim in held.claims]
        for claim in dict.fromkeys((*given, *stated)):
            if (fault_found := completeness.claimed(claim, self._chains.get(claim.chain))) is not None:
                tally.add(fault_found)
        for fault in completeness.twice_continued(self._chains):
            tally.add(fault)


def verify_log(
    log: Log,
    judge: Judge,
    schemas: Schemas,
    *,
    archives: Sequence[Log] = (),
    heads: Iterable[KnownHead] = (),
    known: Known | None = None,
    at: int | None = None,
    progress: Progress = lambda *_: None,
) -> Report:
    """Verifies every chain of ``archives`` and ``log`` as one; see ``Verification``."""
    source = Source([*archives, log])
    return Verification(source, judge, schemas, heads=heads, known=known, at=at, progress=progress).run()


def _wanted(asked: AbstractSet[int]) -> set[int]:
    return {number for each in asked for number in (each - 1, each, each + 1)}
