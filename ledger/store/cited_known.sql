-- Which of these ids a tenant has, under which digests; with what each cites where that is asked for.
select w.id, e.digest, e.header
  from unnest(%(ids)s::uuid[]) as w (id)
 cross join lateral (
           select e.digest, case when %(headers)s and e.effective and e.causes is not null then e.header end as header
             from events e
            where e.event_id = w.id and e.tenant = (select id from names where name = %(tenant)s) /*visible*/ offset 0
       ) e
