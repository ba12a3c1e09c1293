-- The event digests under a seal's root, in order: with them a reader checks an event against the signed seal by one look-up,
-- whatever became of its neighbours' rows. Digests are random: compressing them is lost work.
alter table seals add column leaves bytea;
alter table seals alter column leaves set storage external;
update seals set leaves = (
    select string_agg(d.digest, ''::bytea order by d.at)
      from (
           select at, digest from events where seal = seals.id
        union all
           select at, digest from sightings where seal = seals.id
        union all
           select at, raw_digest from rejected where seal = seals.id and at >= 0
      ) d
);
alter table seals alter column leaves set not null;
