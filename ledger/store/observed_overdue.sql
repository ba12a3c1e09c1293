-- The tenant's next chains, each with its last seal's promise where that is late. Continuation, which ends a promise, is told
-- by later chains' first events.
select c.id, n.name, c.key_id, c.chain_id, last.number, last.append_time + last.next_within * 1000000
  from (
           select id, service, key_id, chain_id, closed_at from chains
            where (tenant, id) > ((select id from names where name = %(tenant)s), %(after)s)
              and tenant <= (select id from names where name = %(tenant)s)
            order by tenant, id limit %(chains)s
       ) c
  join names n on n.id = c.service
  left join lateral (
           select s.number, s.append_time, s.next_within from seals s
            where s.chain = c.id and (%(as_of)s::bigint is null or s.append_time <= %(as_of)s)
            order by s.number desc limit 1
       ) last on last.next_within > 0 and last.append_time + last.next_within * 1000000 < %(now)s
             and not exists (
                     select 1 from seals k where k.chain = c.id and k.number = c.closed_at
                        and (%(as_of)s::bigint is null or k.append_time <= %(as_of)s) offset 0
                 )
 order by c.id
