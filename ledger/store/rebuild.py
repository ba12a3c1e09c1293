"""Rebuild: a second schema filled from archive and log, then put in the place of the first in one transaction.

Whatever the store says can be had again from the records: this is the proof, and the way back after a loss. Workers may go
on meanwhile; after the swap they find themselves without their positions, claim them again, and read on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Final, Protocol

import psycopg
from psycopg import sql

from ledger.errors import PositionLost, TopicAbsent
from ledger.format.codec import Schemas
from ledger.ports import CONTENTS, EVENTS, Bounds, Log, Prepared, Projection, Record, Tally
from ledger.store.connect import connect, translated
from ledger.store.contents import PostgresContents
from ledger.store.digest import StateDigest, state_digest
from ledger.store.migrations import LIVE, migrate
from ledger.store.projection import PostgresProjection
from ledger.trust.bundle import TrustBundle

SCHEMA: Final = "answerable_rebuild"
BEFORE: Final = "answerable_before"
_RECORDS: Final = 64
_BYTES: Final = 2 << 20


class Readable(Protocol):
    """The part of a ``Log`` that is read from a position on."""

    def identity(self, topic: str) -> str: ...

    def bounds(self, topic: str) -> Mapping[int, Bounds]: ...

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]: ...


Progress = Callable[[str, int, Tally], None]
"""Called with topic, partition and what one commit did."""


def rebuild(
    url: str,
    logs: Sequence[Log],
    schemas: Schemas,
    ledger: str,
    bundle: TrustBundle,
    *,
    swap: bool = True,
    progress: Progress = lambda *_: None,
) -> StateDigest:
    """Fills a second schema from ``logs`` in turn (archives first, the log last) and swaps; returns its digest.

    Records that are in several are read once. An archive may be without contents, which are the last log's to give. Raises
    ``PositionLost`` where records are in none of them.
    """
    refill(url, SCHEMA, logs, schemas, ledger, bundle, progress=progress)
    digest = state_digest(url, schema=SCHEMA)
    if swap:
        swap_in(url)
    return digest


def refill(
    url: str,
    schema: str,
    logs: Sequence[Readable],
    schemas: Schemas,
    ledger: str,
    bundle: TrustBundle,
    *,
    progress: Progress = lambda *_: None,
) -> None:
    """Makes ``schema`` anew and fills it from ``logs`` in turn; see ``rebuild``."""
    drop_schema(url, schema)
    migrate(url, schema=schema)
    events = PostgresProjection(url, schemas, ledger, bundle, schema=schema)
    contents = PostgresContents(url, schemas, schema=schema)
    try:
        for log in logs:
            fill(log, EVENTS, events, progress)
            if log is logs[-1] or _holds(log, CONTENTS):
                fill(log, CONTENTS, contents, progress)
        contents.sweep()
        events.analyze()
    finally:
        events.close()
        contents.close()


def fill(log: Readable, topic: str, projection: Projection[Prepared], progress: Progress) -> None:
    """Reads a topic of ``log`` from where the projection is to the end of now."""
    bounds = log.bounds(topic)
    identity = log.identity(topic)
    claimed = projection.claim(topic, identity, sorted(bounds))
    for partition, position in claimed.items():
        offset, here = position.next_offset, bounds[partition]
        if offset < here.first:
            raise PositionLost(
                f"{topic}/{partition}: records {offset} to {here.first - 1} are in none of the logs given; add the archive"
            )
        if position.identity != identity:
            projection.reset(topic, partition, identity, offset)
        _copy(log.read(topic, partition, offset, here.end), projection, partial(progress, topic, partition))
    projection.release(topic, sorted(bounds))


def _holds(log: Readable, topic: str) -> bool:
    try:
        log.bounds(topic)
    except TopicAbsent:
        return False
    return True


def swap_in(url: str) -> None:
    """Puts the rebuilt schema in the place of the live one, whose tables are dropped, in one transaction."""
    with connect(url) as connection, translated(), connection.transaction():
        for table in ("positions", "trust"):  # writers wait here, as they do for each other
            connection.execute(sql.SQL("lock table {} in access exclusive mode").format(sql.Identifier(LIVE, table)))
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(BEFORE)))
        _move(connection, LIVE, BEFORE, _relations(connection, LIVE))
        _move(connection, SCHEMA, LIVE, _relations(connection, SCHEMA))
        for schema in (BEFORE, SCHEMA):
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))


def _copy(records: Iterator[Record], projection: Projection[Prepared], done: Callable[[Tally], None]) -> None:
    """Commits records in order, preparing the next while the one before is committed."""
    with ThreadPoolExecutor(1) as committer:
        pending = None
        while part := _part(records):
            prepared = projection.prepare(part)
            if pending is not None:
                done(pending.result())
            pending = committer.submit(projection.commit, prepared)
        if pending is not None:
            done(pending.result())


def _part(records: Iterator[Record]) -> list[Record]:
    part: list[Record] = []
    size = 0
    for record in islice(records, _RECORDS):
        part.append(record)
        size += len(record.value or b"")
        if size >= _BYTES:
            break
    return part


def drop_schema(url: str, schema: str) -> None:
    """Removes a second schema, such as an interrupted rebuild left."""
    with connect(url) as connection, translated():
        connection.execute("set client_min_messages = warning")
        connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))


def _relations(connection: psycopg.Connection, schema: str) -> list[tuple[str, str]]:
    """Our tables in a schema with their partitions, and the one sequence that belongs to no column: (kind, name)."""
    rows = connection.execute(_RELATIONS, [SCHEMA, schema]).fetchall()
    return [("sequence" if kind == "S" else "table", name) for kind, name in rows]


def _move(connection: psycopg.Connection, source: str, target: str, relations: list[tuple[str, str]]) -> None:
    for kind, name in relations:
        connection.execute(
            sql.SQL("alter {} {} set schema {}").format(
                sql.SQL(kind), sql.Identifier(source, name), sql.Identifier(target)
            )
        )


_RELATIONS: Final = """
with ours as (select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s)
select c.relkind::text, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
where n.nspname = %s and (c.relkind in ('r', 'p') or c.relkind = 'S' and c.relname = 'seal_ids')
    and (c.relname in (select relname from ours) or p.relname in (select relname from ours))
order by c.relname
"""
