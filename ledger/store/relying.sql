-- Actions that state one of the events given as a cause, so many an event: the nearest by id, before `near` and after it, among so
-- many effects on either side. An event given of which not all effects were looked at comes back itself.
with wanted as (
    select distinct f.id
      from unnest((select %(ids)s::uuid[])) as i (id)
     cross join lateral (
               (select case when c.place > (select %(effects)s::bigint) then i.id else c.effect end as id
                  from (select c.effect, row_number() over (order by c.effect desc) as place
                          from causes c where c.cause = i.id and c.effect <= (select %(near)s::uuid)
                         order by c.effect desc limit (select %(effects)s::bigint + 1)) c
                 where c.place > (select %(effects)s::bigint)
                    or exists (select from events e
                                where e.event_id = c.effect and e.effective and i.id = any(e.causes)
                                  and e.kind = (select id from names where name = 'api_action')
                                  and e.tenant = (select id from names where name = %(tenant)s) /*visible*/ offset 0)
                 order by c.effect desc limit (select %(candidates)s::bigint))
            union all
               (select case when c.place > (select %(effects)s::bigint) then i.id else c.effect end as id
                  from (select c.effect, row_number() over (order by c.effect) as place
                          from causes c where c.cause = i.id and c.effect > (select %(near)s::uuid)
                         order by c.effect limit (select %(effects)s::bigint + 1)) c
                 where c.place > (select %(effects)s::bigint)
                    or exists (select from events e
                                where e.event_id = c.effect and e.effective and i.id = any(e.causes)
                                  and e.kind = (select id from names where name = 'api_action')
                                  and e.tenant = (select id from names where name = %(tenant)s) /*visible*/ offset 0)
                 order by c.effect limit (select %(candidates)s::bigint))
           ) f
)
