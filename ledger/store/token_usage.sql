-- Issuances in a window of ids, which begin with their time: the first `scan` events of it are looked at, and the first `tokens`
-- issuances among them come. `far` is the last id looked at; null where the whole window was.
with window_ as materialized (
    select e.event_id, e.kind
      from events e
     where e.event_id >= (select %(since)s::uuid) and e.event_id < (select %(until)s::uuid)
       and e.tenant = (select id from names where name = %(tenant)s) /*visible*/
     order by e.event_id limit (select %(scan)s::bigint)
), found as materialized (
    select event_id from window_
     where kind = (select id from names where name = 'token_issuance')
     order by event_id limit (select %(tokens)s::bigint + 1)
)
select (select count(*) from window_), (select max(event_id::text)::uuid from window_),
       (select coalesce(array_agg(event_id order by event_id), '{}') from found)
