-- Of so many events from an id on: the causes that are not in this tenant's ledger. The last row tells where the look ended.
with looked as (
    select event_id, digest, causes from events
     where tenant = (select id from names where name = %(tenant)s) and effective and event_id > %(after)s::uuid
     order by event_id limit %(scan)s
)
select l.event_id, l.digest, cause
  from looked l cross join lateral unnest(l.causes) as cause
 where not exists (
           select 1 from events e
            where e.event_id = cause and e.tenant = (select id from names where name = %(tenant)s)
       )
union all
select max(event_id::text)::uuid, null, null from looked
