-- When a record was last attempted: an attempt that the store itself did not survive says nothing about the record.
alter table quarantine add column attempted_at timestamptz not null default clock_timestamp();
