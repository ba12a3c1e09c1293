-- What came of the tokens and grants whose uses the keys `start` name: what was obtained with them, step by step, and what was
-- done with any of it. Set-based and directed over keys, each met once; nothing is decoded. Counts and a page of ids, in order
-- of id, which begins with the time; ids from `since` on are counted apart, and alone are paged where `only_since`.
-- Counting ends at `count` rows and at `rights` keys, and says so by being above them; then the page is read key by key, in order.
-- Whoever reads this learns too whether rows of a release before are in the store, of which nothing is known here.
with recursive walk (key) as (
    select unnest((select %(start)s::bigint[]))
  union
    select next.below
      from walk
     cross join lateral (
               select j.below from rights j where j.above = walk.key /*seen*/ offset 0
           ) next
), kept as materialized (
    select key from walk limit (select %(rights)s::bigint + 1)
), steps as materialized (
    select j.below, j.event_id, j.how
      from kept k
     cross join lateral (
               select j.below, j.event_id, j.how from rights j where j.above = k.key and j.how <> 5 /*seen*/
               offset 0
           ) j
     limit (select %(count)s::bigint + 1)
), used as materialized (
    select j.event_id
      from kept k
     cross join lateral (
               select j.event_id from joins j where j.key = k.key /*seen*/ offset 0
           ) j
     limit (select %(count)s::bigint + 1)
), done as (
    select distinct u.event_id from used u where not exists (select from steps s where s.event_id = u.event_id)
), met as (
    select distinct event_id
      from (select event_id from steps union all select event_id from used) e
     where event_id > (select %(after)s::uuid)
     order by event_id limit (select %(page)s::bigint + 1)
), listed as (
    select distinct j.event_id
      from kept k
     cross join lateral (
               (select j.event_id from rights j
                 where j.above = k.key and j.how <> 5 and j.event_id > (select %(after)s::uuid) /*seen*/
                 order by j.event_id limit (select %(page)s::bigint + 1))
            union all
               (select j.event_id from joins j
                 where j.key = k.key and j.event_id > (select %(after)s::uuid) /*seen*/
                 order by j.event_id limit (select %(page)s::bigint + 1))
           ) j
     order by 1 limit (select %(page)s::bigint + 1)
), met_rows as (
    select (select count(*) from kept) as kept, (select count(*) from steps) as steps, (select count(*) from used) as used
)
select m.kept, m.steps, m.used,
       o.rights, o.since, d.done, d.since,
       exists (select from rights_since where seal > 0),
       case when m.steps <= %(count)s and m.used <= %(count)s
            then (select coalesce(array_agg(event_id order by event_id), '{}') from met)
            else (select coalesce(array_agg(event_id order by event_id), '{}') from listed) end
  from met_rows m
 cross join (select count(*) as done, count(*) filter (where event_id >= (select %(since)s::uuid)) as since from done) d
 cross join (
           select count(*) as rights, count(*) filter (where since) as since
             from (select below, bool_or(event_id >= (select %(since)s::uuid)) as since
                     from steps where how <= 4 group by below) b
       ) o
