-- The next of the refused records whose seal claims a tenant (`whole`: and of those that claim none), those asked for among so
-- many looked at. Ordered by tenant and id: see survey_stored.sql.
with looked as (
    select * from (
        (select id, reason, detail, append_time, service, key_id, raw_digest, topic, partition, log_offset from rejected
          where (tenant, id) > (%(tenant)s, %(after)s) and tenant <= %(tenant)s order by tenant, id limit %(scan)s)
        union all
        (select id, reason, detail, append_time, service, key_id, raw_digest, topic, partition, log_offset from rejected
          where %(whole)s and tenant is null and id > %(after)s order by id limit %(scan)s)
    ) r order by id limit %(scan)s
)
select t.last, t.looked, r.id, r.reason, r.service, r.key_id, r.raw_digest, r.topic, r.partition, r.log_offset, r.detail,
       r.append_time
  from (select max(id) as last, count(*) as looked from looked) t
  left join lateral (
           select * from looked
            where (%(name)s::text is null or reason = %(name)s)
              and (%(as_of)s::bigint is null or append_time <= %(as_of)s)
            order by id limit %(room)s + 1
       ) r on true
 order by r.id
