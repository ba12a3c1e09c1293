-- What is open is dated by the seals that show it, whatever the order of their arrival (ledger/store/dated.py); an earlier release
-- dated it by which came last.
update findings o set opened_at = d.at
  from (select f.id,
               case when f.event_id is not null then by.holds
                    when f.name = 'fork' then greatest(by.own, by.others)
                    when f.name = 'broken_link' then greatest(by.own, by.before)
                    when f.name = 'clock_skew' and f.until is not null then greatest(by.own, by.linked)
                    when f.name = 'gap' then greatest(by.before, by.behind)
                    when f.name = 'sealed_after_close' then greatest(by.closing, by.later)
                    else by.own end as at
          from findings f
         cross join lateral (
                   select min(s.append_time) filter (where s.number = f.number and s.digest = f.digest) as own,
                          min(s.append_time) filter (where s.number = f.number and s.digest <> f.digest) as others,
                          min(s.append_time) filter (where s.number = f.number and position(f.digest in s.leaves) > 0) as holds,
                          min(s.append_time) filter (where s.number = f.number - 1) as before,
                          min(s.append_time) filter (
                              where s.number = f.number - 1
                                and s.digest = (select o.previous from seals o
                                                 where (o.chain, o.number, o.digest) = (f.chain, f.number, f.digest))) as linked,
                          min(s.append_time) filter (where s.number = f.until + 1) as behind,
                          min(s.append_time) filter (where s.number = f.number and s.next_within = 0) as closing,
                          min(s.append_time) filter (where s.number > f.number) as later
                     from seals s
                    where s.chain = f.chain
                      and (s.number between f.number - 1 and f.number or s.number = f.until + 1
                           or f.name = 'sealed_after_close' and s.number > f.number)
               ) by
         where f.closed_at is null and f.chain is not null) d
 where d.id = o.id and o.opened_at <> d.at;
update erasures x set append_time = d.at
  from (select e.event_id, e.digest, min(s.append_time) as at
          from (select event_id, digest, seal from events union all select event_id, digest, seal from sightings) e
          join seals s on s.id = e.seal
         where e.event_id in (select event_id from erasures) group by 1, 2) d
 where (x.event_id, x.event_digest) = (d.event_id, d.digest) and x.append_time <> d.at;
