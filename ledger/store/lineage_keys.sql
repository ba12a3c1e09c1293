-- Events that answer to the keys given, so many a key, the latest first.
with wanted as (
    select distinct j.event_id as id
      from unnest((select %(keys)s::bigint[])) as k (key)
     cross join lateral (
               select j.event_id from joins j where j.key = k.key order by j.event_id desc limit (select %(candidates)s::bigint)
           ) j
)
