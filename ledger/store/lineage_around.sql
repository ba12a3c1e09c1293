-- What else an answer says about the chains given: how far each is known, when it was last heard, what is open on it.
select c.id, s.name, c.key_id, c.chain_id, c.closed_at is not null, last.append_time, last.next_within,
       (select max(e.first_sequence + e.event_count)
          from runs r join seals e on e.chain = r.chain and e.number = r.stop
         where r.chain = c.id and r.start = 0),
       coalesce((select array_agg(distinct f.name order by f.name)
                   from findings f where f.chain = c.id and f.closed_at is null and f.event_id is null), '{}')
  from chains c
  join names s on s.id = c.service
  left join lateral (
           select e.append_time, e.next_within from seals e
            where e.chain = c.id and (%(as_of)s::bigint is null or e.append_time <= %(as_of)s)
            order by e.number desc limit 1
       ) last on true
 where c.id = any((select %(chains)s::bigint[])::bigint[])
 order by c.id
