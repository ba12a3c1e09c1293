-- What else an answer says about the chains given: how far each is known, when it was last heard, what is open on it. As of an
-- append time: how far it was known then, without what came later and with what was open.
select c.id, s.name, c.key_id, c.chain_id,
       c.closed_at is not null and (%(as_of)s::bigint is null or exists (
           select 1 from seals e where e.chain = c.id and e.number = c.closed_at and e.append_time <= %(as_of)s)),
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
       coalesce((select array_agg(distinct f.name order by f.name)
                   from findings f
                  where f.chain = c.id and f.event_id is null
                    and case when %(as_of)s::bigint is null then f.closed_at is null
                             else f.opened_at <= %(as_of)s and (f.closed_at is null or f.closed_at > %(as_of)s) end), '{}')
  from chains c
  join names s on s.id = c.service
  left join lateral (
           select e.append_time, e.next_within from seals e
            where e.chain = c.id and (%(as_of)s::bigint is null or e.append_time <= %(as_of)s)
            order by e.number desc limit 1
       ) last on true
 where c.id = any((select %(chains)s::bigint[])::bigint[])
 order by s.name collate "C", c.key_id collate "C", c.chain_id
