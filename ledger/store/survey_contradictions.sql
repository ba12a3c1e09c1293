-- The next of a tenant's contradictions, those asked for among so many looked at; see survey_stored.sql. As of a time those that
-- were open then, as they are told now, with what of their evidence had come.
with tenant as materialized (
    select id from names where name = %(tenant)s
), looked as (
    select * from contradictions
     where (tenant, id) > ((select id from tenant), %(after)s) and tenant <= (select id from tenant)
     order by tenant, id limit %(scan)s
)
select t.last, t.looked, c.id, c.rule, v.name, c.event_id, c.detail, c.severity,
       case when %(as_of)s::bigint is null then c.evidence
            else array(select u.id from unnest(c.evidence) with ordinality u (id, place)
                        where exists (
                                  select from events e
                                   where e.event_id = u.id and e.tenant = c.tenant
                                     and exists (select from seals where id = e.seal and append_time <= %(as_of)s offset 0)
                                  offset 0)
                        order by u.place) end,
       c.opened_at, c.closed_at
  from (select max(id) as last, count(*) as looked from looked) t
  left join lateral (
           select * from looked
            where (%(name)s::text is null or rule = %(name)s)
              and (%(severity)s::text is null or severity = %(severity)s)
              and (%(agent)s::text is null or exists (
                      select from judgements j join names a on a.id = j.agent
                       where j.event_id = looked.event_id and j.tenant = looked.tenant and a.name = %(agent)s offset 0))
              and (%(as_of)s::bigint is null or opened_at <= %(as_of)s)
              and case %(state)s
                      when 'open' then closed_at is null or closed_at > %(as_of)s::bigint
                      when 'closed' then closed_at <= coalesce(%(as_of)s::bigint, closed_at)
                      else true
                  end
            order by id limit %(room)s + 1
       ) c on true
  left join lateral (select service from judgements where event_id = c.event_id and tenant = c.tenant offset 0) j on true
  left join names v on v.id = j.service
 order by c.id
