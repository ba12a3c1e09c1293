-- The events of `found` (by id and digest), each with one sighting: its seal. Columns and look-ups as in lineage_events.sql.
select e.event_id, e.digest, e.header, e.salt, e.payload, e.effective, e.at, e.seal, s.digest, s.append_time, s.chain,
       1 + (select count(*) from sightings t where t.event_id = e.event_id and t.digest = e.digest), e.occurred_at
  from found w
 cross join lateral (select * from events where event_id = w.event_id and digest = w.digest offset 0) e
  left join lateral (select digest, append_time, chain from seals where id = e.seal offset 0) s on true
