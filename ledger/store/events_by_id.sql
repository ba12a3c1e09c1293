-- One id, whatever events it has.
with wanted as (
    select %(id)s::uuid as id
)
