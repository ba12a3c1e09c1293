-- The events with the ids given.
with wanted as (
    select unnest((select %(ids)s::uuid[])) as id
)
