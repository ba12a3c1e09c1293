-- The next seals of a tenant, chain by chain, the latest first, each with the events seen first under it: whole seals, so many
-- events at most but for the first seal. A seal without events is a row all the same: it was looked at. The first columns,
-- how many chains were looked at and the lowest of them, stand also where these have no further seal.
with listed as (
    select id, service, key_id, chain_id from chains
     where (tenant, id) <= ((select id from names where name = %(tenant)s), %(chain)s)
       and tenant >= (select id from names where name = %(tenant)s)
     order by tenant desc, id desc limit %(chains)s
), sealed as (
    select s.* from listed c
     cross join lateral (
               select s.id, s.chain, s.number, s.append_time, s.event_count, s.digest, c.service, c.key_id, c.chain_id from seals s
                where s.chain = c.id
                  and s.number <= case when c.id = %(chain)s then %(number)s else 9223372036854775807 end
                  and (c.id < %(chain)s or s.number < %(number)s or s.id < %(seal)s)
                order by s.number desc, s.id desc limit %(seals)s
           ) s
     order by s.chain desc, s.number desc, s.id desc limit %(seals)s
), looked as (
    select s.*, sum(s.event_count) over (order by s.chain desc, s.number desc, s.id desc) - s.event_count as before
      from sealed s
)
select t.chains, t.lowest, l.chain, l.number, l.id, l.append_time, l.event_count, n.name, l.key_id, l.chain_id,
       e.at, e.event_id, e.digest, e.header, e.payload, e.effective, e.salt, e.occurred_at, l.digest
  from (select count(*) as chains, min(id) as lowest from listed) t
  left join looked l on l.before < %(events)s
  left join names n on n.id = l.service
  left join lateral (
           -- `offset 0`: by the index on seal, whatever the planner expects of it.
           select e.at, e.event_id, e.digest, e.header, e.payload, e.effective, e.salt, e.occurred_at
             from events e
            where e.seal = l.id and (%(as_of)s::bigint is null or l.append_time <= %(as_of)s) offset 0
       ) e on true
 order by l.chain desc, l.number desc, l.id desc, e.at
