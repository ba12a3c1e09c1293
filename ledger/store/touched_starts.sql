-- The latest events of some kinds that answer to the keys given, before an id.
with wanted as (
    select distinct j.event_id as id
      from joins j
      join events e on e.event_id = j.event_id and e.kind in (select id from names where name = any(%(kinds)s::text[]))
       and e.tenant = (select id from names where name = %(tenant)s) /*visible*/
     where j.key = any((select %(keys)s::bigint[])::bigint[]) and j.event_id < %(before)s::uuid
     order by 1 desc limit %(starts)s
)
