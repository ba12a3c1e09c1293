"""Stale events judged, many at once: their judgements, contradictions, and whose names are awaited, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.house import NO_RULES, HouseRules
from ledger.attribution.judgement import KINDS, Bench, Judgement, judge_alone
from ledger.attribution.pool import Overfull
from ledger.errors import NotFound
from ledger.store.arrays import of_bytes, of_ids, of_plain, of_texts
from ledger.store.lineage import above_one, pool_above
from ledger.store.nodes import Reading

Connection = psycopg.Connection[Any]

BATCH: Final = 1_000
"""Events that are judged in one transaction."""

_STALE: Final = """
with taken as (
    select ctid from sentinel_stale
     where passed and wave < coalesce((select min(wave) from sentinel_stale where not passed), 9223372036854775807)
     order by since, event_id limit %(limit)s for update skip locked
), gone as (
    delete from sentinel_stale where ctid = any(array(select ctid from taken)) returning event_id, tenant
)
select g.tenant, t.name, g.event_id, exists (
           select from events e join names k on k.id = e.kind
            where e.event_id = g.event_id and e.tenant = g.tenant and k.name = any(%(kinds)s) offset 0)
  from gone g join names t on t.id = g.tenant order by 1, 3"""


_READY: Final = """
select count(*) from (
    select from sentinel_stale
     where passed and wave < coalesce((select min(wave) from sentinel_stale where not passed), 9223372036854775807)
     limit %s) ready"""
"""Counts what ``_STALE`` would take."""


class Judged(NamedTuple):
    """What one step did: stale events taken off the queue, and of them those that are of a kind to be judged."""

    taken: int
    judged: int


def ready(connection: Connection, limit: int) -> bool:
    """Whether so many stale events wait to be judged."""
    row = connection.execute(_READY, [limit]).fetchone()
    return row is not None and row[0] >= limit


def judge(connection: Connection, reading: Reading, house: HouseRules = NO_RULES, *, limit: int = BATCH) -> Judged:
    """Judges the events that are stale the longest. Several may work at it: each takes others."""
    with connection.transaction():
        rows = connection.execute(_STALE, {"limit": limit, "kinds": list(KINDS)}).fetchall()
        tenants: dict[tuple[int, str], list[bytes]] = {}
        for number, name, event_id, wanted in rows:
            if wanted:
                tenants.setdefault((number, name), []).append(event_id.bytes)
        for (number, name), ids in tenants.items():
            made = list(judgements(connection, reading, name, ids, house))
            write(connection, number, made)
            _forget(connection, number, set(ids) - {each.event_id for each in made})
        for number in {row[0] for row in rows}:
            _forget(connection, number, {row[2].bytes for row in rows if row[0] == number and not row[3]})
    return Judged(len(rows), sum(map(len, tenants.values())))


def judgements(
    connection: Connection,
    reading: Reading,
    tenant: str,
    event_ids: Sequence[bytes],
    house: HouseRules = NO_RULES,
) -> Iterator[Judgement]:
    """The judgements of events, each as it would be alone."""
    pool = pool_above(connection, reading, tenant, event_ids)
    if pool is None and len(event_ids) > 1:
        half = len(event_ids) // 2
        yield from judgements(connection, reading, tenant, event_ids[:half], house)
        yield from judgements(connection, reading, tenant, event_ids[half:], house)
        return
    bench = Bench(pool, house) if pool is not None else None
    for event_id in event_ids:
        try:
            if bench is None:
                raise Overfull
            yield bench.judge(event_id)
        except KeyError:  # an event that went again, such as by a key that was taken back
            continue
        except Overfull:
            try:
                yield judge_alone(above_one(connection, reading, tenant, event_id), house)
            except NotFound:
                continue


_INSERT: Final = """
insert into judgements (event_id, tenant, action, kind, service, agent, system, resource, occurred_at, class, reason, grade, who,
    responsible)
select j.event_id, %(tenant)s, j.action, e.kind, (select id from names where name = j.service),
       (select id from names where name = j.agent), j.system, j.resource, j.occurred_at, j.class, j.reason, j.grade, j.who,
       j.responsible
  from unnest(%(event_id)s::uuid[], %(action)s::uuid[], %(service)s::text[], %(agent)s::text[], %(system)s::text[],
              %(resource)s::text[], %(occurred_at)s::bigint[], %(class)s::text[], %(reason)s::text[], %(grade)s::text[],
              %(who)s::bytea[], %(responsible)s::boolean[])
         j (event_id, action, service, agent, system, resource, occurred_at, class, reason, grade, who, responsible)
 cross join lateral (
           select min(e.kind) as kind from events e where e.event_id = j.event_id and e.tenant = %(tenant)s) e
 where e.kind is not null
