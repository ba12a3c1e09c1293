-- Events below those given, by the causes that later events state. Set-based and directed, as lineage_up.sql is. An effect is
-- followed on where it is an event of this tenant, visible by then, that cites what it should: another of its id may be the one that
-- did. Digests are compared when read.
with recursive walk (id) as (
    select unnest((select %(start)s::uuid[]))
  union
    select next.id
      from walk
     cross join lateral (
               select c.effect as id
                 from causes c
                where c.cause = walk.id
                  and exists (select from events e
                               where e.event_id = c.effect and e.effective and c.cause = any(e.causes)
                                 and e.tenant = (select id from names where name = %(tenant)s) /*visible*/ offset 0)
               offset 0
           ) next
), wanted as (
    select id from walk limit (select %(nodes)s::bigint)
)
