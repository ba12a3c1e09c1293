-- Actions that name one of the events given as a cause: among the first effects of each, so many, are its other accounts. An event
-- given that has more effects comes back itself.
with given as (
    select unnest((select %(ids)s::uuid[])) as id
), wanted as (
    select distinct e.event_id as id
      from given i
     cross join lateral (
               select c.effect from causes c where c.cause = i.id order by c.effect limit (select %(effects)s::bigint)
           ) c
      join events e on e.event_id = c.effect and e.effective and e.kind in (select id from names where name = 'api_action')
       and e.tenant = (select id from names where name = %(tenant)s) and e.event_id not in (select id from given) /*visible*/
    union all
    select i.id from given i
     where exists (select 1 from causes c where c.cause = i.id order by c.effect offset (select %(effects)s::bigint) limit 1)
)
