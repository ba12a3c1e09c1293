-- The events of `wanted`, each with one sighting: its seal and chain. Look-ups by key, one after the other: OFFSET 0 keeps the
-- planner, which cannot know how many are wanted, from reading whole tables to join them.
select w.id, e.digest, e.header, e.payload, e.effective, e.at, s.number, s.first_sequence, s.sealed_at, s.append_time,
       s.importer, s.chain, s.key_id, s.chain_id, s.service, e.sightings
  from wanted w
  left join lateral (
           select e.digest, e.header, e.payload, e.effective, e.at, e.seal,
                  1 + (select count(*) from sightings t where t.event_id = e.event_id and t.digest = e.digest) as sightings
             from events e
            where e.event_id = w.id and e.tenant = (select id from names where name = %(tenant)s) /*visible*/
           offset 0
       ) e on true
  left join lateral (
           select s.number, s.first_sequence, s.sealed_at, s.append_time, s.importer, s.chain, c.key_id, c.chain_id,
                  n.name as service
             from seals s
             join chains c on c.id = s.chain
             join names n on n.id = c.service
            where s.id = e.seal
           offset 0
       ) s on true
