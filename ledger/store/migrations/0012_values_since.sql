-- The seals whose events are not found by every value that they state, because they were stored by a release before: those up to
-- this one. `rebuild` fills a new schema, where it is 0.
create table values_since (seal bigint not null);
insert into values_since select coalesce(max(id), 0) from seals;

grant select on values_since to answerable_reader;
grant select, insert, update, delete on values_since to answerable_writer;
