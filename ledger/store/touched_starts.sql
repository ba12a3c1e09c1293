-- The latest events of some kinds that answer to the keys given, before an id.
with wanted as (
    select distinct j.event_id as id
      from unnest((select %(keys)s::bigint[])) as k (key)
     cross join lateral (
               select j.event_id from joins j
                where j.key = k.key and j.event_id < %(before)s::uuid
                  and exists (select from events e
                               where e.event_id = j.event_id
                                 and e.kind = any(array(select id from names where name = any(%(kinds)s::text[])))
                                 and e.tenant = (select id from names where name = %(tenant)s) /*visible*/ offset 0)
                order by j.event_id desc limit %(starts)s
           ) j
     order by 1 desc limit %(starts)s
)
