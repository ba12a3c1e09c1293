-- What else an answer says, in one look-up: of the chains given how far each is known and when it was last heard; the findings
-- that are open, or were as of an append time, on the events given and on the chains given, or a seal of theirs. As of an append time
-- a chain is known as far as it was then, without what came later. Whom digests name is asked with it: persons_named.sql.
with held as (
    select event_id, chain, number, name, digest
      from findings f
     where case when %(as_of)s::bigint is null then f.closed_at is null
                else f.opened_at <= %(as_of)s and (f.closed_at is null or f.closed_at > %(as_of)s) end
       and (f.event_id = any((select %(ids)s::text::uuid[])::uuid[])
            or f.event_id is null and f.chain = any((select %(chains)s::bigint[])::bigint[]))
)
select 'chain', c.id, s.name, c.key_id, c.chain_id,
       c.closed_at is not null and (%(as_of)s::bigint is null or exists (
           select 1 from seals e where e.chain = c.id and e.number = c.closed_at and e.append_time <= %(as_of)s offset 0)),
       last.append_time, last.next_within,
       case when %(as_of)s::bigint is null
            then (select max(e.first_sequence + e.event_count)
                    from runs r join seals e on e.chain = r.chain and e.number = r.stop
                   where r.chain = c.id and r.start = 0)
            else (select max(e.first_sequence + e.event_count)
                    from runs r join seals e on e.chain = r.chain and e.number between r.start and r.stop
                   where r.chain = c.id and r.start = 0
                     and e.number < coalesce((select min(late.number)
                                                from (select number from seals where chain = c.id group by number
                                                      having min(append_time) > %(as_of)s) late), r.stop + 1))
       end,
       null::uuid, null::bigint, null, null::bytea, null::bytea
  from chains c
  join names s on s.id = c.service
  left join lateral (
           select e.append_time, e.next_within from seals e
            where e.chain = c.id and (%(as_of)s::bigint is null or e.append_time <= %(as_of)s)
            order by e.number desc limit 1
       ) last on true
 where c.id = any((select %(chains)s::bigint[])::bigint[])
union all
select 'finding', chain, null, null, null, null, null, null, null, event_id, number, name, digest, null from held
