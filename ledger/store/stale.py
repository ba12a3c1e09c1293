"""Which judgements become stale by what: statements that queue them. Safe to repeat."""

from __future__ import annotations

from typing import Final

from ledger.format.content import PRINCIPAL
from ledger.ports import EVENTS


def _stale(found: str) -> str:
    """A statement that queues what ``found``, a table of that name, holds, but for what stands under a seal that is not swept
    yet: that comes by itself, and whoever is behind would judge it twice.

    Look-ups by key, one after the other: OFFSET 0 keeps the planner, which cannot know how many are found, from reading whole
    tables to join them.
    """
    return found + _STALE


_STALE: Final = f"""
insert into sentinel_stale as s (event_id, tenant, wave, passed, since)
select distinct on (f.event_id, f.tenant) f.event_id, f.tenant, %(wave)s, false, f.since from found f
 where not exists (
           select from seals s
             join positions p on p.topic = '{EVENTS}' and p.partition = s.partition and s.log_offset < p.next_offset
             left join sentinel_positions m
               on m.partition = p.partition and m.identity = p.identity and m.next_offset <= p.next_offset
            where s.id = f.seal and s.log_offset >= coalesce(m.next_offset, 0) offset 0)
 order by f.event_id, f.tenant, f.since
on conflict (event_id, tenant) do update
   set wave = excluded.wave, passed = false, since = least(s.since, excluded.since) where s.wave < excluded.wave"""  # noqa: S608 (constants only)
AWAITED: Final = _stale("""
with recursive waiting (digest) as (
    (select digest from judgement_waits order by digest limit 1)
  union all
    select (select w.digest from judgement_waits w where w.digest > waiting.digest order by w.digest limit 1)
      from waiting where waiting.digest is not null
), came as (
    select w.digest, c.tenant, c.append_time from waiting w join contents c on c.digest = w.digest
    union
    select w.digest, x.tenant, x.append_time from waiting w join erasures x on x.digest = w.digest and not x.is_event
), found as (
    select w.event_id, w.tenant, null::bigint as seal, came.append_time as since
      from came join judgement_waits w on w.digest = came.digest and w.tenant = came.tenant
)""")
ERASED: Final = _stale("""
with found as (
    select o.event_id, o.tenant, o.seal, %(since)s::bigint as since
      from (select distinct seal from events where digest = any(%(digests)s)) e
     cross join lateral (select event_id, tenant, seal from events where seal = e.seal offset 0) o
)""")
JUDGE: Final = """
insert into sentinel_stale as s (event_id, tenant, wave, passed, since)
select distinct on (f.event_id, f.tenant) f.event_id, f.tenant, %(wave)s, true, f.since
  from unnest(%(ids)s::uuid[], %(tenants)s::int[], %(sinces)s::bigint[]) f (event_id, tenant, since)
 order by f.event_id, f.tenant, f.since
on conflict (event_id, tenant) do update
   set wave = excluded.wave, passed = true, since = least(s.since, excluded.since) where s.wave < excluded.wave"""
OF_AGENTS: Final = _stale("""
with found as (
    select e.event_id, e.tenant, e.seal, %(since)s::bigint as since
      from names a cross join lateral (select event_id, tenant, seal from events where agent = a.id offset 0) e
     where a.name = any(%(names)s)
)""")
KNOWN_AS: Final = f"""
select n.name, c.digest from contents c join names n on n.id = c.tenant
 where c.subjects && %s::text[] and c.media_type = '{PRINCIPAL}'"""  # noqa: S608 (constants only)
OF_APPROVERS: Final = _stale("""
with found as (
    select e.event_id, e.tenant, e.seal, %(since)s::bigint as since
      from joins j
     cross join lateral (select event_id, tenant, seal, kind from events where event_id = j.event_id offset 0) e
     where j.key = any(%(keys)s::bigint[]) and e.kind = (select id from names where name = 'oversight')
)""")
"""What somebody approved who is registered as an agent now."""
OF_RUNS: Final = _stale("""
with found as (
    select e.event_id, e.tenant, e.seal, %(since)s::bigint as since from events e where e.execution_id = any(%(runs)s::uuid[])
)""")
ACCOUNTS: Final = _stale("""
with found as (
    select e.event_id, e.tenant, e.seal, %(since)s::bigint as since from events e where e.event_id = any(%(ids)s::uuid[])
)""")
APPROVALS: Final = _stale("""
with found as (
    select e.event_id, e.tenant, e.seal, %(since)s::bigint as since
      from events e where e.event_id = any(%(ids)s::uuid[]) and e.kind = (select id from names where name = 'oversight')
)""")
"""Approvals that actions cite of which something is new: what else relied on one may be one use too many now, or no more."""
NAMING: Final = _stale("""
with found as (
    select e.event_id, e.tenant, e.seal, %(since)s::bigint as since
      from joins j cross join lateral (select event_id, tenant, seal from events where event_id = j.event_id offset 0) e
     where j.key = any(%(keys)s::bigint[])
)""")
BELOW: Final = _stale("""
with changed as (
    select * from unnest(%(keys)s::bigint[], %(sinces)s::bigint[]) k (key, since)
), known as (
    select id from unnest(%(ids)s::uuid[]) i (id)
), reached as (
    select l.event_id, k.since
      from changed k cross join lateral (select event_id from sentinel_looks where key = k.key offset 0) l
    union all
    select c.effect, %(since)s::bigint
      from known i cross join lateral (select effect from causes where cause = i.id offset 0) c
), others as (
    select event_id, min(since) as since from reached where event_id not in (select id from known) group by event_id
), found as (
    select o.event_id, e.tenant, e.seal, o.since
      from others o cross join lateral (select tenant, seal from events where event_id = o.event_id offset 0) e
)""")


__all__ = [
    "ACCOUNTS",
    "APPROVALS",
    "AWAITED",
    "BELOW",
    "ERASED",
    "JUDGE",
    "KNOWN_AS",
    "NAMING",
    "OF_AGENTS",
    "OF_APPROVERS",
    "OF_RUNS",
]
