"""Where a record belongs, whatever came before: admitted, refused, or counted with its earlier copies.

One record at a time, exactly; the fast way of ``ledger.store.projection`` leaves to it whatever is not plainly new. All
copies of a seal that hold but for their time share one verdict, that at the append time of the earliest. Whoever calls
holds the lock of ``trust``; chains are locked here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

import psycopg

from ledger.format.batch import Chain, Seal
from ledger.format.codec import Schemas
from ledger.ports import Opened
from ledger.store import chains, copies, erasures, findings, sighted
from ledger.store.chains import Chains, Held
from ledger.store.copies import Copy
from ledger.store.dated import date_near
from ledger.store.names import Names
from ledger.store.rows import names_in
from ledger.trust.chain import advance, mark_of, needs
from ledger.trust.verdict import UNTIMELY, Judge, Rejected, VerifiedBatch


class _Admitted(NamedTuple):
    id: int
    append_time: int
    partition: int
    offset: int

    @property
    def order(self) -> tuple[int, int, int]:
        return self.append_time, self.partition, self.offset


class Placement:
    """The placing of records inside one transaction. ``changed`` is to be adopted after its commit."""

    def __init__(
        self,
        connection: psycopg.Connection,
        *,
        schemas: Schemas,
        judge: Judge,
        names: Names,
        held: Chains,
        new_seal: Callable[[], int],
    ) -> None:
        self._connection = connection
        self._schemas = schemas
        self._judge = judge
        self._names = names
        self._held = held
        self._new_seal = new_seal
        self.changed: dict[Chain, Held] = {}
        self._dirty: dict[Chain, tuple[int, int]] = {}
        self.events = 0
        self.copies = 0
        self.rejected: Counter[str] = Counter()
        self.opened: list[Opened] = []

    def place(self, copy: Copy) -> None:
        """Judges a record and puts it where it belongs."""
        verdict = self._judged(copy, copy.append_time)
        if isinstance(verdict, VerifiedBatch):
            self._place_good(copy, verdict)
        elif verdict.reason in UNTIMELY and verdict.seal is not None and verdict.seal_digest is not None:
            chain = _chain_of(verdict.seal)
            admitted = self._admitted(chain, verdict.seal.seal_number, verdict.seal_digest)
            if admitted is None and not copies.refused_with(self._connection, [verdict.seal_digest]):
                self._refuse(copy, verdict)
            else:
                self.reconsider(chain, verdict.seal.seal_number, verdict.seal_digest, copy)
        else:
            self._refuse(copy, verdict)

    def reconsider(self, chain: Chain, number: int, seal_digest: bytes, new: Copy | None = None) -> None:
        """Judges all copies of a seal again, with a new one if given, as one: at the append time of the earliest that holds."""
        found = [copy for copy in [new, *self._take_out(chain, number, seal_digest)] if copy is not None]
        good = [copy for copy in found if self._judge.holds(copy.record.key, copy.record.value, self._erased)]
        if not good:
            for copy in found:
                self._refuse_at(copy, copy.append_time)
            return
        first = min(good, key=lambda copy: copy.order)
        verdict = self._judged(first, first.append_time)
        if isinstance(verdict, VerifiedBatch):
            self._admit(copies.merged(good), verdict)
        for copy in found:
            if copy not in good or not isinstance(verdict, VerifiedBatch):
                self._refuse_at(copy, min(copy.append_time, first.append_time))

    def finish(self) -> None:
        """Computes anew the chains that lost a seal. Before the commit."""
        for chain, (chain_id, at) in self._dirty.items():
            now = chains.rebuild(self._connection, chain_id)
            tenant = self._names.numbers([chain.tenant])[chain.tenant]
            findings.replace_chain(self._connection, chain_id, tenant, now, at)
            self.changed.pop(chain, None)

    def _place_good(self, copy: Copy, batch: VerifiedBatch) -> None:
        admitted = self._admitted(batch.chain, batch.seal.seal_number, batch.seal_digest)
        if admitted is not None and admitted.order <= copy.order:
            self.copies += copy.copies
            self._connection.execute("update seals set copies = copies + %s where id = %s", [copy.copies, admitted.id])
        elif admitted is not None or copies.refused_with(self._connection, [batch.seal_digest]):
            self.reconsider(batch.chain, batch.seal.seal_number, batch.seal_digest, copy)
        else:
            self._admit(copy, batch)

    def _admit(self, copy: Copy, batch: VerifiedBatch) -> None:
        connection, record = self._connection, copy.record
        names = self._names.numbers(names_in(batch))
        held = self._lock(batch.chain)
        seal, tenant = self._new_seal(), names[batch.seal.tenant]
        connection.execute(INSERT_SEAL, seal_row(batch, copy, seal, held.id))
        digests = [event.digest for event in batch.events] + [event.digest for event in batch.refused]
        erased = sighted.erased_of(connection, batch.seal.tenant, digests)
        self.events += sighted.add(connection, self._schemas, batch, seal, names, erased)
        copies.keep_events(connection, record, batch, seal, erased)
        found = findings.of_batch(batch, tenant, held.id)
        if batch.chain in self._dirty:
            self._dirty[batch.chain] = (held.id, max(self._dirty[batch.chain][1], batch.append_time))
        else:
            found += self._advance(batch, held, tenant)
        findings.open_all(connection, found)
        if batch.chain not in self._dirty:
            date_near(connection, [(held.id, batch.seal.seal_number, batch.append_time)])
        self.opened += findings.told(found, record, batch)
        self.rejected.update(event.reason for event in batch.refused)
        if erasures.note(connection, batch, tenant):
            erasures.strip_refused(connection, self._schemas, batch.seal.tenant)
            for row in copies.refused_ids(connection, "reason = 'bad_payload' and tenant = %s", [batch.seal.tenant]):
                if (refused := copies.take(connection, row)) is not None:
                    self.place(refused)

    def _advance(self, batch: VerifiedBatch, held: Held, tenant: int) -> list[findings.Finding]:
        """Moves the chain on; returns what opened."""
        mark = mark_of(batch)
        near = chains.near(self._connection, held.id, list(needs(held.state, mark.number)))
        near = {number: marks - {mark} for number, marks in near.items()}  # its row is there already
        step = advance(held.state, mark, near)
        after = Held(held.id, held.version + 1, step.state)
        chains.save(self._connection, {batch.chain: (held, after)})
        self.changed[batch.chain] = after
        findings.close_all(self._connection, [(held.id, each, batch.append_time) for each in step.closed])
        return [findings.of_chain(each, tenant, held.id, batch.append_time) for each in step.opened]

    def _take_out(self, chain: Chain, number: int, seal_digest: bytes) -> list[Copy]:
        """Every copy of a seal that the store has, which is as if it had never come."""
        taken = []
        for row, _ in copies.refused_with(self._connection, [seal_digest]).get(seal_digest, []):
            taken.append(copies.take(self._connection, row))
        admitted = self._admitted(chain, number, seal_digest)
        if admitted is not None:
            held = self._lock(chain)
            taken.append(copies.admitted(self._connection, self._schemas, admitted.id))
            sighted.remove(self._connection, self._schemas, admitted.id)
            findings.forget_seal(self._connection, held.id, number, seal_digest)
            self._dirty[chain] = (held.id, admitted.append_time)
        return [copy for copy in taken if copy is not None]

    def _lock(self, chain: Chain) -> Held:
        if chain in self.changed:
            return self.changed[chain]
        names = self._names.numbers([chain.tenant, chain.service])
        return self._held.lock(self._connection, [chain], names)[chain]

    def _admitted(self, chain: Chain, number: int, seal_digest: bytes) -> _Admitted | None:
        chain_id = chains.find(self._connection, chain)
        row = self._connection.execute(
            "select id, append_time, partition, log_offset from seals where chain = %s and number = %s and digest = %s",
            [chain_id, number, seal_digest],
        ).fetchone()
        return None if row is None else _Admitted(*row)

    def _refuse_at(self, copy: Copy, append_time: int) -> None:
        verdict = self._judged(copy, append_time)
        if isinstance(verdict, VerifiedBatch):
            raise AssertionError("a copy that holds was not among those that hold")
        self._refuse(copy, verdict)

    def _refuse(self, copy: Copy, verdict: Rejected) -> None:
        self.rejected[verdict.reason] += 1
        record = copy.record
        value = erasures.strip(self._connection, self._schemas, record.value, verdict.seal)
        if value != record.value and record.value is not None:
            whole = copy.whole or copies.Whole(sha256(record.value).digest(), len(record.value))
            copy = Copy(record._replace(value=value), copy.copies, whole)
        copies.keep(self._connection, [(copy, verdict)])

    def _judged(self, copy: Copy, append_time: int) -> VerifiedBatch | Rejected:
        return self._judge.judge(copy.record.key, copy.record.value, append_time, self._erased)

    def _erased(self, tenant: str, digests: Sequence[bytes]) -> frozenset[bytes]:
        return sighted.erased_of(self._connection, tenant, digests)


INSERT_SEAL = (
    "insert into seals (id, chain, number, digest, previous, first_sequence, event_count, sealed_at, next_within, append_time,"
    " partition, log_offset, copies, importer, seal, signatures, leaves)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %b)"
)


def seal_row(batch: VerifiedBatch, copy: Copy, seal: int, chain: int) -> tuple[object, ...]:
    """The values of ``INSERT_SEAL``."""
    claims, record = batch.seal, copy.record
    return (
        seal,
        chain,
        claims.seal_number,
        batch.seal_digest,
        claims.previous_seal,
        claims.first_sequence,
        claims.event_count,
        claims.sealed_at,
        claims.next_within,
        record.append_time,
        record.partition,
        record.offset,
        copy.copies,
        batch.role == "importer",
        batch.batch.seal,
        copies.write_signatures(batch.batch),
        batch.leaves,
    )


def _chain_of(seal: Seal) -> Chain:
    return Chain(seal.ledger, seal.tenant, seal.service, seal.key_id, seal.chain_id)
