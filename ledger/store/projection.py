"""The projection onto Postgres: judged records become rows, with chain state and position, in one transaction.

Two ways lead to the same rows. The fast one takes a flush that is plainly new (seals that extend their chains, events never
seen) and copies rows packed beforehand; the first sign of anything else undoes it, to a savepoint, and the exact one
(``placement``) takes the same records one at a time. Order of locks: positions, ``trust``, chains by id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Final, NamedTuple

from psycopg import errors

from ledger.format.batch import Chain
from ledger.format.codec import Schemas
from ledger.ports import EVENTS, Opened, Record, Tally
from ledger.store import (
    chains,
    copies,
    erasures,
    findings,
    observed,
    partitions,
    placement,
    positions,
    rows,
    sighted,
    standing,
)
from ledger.store.chains import Chains, Held
from ledger.store.connect import translated
from ledger.store.copies import Copy
from ledger.store.dated import date_near
from ledger.store.names import Names
from ledger.store.nodes import Reading
from ledger.store.owner import Owner
from ledger.store.patience import MOST_SECONDS, STEP_SECONDS, within
from ledger.store.placement import Placement
from ledger.trust.bundle import TrustBundle
from ledger.trust.chain import ChainFinding, advance, mark_of, needs
from ledger.trust.verdict import UNTIMELY, Judge, Rejected, VerifiedBatch

_BLOCK: Final = 1000  # as seal_ids increments
_GROW_SECONDS: Final = 1.0
"""How long the lock is waited for at a time that a longer bundle needs: the stream goes on in between."""


class _Packed(NamedTuple):
    """A batch with its rows."""

    record: Record
    batch: VerifiedBatch
    seal: int
    tenant: int
    events: bytes
    causes: bytes
    joins: bytes
    rights: bytes


class Flush(NamedTuple):
    """Records judged and packed."""

    records: Sequence[Record]
    steps: Mapping[int, positions.Advance]
    packed: list[_Packed]
    refused: list[tuple[Record, Rejected]]
    names: Mapping[str, int]
    erases: bool


class _NotPlain(Exception):
    """Something in the flush is not plainly new."""


class PostgresProjection(Owner):
    """The ``Projection`` of one worker: one connection that commits, one beside it for what is looked up meanwhile."""

    def __init__(
        self,
        url: str,
        schemas: Schemas,
        ledger: str,
        bundle: TrustBundle,
        *,
        schema: str | None = None,
        stuck: float = positions.STUCK_SECONDS,
        step_seconds: float = STEP_SECONDS,
    ) -> None:
        self._schemas, self._ledger = schemas, ledger
        self._bundle = bundle
        self._judge = Judge(schemas, ledger, bundle)
        self._reading = Reading(schemas, ledger, lambda: self._bundle)
        self._drawing = Lock()
        self._held = Chains()
        self.fell_back = False
        """Whether the store lost what this worker had adopted, so that ``adopt`` is due again."""
        super().__init__(url, schema=schema, stuck=stuck, step_seconds=step_seconds)
        try:
            self.adopt(bundle)
        except BaseException:
            self.close()
            raise

    def adopt(self, bundle: TrustBundle) -> int:
        """Judges under ``bundle`` from now on, and again what it changes; returns how many seals and records that were.

        Raises ``TrustError`` where the store was judged under a longer or another bundle, or by a newer set of schemas.
        """
        judge = Judge(self._schemas, self._ledger, bundle)
        with self._alone():
            self._ensure()
            again = self._grow(bundle, judge)
            self._held.forget()
            self._bundle, self._judge = bundle, judge
            self.fell_back = False
        return again

    def _grow(self, bundle: TrustBundle, judge: Judge) -> int:
        """Most often there is nothing to do, and nobody is waited for. Judging again may be long, and is never begun anew."""
        with within(self._step_seconds, self._commits):
            if not standing.growth(self._commits, self._schemas, bundle):
                return 0
        with self._commits.transaction():
            with within(self._step_seconds, self._commits):
                standing.lock_to_grow(self._commits, min(self._stuck, _GROW_SECONDS))
            with within(MOST_SECONDS, self._commits):
                return standing.adopt(
                    self._commits, self._schemas, self._ledger, bundle, lambda: self._placement(judge)
                )

    @property
    def bundle(self) -> TrustBundle:
        """The bundle under which it judges."""
        return self._bundle

    def prepare(self, records: Sequence[Record]) -> Flush:
        """See ``Projection``."""
        judged = [
            (record, self._judge.judge(record.key, record.value, record.append_time, self._erased))
            for record in records
        ]
        good = [(record, verdict) for record, verdict in judged if isinstance(verdict, VerifiedBatch)]
        with translated(), within(self._step_seconds, self._looks):
            names = self._names.numbers({name for _, batch in good for name in rows.names_in(batch)})
            packed = [self._pack(record, batch, names) for record, batch in good]
        return Flush(
            records,
            positions.advances(records, self._starts),
            packed,
            [(record, verdict) for record, verdict in judged if isinstance(verdict, Rejected)],
            names,
            any(erasures.in_batch(batch) for _, batch in good),
        )

    def commit(self, prepared: Flush) -> Tally:
        """See ``Projection``."""
        with self._long_step():
            with self._commits.transaction():
                positions.lock(self._commits, EVENTS, prepared.steps)
                standing.lock(self._commits, self._bundle, exclusive=prepared.erases)
                changed, tally = self._write(prepared)
                positions.advance(self._commits, EVENTS, prepared.steps)
            self._held.adopt(changed)
        return tally._replace(refused=copies.refused_of(prepared.refused))

    def analyze(self) -> None:
        """Fresh statistics of the large tables, after many rows came: without them lineage is slow."""
        self._make_sure()
        with self._slow_step():
            if partitions.may_alter(self._commits):
                self._commits.execute("analyze events, causes, joins, rights, seals")

    def make_partitions(self, now: int) -> list[int]:
        """Makes the partitions of this year and the next, and of every earlier year whose rows lie in DEFAULT."""
        year = datetime.fromtimestamp(now / 1_000_000, tz=UTC).year
        self._make_sure()
        with self._slow_step():
            if not partitions.may_alter(self._commits):
                return []
            return partitions.make_years(
                self._commits, [*partitions.years_in_default(self._commits, year + 1), year, year + 1]
            )

    def count_overdue(self, now: int) -> int:
        """How many chains, of all tenants, promised a seal before ``now`` and did not keep it."""
        with translated(), within(MOST_SECONDS, self._looks):
            return observed.count_overdue(self._looks, self._reading, now)

    def _connected(self) -> None:
        self._forget_numbers()

    def _claimed(self) -> None:
        self.fell_back = standing.fell_back(self._commits, self._schemas, self._bundle)
        self._held.forget()
        self._forget_numbers()

    def _forget_numbers(self) -> None:
        self._names = Names(self._looks)
        self._next_seal = self._end_of_block = 0

    def _erased(self, tenant: str, digests: Sequence[bytes]) -> frozenset[bytes]:
        with translated(), within(self._step_seconds, self._looks):
            return sighted.erased_of(self._looks, tenant, digests)

    def _new_seal(self) -> int:
        with self._drawing:  # both threads draw
            if self._next_seal == self._end_of_block:
                row = self._looks.execute("select nextval('seal_ids')").fetchone()
                assert row is not None  # noqa: S101 - nextval has a row
                self._next_seal, self._end_of_block = row[0], row[0] + _BLOCK
            self._next_seal += 1
            return self._next_seal - 1

    def _pack(self, record: Record, batch: VerifiedBatch, names: Mapping[str, int]) -> _Packed:
        seal, tenant_name = self._new_seal(), batch.seal.tenant
        tenant, first = names[tenant_name], batch.seal.first_sequence
        packer = rows.EventRows(tenant=tenant, seal=seal, names=names)
        events: list[bytes] = []
        causes: list[bytes] = []
        joined: list[bytes] = []
        rights: list[bytes] = []
        for event in batch.events:
            joins = sighted.joins_of(tenant_name, event)
            events.append(packer.row(event, event.sequence - first, joins))
            if event.header.causes:
                causes.append(rows.edge_rows(event))
            if joins.answers_to:
                joined.append(rows.join_rows(event.header.event_id, joins))
            if joins.rights:
                rights += rows.right_rows(event, joins)
        return _Packed(
            record, batch, seal, tenant, b"".join(events), b"".join(causes), b"".join(joined), b"".join(rights)
        )

    def _write(self, flush: Flush) -> tuple[Mapping[Chain, Held], Tally]:
        try:
            with self._commits.transaction():
                return self._write_fast(flush)
        except (_NotPlain, errors.UniqueViolation):
            return self._write_exact(flush)

    def _write_exact(self, flush: Flush) -> tuple[Mapping[Chain, Held], Tally]:
        placing = self._placement(self._judge)
        for record in sorted(flush.records, key=lambda each: (each.append_time, each.partition, each.offset)):
            placing.place(Copy(record, 1))
        placing.finish()
        tally = Tally(len(flush.records), placing.events, placing.copies, placing.rejected, opened=placing.opened)
        return placing.changed, tally

    def _placement(self, judge: Judge) -> Placement:
        return Placement(
            self._commits,
            schemas=self._schemas,
            judge=judge,
            names=self._names,
            held=self._held,
            new_seal=self._new_seal,
        )

    def _write_fast(self, flush: Flush) -> tuple[Mapping[Chain, Held], Tally]:
        connection = self._commits
        self._check_plain(flush)
        locked = self._held.lock(connection, [packed.batch.chain for packed in flush.packed], flush.names)
        now, found, closed, told, shown = _step(flush.packed, locked)
        connection.cursor().executemany(
            placement.INSERT_SEAL,
            [
                placement.seal_row(each.batch, Copy(each.record, 1), each.seal, locked[each.batch.chain].id)
                for each in flush.packed
            ],
        )
        sighted.copy(connection, rows.EVENTS, [each.events for each in flush.packed])
        sighted.copy(connection, rows.CAUSES, [each.causes for each in flush.packed])
        sighted.copy(connection, rows.JOINS, [each.joins for each in flush.packed])
        sighted.copy(connection, rows.RIGHTS, [each.rights for each in flush.packed])
        for each in flush.packed:
            copies.keep_events(connection, each.record, each.batch, each.seal, frozenset())
        findings.open_all(connection, found)
        findings.close_all(connection, closed)
        copies.keep(connection, [(Copy(record, 1), verdict) for record, verdict in flush.refused])
        chains.save(connection, {chain: (locked[chain], after) for chain, after in now.items()})
        date_near(connection, shown)
        refused = Counter(verdict.reason for _, verdict in flush.refused)
        refused.update(event.reason for each in flush.packed for event in each.batch.refused)
        events = sum(len(each.batch.events) for each in flush.packed)
        return now, Tally(len(flush.records), events, 0, refused, opened=told)

    def _check_plain(self, flush: Flush) -> None:
        """Raises ``_NotPlain`` for whatever may touch rows that are there, or depends on rows that came meanwhile."""
        if flush.erases or any(verdict.reason in _EXACT for _, verdict in flush.refused):
            raise _NotPlain
        seals = [packed.batch.seal_digest for packed in flush.packed]
        if copies.refused_with(self._commits, seals):
            raise _NotPlain
        some = self._commits.execute("select exists (select from erasures where is_event)").fetchone()
        if some and some[0]:
            if flush.refused:
                raise _NotPlain
            for each in flush.packed:
                if sighted.erased_of(self._commits, each.batch.seal.tenant, [e.digest for e in each.batch.events]):
                    raise _NotPlain


_EXACT: Final = UNTIMELY | {"bad_payload"}


def _step(
    packed: Sequence[_Packed], locked: Mapping[Chain, Held]
) -> tuple[
    dict[Chain, Held],
    list[findings.Finding],
    list[tuple[int, ChainFinding, int]],
    list[Opened],
    list[tuple[int, int, int]],
]:
    """Moves every chain on; raises ``_NotPlain`` where a seal lands among those that are there.

    The last are the places where something may have another date now: most seals are shown nothing by.
    """
    now: dict[Chain, Held] = {}
    opened: list[findings.Finding] = []
    closed: list[tuple[int, ChainFinding, int]] = []
    told: list[Opened] = []
    shown: list[tuple[int, int, int]] = []
    for each in packed:
        batch, chain = each.batch, each.batch.chain
        held = now.get(chain) or locked[chain]
        mark = mark_of(batch)
        if needs(held.state, mark.number):
            raise _NotPlain
        step = advance(held.state, mark)
        now[chain] = Held(held.id, locked[chain].version + 1, step.state)
        found = findings.of_batch(batch, each.tenant, held.id)
        found += [findings.of_chain(one, each.tenant, held.id, batch.append_time) for one in step.opened]
        opened += found
        told += findings.told(found, each.record, batch)
        closed += [(held.id, one, batch.append_time) for one in step.closed]
        if step.opened or step.closed or step.state.closed_at is not None:
            shown.append((held.id, mark.number, batch.append_time))
    return now, opened, closed, told, shown
