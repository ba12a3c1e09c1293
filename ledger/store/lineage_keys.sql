-- Events that answer to the keys given, so many a key: the nearest by id, before `near` and after it.
with wanted as (
    select distinct j.event_id as id
      from unnest((select %(keys)s::bigint[])) as k (key)
     cross join lateral (
               (select j.event_id from joins j where j.key = k.key and j.event_id <= (select %(near)s::uuid) /*seen*/
                 order by j.event_id desc limit (select %(candidates)s::bigint))
            union all
               (select j.event_id from joins j where j.key = k.key and j.event_id > (select %(near)s::uuid) /*seen*/
                 order by j.event_id limit (select %(candidates)s::bigint))
           ) j
)
