-- The next of a tenant's stored findings (`whole`: and of those that concern no tenant), those asked for among so many looked at.
-- Ordered by tenant and id, and not by tenant = …, so that no plan walks over another tenant's rows along the primary key.
with tenant as materialized (
    select id from names where name = %(tenant)s
), looked as (
    select * from (
        (select * from findings
          where (tenant, id) > ((select id from tenant), %(after)s) and tenant <= (select id from tenant)
          order by tenant, id limit %(scan)s)
        union all
        (select * from findings where %(whole)s and tenant is null and id > %(after)s order by id limit %(scan)s)
    ) f order by id limit %(scan)s
)
select t.last, t.looked, f.id, f.name, s.name, c.key_id, c.chain_id, f.number, f.until, f.digest, f.event_id, f.detail,
       f.opened_at, f.closed_at
  from (select max(id) as last, count(*) as looked from looked) t
  left join lateral (
           select * from looked
            where (%(name)s::text is null or name = %(name)s)
              and (%(as_of)s::bigint is null or opened_at <= %(as_of)s)
              and case %(state)s
                      when 'open' then closed_at is null or closed_at > %(as_of)s::bigint
                      when 'closed' then closed_at <= coalesce(%(as_of)s::bigint, closed_at)
                      else true
                  end
            order by id limit %(room)s + 1
       ) f on true
  left join chains c on c.id = f.chain left join names s on s.id = c.service
 order by f.id
