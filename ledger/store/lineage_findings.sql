-- The findings that are open, or were as of an append time: on the events given, and on the seals of the chains given.
with held as (
    select event_id, chain, number, name, digest
      from findings f
     where case when %(as_of)s::bigint is null then f.closed_at is null
                else f.opened_at <= %(as_of)s and (f.closed_at is null or f.closed_at > %(as_of)s) end
       and (f.event_id = any((select %(ids)s::text::uuid[])::uuid[])
            or f.event_id is null and f.chain = any((select %(chains)s::bigint[])::bigint[]) and f.number is not null)
)
select event_id, null::bigint, null::bigint, name, digest from held where event_id is not null
union all
select null, chain, number, name, digest from held where event_id is null
