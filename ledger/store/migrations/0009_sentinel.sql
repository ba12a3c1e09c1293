-- What the sentinel keeps (docs/adr): judgements of events of consequence, contradictions with their times, and what it still has
-- to look at. All of it follows from the rows of the ledger, and can be made anew from an empty table.

-- How far it has swept: one row, which the sentinel that sweeps holds locked.
create table sentinel (
    id       int     primary key default 1 check (id = 1),
    wave     bigint  not null default 0,     -- grows with every sweep
    lines    int     not null default 0,     -- of the trust bundle under which it judges
    schemas  bytea   not null default '',    -- SHA-256 over the schema set
    contents bigint  not null default 0      -- sum of the contents' positions when people were last looked for
);
insert into sentinel default values;

create table sentinel_positions (
    partition   int    primary key,
    identity    text   not null,
    next_offset bigint not null
);
create index seals_position on seals (partition, log_offset);

-- Events whose judgement has to be made, or made again. `passed`: what is below them is here too. A later wave passes again.
create table sentinel_stale (
    event_id uuid    not null,
    tenant   int     not null,
    wave     bigint  not null,
    passed   boolean not null,
    since    bigint  not null,               -- append time of the earliest record that has not been judged by
    primary key (event_id, tenant)
);
create index sentinel_stale_open on sentinel_stale (wave) where not passed;
create index sentinel_stale_since on sentinel_stale (since);

-- Who looks for a join key: the way down by joins, as `causes` is by causes.
create table sentinel_looks (
    key      bigint not null,
    event_id uuid   not null
);
create index sentinel_looks_key on sentinel_looks (key, event_id);

-- Payloads that an erasure names and that still stand.
create table sentinel_erasures (
    tenant int    not null,
    digest bytea  not null,
    since  bigint not null,
    primary key (tenant, digest)
);

create table judgements (
    event_id    uuid    not null,
    tenant      int     not null,
    kind        int     not null,
    service     int,
    agent       int,
    system      text,
    resource    text,
    occurred_at bigint  not null,
    class       text    not null,
    reason      text,
    grade       text,
    who         bytea,                       -- a digest: a pseudonym, named by a content that can be erased
    responsible boolean not null,
    primary key (event_id, tenant)
);
create index judgements_tenant on judgements (tenant, occurred_at);

-- People whose names may still come, by the events whose judgement they would change.
create table judgement_waits (
    digest   bytea not null,
    tenant   int   not null,
    event_id uuid  not null,
    primary key (digest, tenant, event_id)
);
create index judgement_waits_event on judgement_waits (event_id, tenant);

create table contradictions (
    id        bigint generated always as identity primary key,
    tenant    int    not null,
    event_id  uuid   not null,
    rule      text   not null,
    severity  text   not null,
    detail    text   not null,
    closes    text   not null,
    evidence  uuid[] not null,
    opened_at bigint not null,
    closed_at bigint,
    unique (event_id, tenant, rule, opened_at)
);
create index contradictions_tenant on contradictions (tenant, id);

grant select on sentinel, sentinel_positions, sentinel_stale, sentinel_looks, sentinel_erasures, judgements, judgement_waits,
    contradictions to answerable_reader;
grant select, insert, update, delete on sentinel, sentinel_positions, sentinel_stale, sentinel_looks, sentinel_erasures, judgements,
    judgement_waits, contradictions to answerable_writer;
