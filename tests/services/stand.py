"""A store and its projection on a stand: records go in by hand, with the append times that a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from ledger.format.batch import Sealed
from ledger.ports import CONTENTS, EVENTS, Record, Tally
from ledger.schema_files import load_schemas
from ledger.store.connect import connect
from ledger.store.contents import PostgresContents
from ledger.store.dated import misdated
from ledger.store.digest import state_digest
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from ledger.trust.bundle import TrustBundle
from tests.services.forge import LEDGER, Forge


class Stand:
    """One worker's projections over one database that is migrated."""

    def __init__(
        self, url: str, bundle: TrustBundle, *, schemas: Any = None, partitions: int = 4, stuck: float = 1.0
    ) -> None:
        self.url = url
        self.schemas = schemas or load_schemas()
        self.projection = PostgresProjection(url, self.schemas, LEDGER, bundle, stuck=stuck)
        self.contents = PostgresContents(url, self.schemas, stuck=stuck)
        numbers = range(partitions)
        self.offsets = {n: p.next_offset for n, p in self.projection.claim(EVENTS, "one", numbers).items()}
        self.contents_offset = self.contents.claim(CONTENTS, "one", [0])[0].next_offset
        self.taken: list[Record] = []

    def take(self, *records: Record) -> Tally:
        """Commits records in one flush, at the next offsets of their partitions."""
        placed = []
        for record in records:
            placed.append(record._replace(offset=self.offsets[record.partition]))
            self.offsets[record.partition] += 1
        self.taken += placed
        return self.projection.commit(self.projection.prepare(placed))

    def put(
        self,
        forge: Forge,
        sealed: Sealed | bytes,
        *,
        at: int | None = None,
        partition: int = 0,
        key: bytes | None = None,
    ) -> Tally:
        """Commits one batch of ``forge``, or bytes in its place, with append time ``at``."""
        value = sealed.value if isinstance(sealed, Sealed) else sealed
        when = forge.now + 5_000 if at is None else at
        return self.take(Record(EVENTS, partition, 0, when, forge.chain_id if key is None else key, value))

    def content(self, key: bytes, value: bytes | None, *, at: int = 0) -> Tally:
        """Commits one record of contents."""
        record = Record(CONTENTS, 0, self.contents_offset, at, key, value)
        self.contents_offset += 1
        return self.contents.commit(self.contents.prepare([record]))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"select count(*) from {table}")[0][0])  # noqa: S608 - names of our own tables

    def findings(self) -> list[str]:
        """Names of the open findings, sorted."""
        return [row[0] for row in self.rows("select name from findings where closed_at is null order by name")]

    def rejected(self) -> list[str]:
        """Reasons of what was refused, in the order of arrival."""
        return [row[0] for row in self.rows("select reason from rejected order by id")]

    @property
    def digest(self) -> bytes:
        return state_digest(self.url).digest

    def close(self) -> None:
        self.projection.close()
        self.contents.close()


def digest_of(url: str, bundle: TrustBundle, records: Sequence[Record], *, flush: int) -> bytes:
    """The state digest of a fresh store at ``url`` that took ``records`` in flushes of that many; it is dated right."""
    stand = Stand(url, bundle)
    try:
        for start in range(0, len(records), flush):
            stand.take(*records[start : start + flush])
        with connect(url) as connection:
            assert misdated(connection) is None
        return stand.digest
    finally:
        stand.close()


def migrated(url: str) -> None:
    """What a template database is made of."""
    migrate(url)
