-- The events of `wanted`, each with one sighting: its seal. Look-ups by key, one after the other: OFFSET 0 keeps the planner,
-- which cannot know how many are wanted, from reading whole tables to join them.
select w.id, e.digest, e.header, e.salt, e.payload, e.effective, e.at, e.seal, s.digest, s.append_time, s.chain, e.sightings,
       e.occurred_at
  from wanted w
  left join lateral (
           select e.digest, e.header, e.salt, e.payload, e.effective, e.at, e.seal, e.occurred_at,
                  1 + (select count(*) from sightings t where t.event_id = e.event_id and t.digest = e.digest) as sightings
             from events e
            where e.event_id = w.id and e.tenant = (select id from names where name = %(tenant)s) /*visible*/
           offset 0
       ) e on true
  left join lateral (
           select s.digest, s.append_time, s.chain
             from seals s
            where s.id = e.seal
           offset 0
       ) s on true
