-- The materialized ledger. One row an event, with the bytes received: everything that an answer says is read from them again.
-- Times are µs since 1970, UTC (bigint). Names are unqualified: the search_path chooses the schema, so that `rebuild` can fill
-- a second one and swap. Surrogate numbers never enter the state digest.

-- Strings that repeat: tenants, services, kinds, agents. Filled in transactions of its own, in sorted order (no deadlocks).
create table names (
    id   int generated always as identity primary key,
    name text not null unique
);

create table chains (
    id       bigint generated always as identity primary key,
    tenant   int    not null,
    service  int    not null,
    key_id   text   not null,
    chain_id bytea  not null,
    closed_at bigint,              -- the lowest number of a closing seal
    version   bigint not null default 0,   -- of runs and closed_at: a worker's copy in memory is good while it is the same
    unique (tenant, service, key_id, chain_id)
);

-- The numeric runs of admitted seals of a chain (ledger/trust/chain.py); their ends are rows of seals.
create table runs (
    chain bigint not null,
    start bigint not null,
    stop  bigint not null,
    primary key (chain, start)
);

-- A block of 1000 for each draw.
create sequence seal_ids as bigint increment by 1000;

create table seals (
    id             bigint  primary key,
    chain          bigint  not null,
    number         bigint  not null,
    digest         bytea   not null,
    previous       bytea   not null,
    first_sequence bigint  not null,
    event_count    int     not null,
    sealed_at      bigint  not null,
    next_within    bigint,
    append_time    bigint  not null,   -- the earliest, where the same seal came more than once
    partition      int     not null,
    log_offset     bigint  not null,
    copies         int     not null default 1,
    importer       boolean not null,
    seal           bytea   not null,
    signatures     bytea   not null,   -- two lines each: key id, signature in hex
    unique (chain, number, digest)
);

create table events (
    event_id       uuid     not null,
    digest         bytea    not null,  -- binds ledger, tenant and service
    tenant         int      not null,
    seal           bigint   not null,  -- one sighting; others in sightings
    at             smallint not null,  -- index in the batch
    kind           int      not null,
    occurred_at    bigint   not null,
    execution_id   uuid,
    agent          int,
    effective      boolean  not null,  -- false: unauthorized_kind, a row and nothing else
    causes         uuid[],             -- null where there is none
    follows        bigint[],           -- join keys that this event refers to (ledger/attribution/joins.py)
    header         bytea    not null,
    salt           bytea    not null,
    payload        bytea,              -- null once erased
    primary key (event_id, digest)
) partition by range (event_id);
create index events_execution on events (execution_id) where execution_id is not null;
create index events_seal on events (seal);
create index events_agent on events (agent, event_id) where agent is not null;
create index events_occurred on events using brin (occurred_at);

-- The same event (tenant, id, digest) under further seals.
create table sightings (
    event_id uuid     not null,
    digest   bytea    not null,
    seal     bigint   not null,
    at       smallint not null,
    effective boolean not null,        -- under this seal; the event's own column is true where any seal's is
    primary key (event_id, digest, seal, at)
);
create index sightings_seal on sightings (seal);

-- Cause to effect, for lineage down; upwards an event's own row holds its causes. Ids only: judged when read.
create table causes (
    cause  uuid not null,
    effect uuid not null
) partition by range (cause);
create index causes_cause on causes (cause, effect);

-- Join keys that an event answers to: 8-byte hashes; the value itself is compared when read.
create table joins (
    key      bigint not null,
    event_id uuid   not null
);
create index joins_key on joins (key, event_id);

-- One row for a record's key and bytes, however often they came: position and append time are those of the earliest.
-- An event refused alone (at >= 0) is a row of its seal's; its raw is lp(header) salt payload, its raw_digest the event digest.
create table rejected (
    id          bigint generated always as identity primary key,
    topic       text     not null,
    partition   int      not null,
    log_offset  bigint   not null,
    at          smallint not null,      -- index of the event refused alone; -1: the whole record
    append_time bigint   not null,
    copies      int      not null default 1,
    seal        bigint,                 -- where the event alone was refused
    seal_digest bytea,                  -- of the seal that the record holds, where it is signed as it says
    reason      text     not null,
    detail      text     not null,
    key_id      text,                   -- what the seal claims, unverified where the record was refused
    tenant      text,
    service     text,
    record_key  bytea,
    raw         bytea,                  -- whole, or the first 64 KiB of an oversized one
    raw_digest  bytea    not null,
    raw_length  bigint   not null,
    unique nulls not distinct (topic, raw_digest, record_key, at, seal)
);
create index rejected_seal_digest on rejected (seal_digest) where seal_digest is not null;
create index rejected_seal on rejected (seal) where seal is not null;
create index rejected_reason on rejected (reason, key_id);

create table findings (
    id        bigint generated always as identity primary key,
    name      text   not null,
    tenant    int,
    chain     bigint,
    number    bigint,                   -- of the seal, or first of a gap
    until     bigint,                   -- last of a gap
    digest    bytea,                    -- of the seal, event or content that it is about
    event_id  uuid,
    detail    text   not null default '',
    opened_at bigint not null,          -- append time of the record that showed it
    closed_at bigint,
    unique nulls not distinct (name, tenant, chain, number, until, digest, event_id, closed_at)
);
create index findings_open on findings (name) where closed_at is null;
create index findings_chain on findings (chain, number);
create index findings_event on findings (event_id) where event_id is not null;

create table contents (
    tenant      int    not null,
    digest      bytea  not null,
    media_type  text   not null,
    subjects    text[] not null,
    value       bytea  not null,        -- the record's value as received
    append_time bigint not null,
    primary key (tenant, digest)
);
create index contents_subjects on contents using gin (subjects);

-- Digests of contents and events that an authorized content_erasure names; kept for ever.
create table erasures (
    tenant       int    not null,
    digest       bytea  not null,
    event_id     uuid   not null,
    event_digest bytea  not null,
    append_time  bigint not null,
    is_event     boolean not null,       -- the payload of an event, not a content
    swept        boolean not null default false,   -- the worker has removed the bytes and sent the tombstone
    primary key (tenant, digest, event_digest, is_event)
);
create index erasures_unswept on erasures (tenant, digest) where not swept;

create table positions (
    topic         text   not null,
    partition     int    not null,
    identity      text   not null,      -- of the topic: another one means it was made anew
    next_offset   bigint not null,
    last_digest   bytea,                -- SHA-256 of the last record read (key and value)
    last_append   bigint,
    owner_pid     int,
    owner_started timestamptz,
    primary key (topic, partition)
);

create table quarantine (
    topic      text   not null,
    partition  int    not null,
    log_offset bigint not null,
    attempts   int    not null,
    set_aside  boolean not null default false,   -- the position has gone past it
    detail     text   not null default '',
    primary key (topic, partition, log_offset)
);

-- The bundle under which the rows were judged: the hash of each of its lines, in order.
create table trust (
    number int   primary key,
    line   bytea not null
);

-- The schemas under which the rows were judged; a release that knows fewer is refused.
create table schema_set (
    frame       bytea primary key,
    file_digest bytea not null
);
