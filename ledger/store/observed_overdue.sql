-- Chains whose next seal was promised and is late. Continuation, which ends a promise, is told by later chains' first events.
select c.id, n.name, c.key_id, c.chain_id, last.number, last.append_time + last.next_within * 1000000
  from chains c
  join names n on n.id = c.service
  join lateral (
           select s.number, s.append_time, s.next_within from seals s
            where s.chain = c.id and (%(as_of)s::bigint is null or s.append_time <= %(as_of)s)
            order by s.number desc limit 1
       ) last on true
 where c.tenant = (select id from names where name = %(tenant)s) and c.closed_at is null and c.id > %(after)s
   and last.next_within > 0 and last.append_time + last.next_within * 1000000 < %(now)s
 order by c.id
 limit %(limit)s
