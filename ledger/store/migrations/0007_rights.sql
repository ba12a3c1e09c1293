-- How tokens and grants come from each other: `above` is the key under which the uses of a token or grant are found in joins,
-- `below` that of what was obtained with it, `event_id` the event that says so, `how` a number of ledger/attribution/rights.py.
-- One index scan a step leads from a token or grant to all that came of it. Ids only: judged when read.
create table rights (
    above    bigint   not null,
    below    bigint   not null,
    event_id uuid     not null,
    how      smallint not null
);
create index rights_above on rights (above, event_id) include (below, how);

-- The seals whose events have no such rows, because they were stored by a release before: those up to this one. `rebuild`
-- fills a new schema, where it is 0.
create table rights_since (seal bigint not null);
insert into rights_since select coalesce(max(id), 0) from seals;

grant select on rights, rights_since to answerable_reader;
grant select, insert, update, delete on rights, rights_since to answerable_writer;
