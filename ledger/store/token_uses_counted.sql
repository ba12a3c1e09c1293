-- Of each key the number of events that answer to it, up to `count`.
select k.key,
       (select count(*) from (select 1 from joins j where j.key = k.key /*seen*/ limit (select %(count)s::bigint)) c)
  from unnest((select %(keys)s::bigint[])) as k (key)
