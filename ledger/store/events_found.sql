-- The events of `found` (by id and digest), each with one sighting: its seal. Columns as in lineage_events.sql.
select e.event_id, e.digest, e.header, e.salt, e.payload, e.effective, e.at, e.seal, s.digest, s.append_time, s.chain,
       1 + (select count(*) from sightings t where t.event_id = e.event_id and t.digest = e.digest), e.occurred_at
  from found w
  join events e on e.event_id = w.event_id and e.digest = w.digest
  left join seals s on s.id = e.seal
