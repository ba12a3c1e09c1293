-- The events of a run in order of time: from a place on, or back from it.
with found as (
    select e.event_id, e.digest
      from events e
     where e.execution_id = %(execution)s::uuid and e.tenant = (select id from names where name = %(tenant)s) /*place*/ /*visible*/
     order by e.occurred_at /*back*/, e.event_id /*back*/, e.digest /*back*/
     limit %(limit)s
)
