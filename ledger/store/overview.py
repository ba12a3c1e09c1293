"""How the store is: positions, trust, counts; and the lists of chains and findings. What a person looks over, not one event.

Every function takes a connection whose search path is the schema to read; a driver's error is ``BackendError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import psycopg

from ledger.store.connect import translated

_POSITIONS: Final = """
select topic, partition, identity, next_offset, last_append, last_digest, exists (
    select from pg_stat_activity a where a.pid = owner_pid and coalesce(a.backend_start = owner_started, true))
  from positions order by topic, partition"""
"""Who may not see others' sessions has their pid, and no start."""
_CLOCK: Final = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint"
_AHEAD: Final = """
select distinct on (c.service) s.sealed_at - s.append_time
  from (select id, chain, sealed_at, append_time from seals order by id desc limit %(seals)s) s join chains c on c.id = s.chain
 order by c.service, s.id desc"""
_LATEST_SEALS: Final = 1000
_WITHOUT: Final = """
select count(*) filter (where id <= (select max(seal) from rights_since)),
       count(*) filter (where id <= (select max(seal) from values_since)) from seals"""
_FATES: Final = """
select case when c.digest is not null then 'kept' when x.swept is null then 'not read'
            when x.swept then 'erased' else 'to be erased' end
  from unnest(%(tenants)s::text[], %(digests)s::bytea[]) with ordinality w (tenant, digest, place)
  left join names t on t.name = w.tenant
  left join contents c on c.tenant = t.id and c.digest = w.digest
  left join lateral (
           select bool_and(e.swept) as swept from erasures e
            where not e.is_event and e.tenant = t.id and e.digest = w.digest) x on true
 order by w.place"""
_TRUST: Final = "select line from trust order by number"
_FINDINGS_COUNT: Final = """
select f.name, count(*) from findings f left join names t on t.id = f.tenant
 where f.closed_at is null and (%(tenant)s::text is null or t.name = %(tenant)s) group by 1 order by 1"""
_REJECTED_COUNT: Final = "select reason, count(*) from rejected group by 1 order by 1"
_QUARANTINED: Final = "select count(*) from quarantine"

_TENANTS: Final = "select name from names where exists (select 1 from chains where tenant = names.id) order by name"

_CHAINS: Final = """
select c.id, s.name, c.key_id, c.chain_id, c.closed_at, last.number, last.append_time, last.next_within,
       (select e.first_sequence + e.event_count from runs r join seals e on e.chain = c.id and e.number = r.stop
         where r.chain = c.id and r.start = 0 limit 1),
       (select count(*) from runs r where r.chain = c.id),
       coalesce((select array_agg(distinct f.name order by f.name) from findings f
                  where f.chain = c.id and f.closed_at is null), '{}')
  from chains c join names t on t.id = c.tenant join names s on s.id = c.service
  left join lateral (select e.number, e.append_time, e.next_within from seals e where e.chain = c.id
                      order by e.number desc limit 1) last on true
 where t.name = %(tenant)s and c.id > %(after)s and (%(service)s::text is null or s.name = %(service)s)
 order by c.id limit %(limit)s"""


class Reached(NamedTuple):
    """How far a partition is materialized. ``last_append`` is the append time of the last record, µs UTC, ``last_digest`` says
    which that was. ``held``: a worker that is connected has the partition.
    """

    topic: str
    partition: int
    identity: str
    next_offset: int
    last_append: int | None
    last_digest: bytes | None = None
    held: bool = False


class ChainRow(NamedTuple):
    """A chain. Every sequence below ``verified_up_to`` is there; ``runs`` above 1 means a gap. ``next_within`` in seconds."""

    id: int
    service: str
    key_id: str
    chain_id: bytes
    closed_at: int | None
    last_number: int | None
    last_append: int | None
    next_within: int | None
    verified_up_to: int | None
    runs: int
    findings: Sequence[str]


class Counts(NamedTuple):
    """Open findings by name, rejected records by reason, records in quarantine."""

    findings: Mapping[str, int]
    rejected: Mapping[str, int]
    quarantined: int


def clock(connection: psycopg.Connection) -> int:
    """The store's time now, µs UTC."""
    ((now,),) = _rows(connection, _CLOCK)
    return int(now)


def ahead_of_log(connection: psycopg.Connection) -> list[int]:
    """By how many µs each service's clock was ahead of the log's, at the least, when it sealed last; of the latest seals."""
    return [int(ahead) for (ahead,) in _rows(connection, _AHEAD, seals=_LATEST_SEALS)]


class Unfilled(NamedTuple):
    """Seals stored before there were rows of tokens and grants, and before events were found by any value; none once rebuilt."""

    rights: int
    values: int


def unfilled(connection: psycopg.Connection) -> Unfilled:
    """How many seals lack what only a rebuild makes of them."""
    ((rights, values),) = _rows(connection, _WITHOUT)
    return Unfilled(int(rights), int(values))


def positions(connection: psycopg.Connection) -> list[Reached]:
    """The positions of all partitions that were ever read."""
    return [Reached(*row) for row in _rows(connection, _POSITIONS)]


def oldest_unswept(connection: psycopg.Connection) -> int | None:
    """The append time of the oldest erasure that has not taken effect; None where all have."""
    ((oldest,),) = _rows(connection, "select min(append_time) from erasures where not swept")
    return None if oldest is None else int(oldest)


Fate = Literal["kept", "erased", "to be erased", "not read"]
"""What became of a content. ``erased``: it is gone from the store, and its tombstones are in the log."""


def fates(connection: psycopg.Connection, contents: Sequence[tuple[str, bytes]]) -> list[Fate]:
    """What the store made of contents, by tenant and digest."""
    given = {"tenants": [tenant for tenant, _ in contents], "digests": [digest for _, digest in contents]}
    with translated():
        return [fate for (fate,) in connection.execute(_FATES, given)]


def trust_lines(connection: psycopg.Connection) -> list[bytes]:
    """The hash of each line of the bundle under which the rows were judged: see ``TrustBundle.extends``."""
    return [bytes(line) for (line,) in _rows(connection, _TRUST)]


def counts(connection: psycopg.Connection, tenant: str | None = None) -> Counts:
    """Counts of what is wrong; ``tenant`` bounds the findings, None is the whole ledger."""
    findings = dict(_rows(connection, _FINDINGS_COUNT, tenant=tenant))
    ((quarantined,),) = _rows(connection, _QUARANTINED)
    return Counts(findings, dict(_rows(connection, _REJECTED_COUNT)), quarantined)


def tenants(connection: psycopg.Connection) -> list[str]:
    """Whoever has a chain."""
    return [name for (name,) in _rows(connection, _TENANTS)]


def chains(
    connection: psycopg.Connection, tenant: str, *, service: str | None = None, after: int = 0, limit: int = 100
) -> list[ChainRow]:
    """The tenant's chains in the order in which the store met them, those after ``after``."""
    rows = _rows(connection, _CHAINS, tenant=tenant, service=service, after=after, limit=limit)
    return [ChainRow(*row) for row in rows]


def _rows(connection: psycopg.Connection, query: str, **given: object) -> list[tuple[Any, ...]]:
    with translated():
        return connection.execute(query.encode(), given or None).fetchall()
