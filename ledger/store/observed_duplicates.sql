-- Of so many events from an id on: the ids that several events have. The last row tells where the look ended.
with looked as (
    select event_id from events
     where tenant = (select id from names where name = %(tenant)s) and event_id > %(after)s::uuid
     order by event_id limit %(scan)s
)
select l.event_id, n.events
  from (select distinct event_id from looked) l
 cross join lateral (
           select count(*) as events from events e
            where e.event_id = l.event_id and e.tenant = (select id from names where name = %(tenant)s)
       ) n
 where n.events > 1
union all
select max(event_id::text)::uuid, null from looked
