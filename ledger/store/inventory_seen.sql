-- The latest events of each agent given.
with wanted as (
    select e.event_id as id
      from unnest(%(names)s::text[]) as a (name)
      join names n on n.name = a.name
     cross join lateral (
               select e.event_id from events e
                where e.tenant = (select id from names where name = %(tenant)s) and e.agent = n.id /*visible*/
                order by e.event_id desc limit %(each)s
           ) e
)
