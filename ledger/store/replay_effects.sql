-- Events outside a run that name one of its events as a cause: so many, the earliest first, of the first that each one has.
with wanted as (
    select distinct c.effect as id
      from unnest((select %(ids)s::uuid[])) as i (id)
     cross join lateral (
               select c.effect from causes c where c.cause = i.id order by c.effect limit (select %(each)s::bigint)
           ) c
     where exists (
               select 1 from events e
                where e.event_id = c.effect and i.id = any(e.causes) and e.execution_id is distinct from (select %(execution)s::uuid)
                  and e.tenant = (select id from names where name = %(tenant)s) /*visible*/ offset 0)
     order by 1 limit (select %(effects)s::bigint)
)
