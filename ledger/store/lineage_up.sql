-- Events above those given: by their causes, and by whatever answers to the names that they follow. Set-based and directed;
-- UNION keeps each id once, and LIMIT ends the recursion (the nearest come first). An id without an event comes back alone:
-- a cause that is not in this tenant's ledger. Ineffective events are shown and lead nowhere.
-- Of what answers to a name the nearest in time come, on both sides, and one more than are looked at: then it is known that
-- there were more.
-- Parameters stand in sub-selects, so that a plan for any values costs what one for these values does, and is kept.
-- OFFSET 0 has each event looked up by its id: a store that is filled for the first time has no statistics yet, and the planner
-- read all events in every round to join them.
-- The inner LIMIT bounds nothing that the outer one does not: without it the planner expects ten times as much, and makes room
-- for a hundred thousand ids before it looks at the first. That was half of what a question cost it.
with recursive walk (id) as (
    select unnest((select %(start)s::uuid[]))
  union
    select next.id
      from walk
      join lateral (
               select e.causes, e.follows
                 from events e
                where e.event_id = walk.id and e.effective
                  and e.tenant = (select id from names where name = %(tenant)s) /*visible*/
               offset 0
           ) e on true
     cross join lateral (
               select unnest(e.causes) as id
            union all
               select j.event_id
                 from unnest(e.follows) as f (key)
                cross join lateral (
                          (select j.event_id from joins j where j.key = f.key and j.event_id <= walk.id /*seen*/
                            order by j.event_id desc limit (select %(candidates)s::bigint + 1))
                       union all
                          (select j.event_id from joins j where j.key = f.key and j.event_id > walk.id /*seen*/
                            order by j.event_id limit (select %(candidates)s::bigint + 1))
                      ) j
             limit (select %(nodes)s::bigint)
           ) next
), wanted as (
    select id from walk limit (select %(nodes)s::bigint)
)
