-- By what the judgements were made (ledger/store/criteria.py): digests of the house rules and of the release's own rules, empty
-- before the first sentinel. `again`: those up to this event are queued to be made again by what is new; null where all are.
alter table sentinel
    add column house   bytea not null default '',
    add column release bytea not null default '',
    add column again   uuid;
