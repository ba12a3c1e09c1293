-- The agents that a tenant's events name, each once: from one agent of the index to the next, however many events each has.
with recursive tenant as materialized (
    select id from names where name = %(tenant)s
), seen (agent) as (
    (select e.agent from events e
      where e.tenant = (select id from tenant) and e.agent is not null order by e.agent limit 1)
  union all
    select (select e.agent from events e
             where e.tenant = (select id from tenant) and e.agent > seen.agent order by e.agent limit 1)
      from seen where seen.agent is not null
), bounded as materialized (
    select agent from seen where agent is not null limit %(agents)s
)
select n.name from bounded b join names n on n.id = b.agent
