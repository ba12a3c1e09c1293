-- Three group roles, each able to do only its part; a deployment grants them to its login roles. Roles belong to the whole
-- server, so another database may have made them already, or be making them now.
do $$
declare
    role text;
begin
    foreach role in array array['answerable_writer', 'answerable_appender', 'answerable_reader'] loop
        begin
            if not exists (select from pg_roles where rolname = role) then
                execute format('create role %I nologin', role);
            end if;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
end
$$;

-- The appender gets its one right, to call the log's append function, where that log is made.
do $$
begin
    execute format('grant usage on schema %I to answerable_writer, answerable_reader', current_schema());
end
$$;
grant select on names, chains, runs, seals, events, sightings, causes, joins, rejected, findings, contents, erasures, positions,
    quarantine, trust, schema_set to answerable_reader;
grant select, insert, update, delete on names, chains, runs, seals, events, sightings, causes, joins, rejected, findings, contents,
    erasures, positions, quarantine, trust, schema_set to answerable_writer;
grant usage on sequence seal_ids to answerable_writer;
