-- For what reason events are attributed to nobody, and whether anybody answers for the unattended: `find --reason`,
-- `find --class unattended_alone`, the latest first. Few are either.
create index judgements_reason on judgements (tenant, reason, event_id) where reason is not null;
create index judgements_unattended on judgements (tenant, responsible, event_id) where class = 'unattended';
