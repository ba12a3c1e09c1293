-- The opening events of a tenant's chains: each chain's first sealed event, by which it says what it continues. Columns as in
-- lineage_events.sql.
select e.event_id, e.digest, e.header, e.salt, e.payload, e.effective, e.at, e.seal, s.digest, s.append_time, s.chain,
       1 + (select count(*) from sightings t where t.event_id = e.event_id and t.digest = e.digest), e.occurred_at
  from chains c
  join names n on n.id = c.service
 cross join lateral (select * from seals where chain = c.id and number = 0 offset 0) s
 cross join lateral (select * from events where seal = s.id and at = 0 and effective offset 0) e
 where c.tenant = (select id from names where name = %(tenant)s)
   and (%(services)s::text[] is null or n.name = any(%(services)s)) and e.payload is not null
   and (%(as_of)s::bigint is null or s.append_time <= %(as_of)s)
 order by c.id desc
 limit %(limit)s
