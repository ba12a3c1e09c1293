-- What stands beside a question, in one look-up: the other accounts of its action, and what answers to the names that surround it.
-- Accounts are actions that name one of the events given as a cause, among the first effects of each in this tenant, so many. An
-- event given that has more effects comes back itself; so does one whose id others copied so often that not all who cite it are
-- looked at. What answers to a key comes as in lineage_keys.sql, without the events given.
with given as (
    select unnest((select %(ids)s::uuid[])) as id
), effects as (
    select i.id, f.event_id as effect, f.kind, f.copies, row_number() over (partition by i.id order by f.effect) as place
      from given i
     cross join lateral (
               select c.effect, c.copies, e.event_id, e.kind
                 from (select c.effect, row_number() over (order by c.effect) as copies from causes c
                        where c.cause = i.id order by c.effect limit (select %(copies)s::bigint + 1)) c
                 left join lateral (
                           select e.event_id, e.kind from events e
                            where e.event_id = c.effect and e.effective and i.id = any(e.causes)
                              and e.tenant = (select id from names where name = %(tenant)s) /*visible*/ offset 0
                      ) e on true
                where e.event_id is not null or c.copies > (select %(copies)s::bigint)
                order by c.effect limit (select %(effects)s::bigint + 1)
           ) f
), answers as (
    select j.event_id as id
      from unnest((select %(keys)s::bigint[])) as k (key)
     cross join lateral (
               (select j.event_id from joins j where j.key = k.key and j.event_id <= (select %(near)s::uuid) /*seen*/
                 order by j.event_id desc limit (select %(candidates)s::bigint))
            union all
               (select j.event_id from joins j where j.key = k.key and j.event_id > (select %(near)s::uuid) /*seen*/
                 order by j.event_id limit (select %(candidates)s::bigint))
           ) j
), wanted as (
    (select effect as id from effects
      where kind = (select id from names where name = 'api_action') and place <= (select %(effects)s::bigint)
     union
     select id from answers)
    except select id from given
    union all
    select distinct id from effects where place > (select %(effects)s::bigint) or copies > (select %(copies)s::bigint)
)
