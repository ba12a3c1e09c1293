-- Ids, whatever events they have.
with wanted as (
    select unnest(%(ids)s::uuid[]) as id
)
