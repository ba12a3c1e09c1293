"""The projection of contents, and the sweep of erasures: bytes go, digests stay.

A content is whatever its key and digest say, from whoever sent it: the events that refer to it make it evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.errors import VerificationError
from ledger.format.codec import Schemas
from ledger.format.content import Content, decode_content, split_record_key
from ledger.format.hashing import content_digest
from ledger.format.limits import CONTENT_VALUE_BYTES
from ledger.ports import CONTENTS, Opened, Record, Tally
from ledger.store import copies, erasures, findings, positions
from ledger.store.copies import Copy
from ledger.store.names import Names
from ledger.store.owner import Owner
from ledger.trust.verdict import Rejected


class _Kept(NamedTuple):
    record: Record
    digest: bytes
    content: Content


class Contents(NamedTuple):
    """Records of ``ledger.contents``, read. ``deleted``: tombstones, by tenant and digest."""

    records: Sequence[Record]
    steps: dict[int, positions.Advance]
    kept: list[_Kept]
    deleted: list[tuple[str, bytes, Record]]
    refused: list[tuple[Record, Rejected]]


class PostgresContents(Owner):
    """The ``Projection`` of contents."""

    def __init__(
        self, url: str, schemas: Schemas, *, schema: str | None = None, stuck: float = positions.STUCK_SECONDS
    ) -> None:
        self._schemas = schemas
        super().__init__(url, schema=schema, stuck=stuck)

    def prepare(self, records: Sequence[Record]) -> Contents:
        """See ``Projection``."""
        read = Contents(records, positions.advances(records, self._starts), [], [], [])
        for record in records:
            try:
                self._read(record, read)
            except VerificationError as error:
                read.refused.append((record, Rejected(error.reason, error.detail, None)))
        return read

    def commit(self, prepared: Contents) -> Tally:
        """See ``Projection``."""
        with self._long_step(), self._commits.transaction():
            positions.lock(self._commits, CONTENTS, prepared.steps)
            # Before erasures are read: the sweep, which locks against this, then sees these rows, or they its erasures.
            self._commits.execute("lock table contents in row exclusive mode")
            found = self._write(prepared)
            positions.advance(self._commits, CONTENTS, prepared.steps)
        refused = Counter(verdict.reason for _, verdict in prepared.refused)
        return Tally(len(prepared.records), 0, 0, refused, copies.refused_of(prepared.refused), found)

    def sweep(self) -> list[tuple[str, bytes]]:
        """Removes the contents and payloads that erasures name; returns tenant and digest of those to be tombstoned.

        They are returned again until ``swept`` says that the tombstones are in the log.
        """
        with self._long_step():
            self._ensure()
            erasures.sweep_events(self._commits, self._schemas)
            with self._commits.transaction():
                return erasures.sweep_contents(self._commits)

    def swept(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """The tombstones of these contents are in the log."""
        with self._step():
            erasures.mark_swept(self._commits, pairs)

    def _connected(self) -> None:
        self._names = Names(self._looks)

    _claimed = _connected

    def _read(self, record: Record, into: Contents) -> None:
        tenant, digest = split_record_key(record.key or b"")
        if record.value is None:
            into.deleted.append((tenant, digest, record))
            return
        if len(record.value) > CONTENT_VALUE_BYTES:
            raise VerificationError("oversize", f"the record has {len(record.value)} bytes")
        content = decode_content(self._schemas, record.value)
        if content_digest(record.value) != digest or content.tenant != tenant:
            raise VerificationError("wrong_key", "the record's key is not the content's tenant and digest")
        into.kept.append(_Kept(record, digest, content))

    def _write(self, read: Contents) -> list[Opened]:
        tenants = {each.content.tenant for each in read.kept} | {tenant for tenant, _, _ in read.deleted}
        names = self._names.numbers(sorted(tenants))
        pairs = [(names[each.content.tenant], each.digest) for each in read.kept]
        pairs += [(names[tenant], digest) for tenant, digest, _ in read.deleted]
        erased = erasures.erased_contents(self._commits, pairs)
        rows = [
            (
                names[each.content.tenant],
                each.digest,
                each.content.media_type,
                list(each.content.subjects),
                each.record.value,
                each.record.append_time,
            )
            for each in read.kept
        ]
        self._commits.cursor().executemany(_INSERT, [row for row in rows if row[:2] not in erased])
        erasures.sweep_again(self._commits, [row[:2] for row in rows if row[:2] in erased])
        copies.keep(self._commits, [(Copy(record, 1), verdict) for record, verdict in read.refused])
        bare = [(names[tenant], digest, record) for tenant, digest, record in read.deleted]
        found = [
            (findings.Finding(_BARE, tenant, None, None, None, digest, None, "", record.append_time), record)
            for tenant, digest, record in bare
            if (tenant, digest) not in erased
        ]
        findings.open_all(self._commits, [each for each, _ in found])
        return [told for each, record in found for told in findings.told([each], record)]


_BARE: Final = "unauthorized_erasure"
_INSERT: Final = (
    "insert into contents as c values (%s, %s, %s, %s, %s, %s) on conflict (tenant, digest)"
    " do update set append_time = excluded.append_time where c.append_time > excluded.append_time"
)
