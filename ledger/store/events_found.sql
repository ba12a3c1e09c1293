-- The events of `found` (by id and digest), each with one sighting: its seal and chain. Columns as in lineage_events.sql.
select e.event_id, e.digest, e.header, e.payload, e.effective, e.at, s.number, s.first_sequence, s.sealed_at, s.append_time,
       s.importer, c.id, c.key_id, c.chain_id, n.name,
       1 + (select count(*) from sightings t where t.event_id = e.event_id and t.digest = e.digest)
  from found w
  join events e on e.event_id = w.event_id and e.digest = w.digest
  join seals s on s.id = e.seal
  join chains c on c.id = s.chain
  join names n on n.id = c.service
