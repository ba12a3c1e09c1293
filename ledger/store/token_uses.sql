-- Of each key the number of events that answer to it, up to `count`, and the ids of its first `some` and of its last.
select k.key,
       (select count(*) from (select 1 from joins j where j.key = k.key /*seen*/ limit (select %(count)s::bigint)) c),
       array(select j.event_id from joins j where j.key = k.key /*seen*/
              order by j.event_id limit (select %(some)s::bigint))
    || array(select j.event_id from joins j where j.key = k.key /*seen*/ order by j.event_id desc limit 1)
  from unnest((select %(keys)s::bigint[])) as k (key)
