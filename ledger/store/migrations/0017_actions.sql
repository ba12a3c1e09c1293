-- Of which action, or other thing, an event is an account: the first account of it (ledger/attribution/judgement.py). Coverage counts
-- those. Null, which stands for the event itself: judged by a release before, until it is judged again.
alter table judgements add column action uuid;
