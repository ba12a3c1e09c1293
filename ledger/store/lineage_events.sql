-- The events of `wanted`, each with one sighting: its seal and chain.
select w.id, e.digest, e.header, e.payload, e.effective, e.at, s.number, s.first_sequence, s.sealed_at, s.append_time,
       s.importer, c.id, c.key_id, c.chain_id, n.name,
       1 + (select count(*) from sightings t where t.event_id = e.event_id and t.digest = e.digest)
  from wanted w
  left join events e on e.event_id = w.id and e.tenant = (select id from names where name = %(tenant)s) /*visible*/
  left join seals s on s.id = e.seal
  left join chains c on c.id = s.chain
  left join names n on n.id = c.service
