-- Which events are attributed to nobody, or to what is no person by name: `find --class`, the latest first. Of the others, which are
-- nearly all, the primary key finds enough.
create index judgements_class on judgements (tenant, class, event_id) where class <> 'attributed';
