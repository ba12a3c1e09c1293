-- Of each key the ids of the `first` events that answer to it, and of its last.
select k.key,
       array(select j.event_id from joins j where j.key = k.key /*seen*/
              order by j.event_id limit (select %(first)s::bigint))
    || array(select j.event_id from joins j where j.key = k.key /*seen*/ order by j.event_id desc limit 1)
  from unnest((select %(keys)s::bigint[])) as k (key)
