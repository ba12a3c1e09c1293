-- Every part looks, before anything else, whether the tables are those of its release.
grant select on migrations to answerable_writer, answerable_reader;
