-- The events of a run, in order of time, from a place on.
with found as (
    select e.event_id, e.digest
      from events e
     where e.execution_id = %(execution)s::uuid and e.tenant = (select id from names where name = %(tenant)s) /*after*/
     order by e.occurred_at, e.event_id, e.digest
     limit %(limit)s
)
