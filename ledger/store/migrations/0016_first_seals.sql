-- An event under several seals stands under the first of them to be in the log under which it has an effect (ledger/store/sighted.py);
-- an earlier release had it stand under the one that came first to the materializer, with the effect that it had under any.
with standing as (
    select distinct on (a.event_id, a.digest) a.event_id, a.digest, e.seal as old_seal, e.at as old_at, e.own as old_effective,
           a.seal, a.at, a.effective
      from (select distinct event_id, digest from sightings) i
     cross join lateral (
               select v.seal, v.at, not exists (
                          select from findings f join seals l on l.id = v.seal
                           where f.name = 'unauthorized_kind' and f.closed_at is null
                             and (f.chain, f.number, f.event_id, f.digest) = (l.chain, l.number, v.event_id, v.digest)) as own
                 from events v where v.event_id = i.event_id and v.digest = i.digest
           ) e
     cross join lateral (
               select i.event_id, i.digest, e.seal, e.at, e.own as effective
               union all
               select s.event_id, s.digest, s.seal, s.at, s.effective from sightings s
                where s.event_id = i.event_id and s.digest = i.digest
           ) a
      join seals o on o.id = a.seal
     order by a.event_id, a.digest, not a.effective, o.append_time, o.digest, a.at
), moved as (
    select * from standing where (seal, at) <> (old_seal, old_at)
), taken as (
    delete from sightings s using moved n
     where (s.event_id, s.digest, s.seal, s.at) = (n.event_id, n.digest, n.seal, n.at)
), left_behind as (
    insert into sightings select event_id, digest, old_seal, old_at, old_effective from moved
)
update events e set seal = n.seal, at = n.at from moved n where (e.event_id, e.digest) = (n.event_id, n.digest);