on conflict (event_id, tenant) do update
   set action = excluded.action, kind = excluded.kind, service = excluded.service, agent = excluded.agent,
       system = excluded.system, resource = excluded.resource, occurred_at = excluded.occurred_at, class = excluded.class,
       reason = excluded.reason, grade = excluded.grade, who = excluded.who, responsible = excluded.responsible"""


def _forget(connection: Connection, tenant: int, event_ids: Collection[bytes]) -> None:
    """Takes back what was said of events that went again, such as by a key that was revoked."""
    if event_ids:
        _clear(connection, tenant, event_ids, "judgements", "judgement_waits", "contradictions")


def _clear(connection: Connection, tenant: int, ids: Iterable[bytes], *tables: str) -> None:
    given = of_ids(ids)
    for table in tables:
        connection.execute(
            f"delete from {table} where tenant = %s and event_id = any(%s::uuid[])".encode(),  # noqa: S608 (constants only)
            [tenant, given],
        )


def write(connection: Connection, tenant: int, made: Sequence[Judgement]) -> None:
    """Puts judgements in the place of those before. A contradiction that was there keeps its place in the list, so that whoever
    reads this page by page meets it once."""
    cursor = connection.cursor()
    ids = [each.event_id for each in made]
    _clear(connection, tenant, ids, "judgement_waits")
    columns = {
        "event_id": of_ids(each.event_id for each in made),
        "action": of_ids(each.action for each in made),
        "service": of_texts(each.service for each in made),
        "agent": of_texts(each.agent for each in made),
        "system": of_texts(each.system for each in made),
        "resource": of_texts(each.resource for each in made),
        "occurred_at": of_plain(each.occurred_at for each in made),
        "class": of_texts(each.class_ for each in made),
        "reason": of_texts(each.reason for each in made),
        "grade": of_texts(each.grade for each in made),
        "who": of_bytes(each.who for each in made),
        "responsible": of_plain(each.responsible for each in made),
    }
    cursor.execute(_INSERT, {"tenant": tenant, **columns})
    waits = [(digest, tenant, each.event_id.hex()) for each in made for digest in each.unresolved]
    with cursor.copy("copy judgement_waits (digest, tenant, event_id) from stdin") as copy:
        for row in waits:
            copy.write_row(row)
    accused = [
        (
            tenant,
            each.event_id.hex(),
            found.rule,
            found.severity,
            found.detail,
            found.closes,
            [event.hex() for event in found.evidence],
            found.opened_at,
            found.closed_at,
        )
        for each in made
        for found in each.accusations
    ]
    given = {
        "tenant": tenant,
        "ids": of_ids(ids),
        "of": of_plain(row[1] for row in accused),
        "rules": of_texts(row[2] for row in accused),
        "opened": of_plain(row[7] for row in accused),
    }
    connection.execute(_GONE, given)
    if accused:
        cursor.executemany(_ACCUSED, accused)


_GONE: Final = """
delete from contradictions c
 where c.tenant = %(tenant)s and c.event_id = any(%(ids)s::uuid[])
   and not exists (select from unnest(%(of)s::uuid[], %(rules)s::text[], %(opened)s::bigint[]) f (event_id, rule, opened_at)
                    where (f.event_id, f.rule, f.opened_at) = (c.event_id, c.rule, c.opened_at))"""
_ACCUSED: Final = """
insert into contradictions as c (tenant, event_id, rule, severity, detail, closes, evidence, opened_at, closed_at)
values (%s, %s::uuid, %s, %s, %s, %s, %s::uuid[], %s, %s)
on conflict (event_id, tenant, rule, opened_at) do update
   set severity = excluded.severity, detail = excluded.detail, closes = excluded.closes, evidence = excluded.evidence,
       closed_at = excluded.closed_at
 where (c.severity, c.detail, c.closes, c.evidence, c.closed_at)
       is distinct from (excluded.severity, excluded.detail, excluded.closes, excluded.evidence, excluded.closed_at)"""


__all__ = ["BATCH", "Judged", "judge", "judgements", "ready", "write"]
