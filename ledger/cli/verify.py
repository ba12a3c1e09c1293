"""``answerable verify``: every chain, from the log's bytes and the trust bundle alone; the store is not believed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Annotated, Any, Final, NamedTuple

import typer

from ledger import wiring
from ledger.cli.invocation import NO, Json, exit_with, settings_of
from ledger.cli.output import clean, console, emit, progress
from ledger.errors import LedgerError, VerificationError
from ledger.format import ids
from ledger.format.batch import Chain, Seal, SealedEvent, split_batch
from ledger.format.event import EventHeader, decode_header
from ledger.format.hashing import event_digest, event_prefix, payload_digest
from ledger.ports import EVENTS, Log, Record
from ledger.schema_files import load_schemas
from ledger.settings import Settings
from ledger.trust.chain import Mark, mark_of, replay
from ledger.trust.reasons import REASONS
from ledger.trust.verdict import Judge, Rejected, VerifiedBatch

_EVERY: Final = 64


class Fault(NamedTuple):
    """Something that does not verify. ``first`` and ``last``: the sequences that the seal claims. Events by id, where known."""

    name: str
    detail: str
    position: str
    service: str | None
    chain: str | None
    seal: int | None
    first: int | None
    last: int | None
    events: tuple[str, ...]


class Verification:
    """Judges a log record by record; ``faults`` closes it. What an erasure explains is judged once all are known."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._marks: dict[Chain, set[Mark]] = {}
        self._cited: dict[bytes, set[bytes]] = {}
        self._erased: set[tuple[str, bytes]] = set()
        self._refused: list[tuple[Record, Rejected]] = []
        self._faults: list[Fault] = []
        self.records = self.events = 0

    @property
    def chains(self) -> int:
        return len(self._marks)

    def take(self, record: Record) -> None:
        """Judges the next record."""
        self.records += 1
        verdict = self._judge.judge(record.key, record.value, record.append_time)
        if isinstance(verdict, Rejected):
            self._refused.append((record, verdict))
        else:
            self._admit(record, verdict)

    def faults(self) -> list[Fault]:
        """Everything wrong, once every record was taken."""
        for record, verdict in self._refused:
            again = self._judge.judge(record.key, record.value, record.append_time, self._named)
            if isinstance(again, Rejected):
                self._faults.append(self._refusal(record, verdict))
            else:
                self._admit(record, again)
        for chain, marks in self._marks.items():
            for found in replay(marks)[1]:
                until = f" to {found.until}" if found.until != found.number else ""
                detail = f"seal {found.number}{until}: {REASONS[found.name].meaning}"
                where = (chain.service, chain.chain_id.hex(), found.number, None, None)
                self._faults.append(Fault(found.name, detail, "", *where, ()))
        return self._faults

    def _named(self, tenant: str, digests: Sequence[bytes]) -> set[bytes]:
        return {digest for digest in digests if (tenant, digest) in self._erased}

    def _admit(self, record: Record, batch: VerifiedBatch) -> None:
        self.events += len(batch.events)
        self._marks.setdefault(batch.chain, set()).add(mark_of(batch))
        for event in batch.events:
            for cause in event.header.causes:
                if cause.digest is not None:
                    self._cited.setdefault(cause.event_id, set()).add(cause.digest)
            if event.header.kind == "content_erasure" and event.effective and event.payload:
                erased = [*event.payload.get("contents", ()), *event.payload.get("events", ())]
                self._erased |= {(batch.seal.tenant, digest) for digest in erased}
            for name in event.findings:
                text = ids.text(event.header.event_id)
                self._faults.append(_fault(name, REASONS[name].meaning, record, batch.seal, (text,)))
        for refused in batch.refused:
            self._faults.append(_fault(refused.reason, refused.detail, record, batch.seal, ()))
        for name in batch.findings:
            self._faults.append(_fault(name, REASONS[name].meaning, record, batch.seal, ()))

    def _refusal(self, record: Record, verdict: Rejected) -> Fault:
        events = tuple(self._changed(record, verdict.seal)) if verdict.reason in ("bad_root", "bad_payload") else ()
        return _fault(verdict.reason, verdict.detail, record, verdict.seal, events)

    def _changed(self, record: Record, seal: Seal | None) -> Iterator[str]:
        """The events of a changed batch with another digest than a later event, or the store, knows them by; those whose
        payload is not the one of their header.
        """
        for header, digest, event in _events_of(record, seal):
            known = self._cited.get(header.event_id)
            payload = event.payload is None or payload_digest(event.salt, event.payload) == header.payload_digest
            if (known is not None and digest not in known) or not payload:
                yield ids.text(header.event_id)

    def doubtful(self) -> set[bytes]:
        """The ids of events in batches that do not verify, as far as they are legible."""
        return {
            header.event_id for record, verdict in self._refused for header, _, _ in _events_of(record, verdict.seal)
        }

    def know(self, digests: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes over from elsewhere by which digests events are known. It names what is at fault, and decides nothing."""
        for event_id, digest in digests:
            self._cited.setdefault(event_id, set()).add(digest)


def _events_of(record: Record, seal: Seal | None) -> Iterator[tuple[EventHeader, bytes, SealedEvent]]:
    """Header, digest and parts of each event of a record that does not verify, as far as they are legible."""
    if seal is None or record.value is None:
        return
    schemas, prefix = load_schemas(), event_prefix(seal.ledger, seal.tenant, seal.service)
    for event in split_batch(schemas, record.value).events:
        try:
            yield decode_header(schemas, event.header), event_digest(prefix, event.header), event
        except VerificationError:
            continue


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(verify)


def verify(
    ctx: typer.Context,
    log: Annotated[
        str | None, typer.Option("--log", help="Another log, such as file:COPY; LOG_URL by default.")
    ] = None,
    canonical: Annotated[bool, typer.Option("--canonical", help="Also that each encoding is the only one.")] = False,
    as_json: Json = False,
) -> None:
    """Verifies every chain from the log: signatures, roots, payloads, links, gaps, forks. Exit 1 where anything is wrong."""
    settings = settings_of(ctx, log_url=log)
    judge = Judge(load_schemas(), settings.require_ledger(), wiring.load_bundle(settings), canonical=canonical)
    with ExitStack() as stack:
        if settings.effective_log_url.startswith("embedded:"):
            stack.enter_context(wiring.running(settings))
        source = stack.enter_context(closing(wiring.open_log(settings)))
        done = _verify(source, judge)
        if doubtful := done.doubtful():
            done.know(_stored(settings, doubtful))
    faults = done.faults()
    _report(done, faults, as_json=as_json)
    if faults:
        exit_with(NO)


def _stored(settings: Settings, event_ids: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """The digests by which the store knows these events; nothing where there is no store to ask."""
    query = "select event_id, digest from events where event_id = any(%s::uuid[])"
    try:
        with wiring.reading(settings) as connection:
            rows = connection.execute(query, [[each.hex() for each in event_ids]]).fetchall()
    except LedgerError:
        return []
    return [(event_id.bytes, digest) for event_id, digest in rows]


def _verify(log: Log, judge: Judge) -> Verification:
    done, bounds = Verification(judge), log.bounds(EVENTS)
    with progress("verifying") as bar:
        for partition, each in sorted(bounds.items()):
            for record in log.read(EVENTS, partition, each.first, each.end):
                done.take(record)
                if done.records % _EVERY == 0:
                    bar(done.records, sum(b.end - b.first for b in bounds.values()))
    return done


def _fault(name: str, detail: str, record: Record, seal: Seal | None, events: tuple[str, ...]) -> Fault:
    position = f"{record.partition}/{record.offset}"
    if seal is None:
        return Fault(name, detail, position, None, None, None, None, None, events)
    last = seal.first_sequence + seal.event_count - 1
    where = (seal.service, seal.chain_id.hex(), seal.seal_number, seal.first_sequence, last)
    return Fault(name, detail, position, *where, events)


def _report(done: Verification, faults: Sequence[Fault], *, as_json: bool) -> None:
    counts: dict[str, Any] = {"records": done.records, "chains": done.chains, "events": done.events}
    if as_json:
        emit({**counts, "faults": [fault._asdict() for fault in faults]})
        return
    out = console()
    for fault in faults:
        where = f"record {fault.position}" if fault.position else ""
        if fault.chain is not None:
            where += f" chain {fault.chain} of {fault.service}, seal {fault.seal}"
        if fault.first is not None:
            where += f", sequence {fault.first} to {fault.last}"
        named = f", event {', '.join(fault.events)}" if fault.events else ""
        out.print(clean(f"{fault.name}: {where.strip()}{named}: {fault.detail}"), style="bold red", markup=False)
    verdict = "every chain verifies" if not faults else f"{len(faults)} faults"
    out.print(f"{verdict}: {done.records} records, {done.chains} chains, {done.events} events verified", markup=False)
