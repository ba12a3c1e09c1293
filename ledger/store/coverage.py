"""Coverage: of the events of consequence in a slice, how many are attributed to whom, and how surely; and how many are not
judged yet. It reads what the sentinel kept, and nothing else: ``answerable sentinel --check`` holds that against the events.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, get_args

import psycopg

from ledger.attribution.judgement import KINDS
from ledger.ports import EVENTS
from ledger.store.connect import translated
from ledger.store.sentinel import behind

By = Literal["agent", "service", "system", "kind", "reason", "grade"]
BY: Final[tuple[By, ...]] = get_args(By)

GROUPS: Final = 1_000
"""Groups that are told apart, the largest first; the others are summed."""
COUNTED: Final = 200_000
"""Events not swept yet that are counted one by one for a slice; more are told as an upper bound."""


class Slice(NamedTuple):
    """Which events; each None: whichever. Times are of occurrence, µs UTC, ``until`` exclusive."""

    agent: str | None = None
    service: str | None = None
    system: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None


class Count(NamedTuple):
    """Events of one sort. ``group`` is the value of what was asked ``by``; None where the events have none, or nothing was asked.
    ``responsible``: of them those for which a person answers.."""

    group: str | None
    class_: str
    reason: str | None
    grade: str | None
    events: int
    responsible: int


class Covered(NamedTuple):
    """A slice covered. ``not_judged`` counts events of it without a judgement, ``stale`` those whose judgement is being made
    again; ``exact``: False where ``not_judged`` is an upper bound, over all slices. ``since`` is the append time from which on
    records are not judged by, None where everything is. ``others`` counts events of groups beyond ``GROUPS``."""

    counts: tuple[Count, ...]
    total: int
    not_judged: int
    stale: int
    exact: bool
    since: int | None
    others: int = 0


_COLUMNS: Final[dict[By | None, str]] = {
    None: "null::text",
    "agent": "(select name from names n where n.id = j.of_agent)",
    "service": "(select name from names n where n.id = j.of_service)",
    "system": "j.of_system",
    "kind": "(select name from names n where n.id = j.of_kind)",
    "reason": "j.reason",
    "grade": "j.grade",
}
_SLICE: Final = """
   and (%(agent)s::text is null or {of}.agent = (select id from names where name = %(agent)s))
   and (%(kind)s::text is null or {of}.kind = (select id from names where name = %(kind)s))
   and (%(since)s::bigint is null or {of}.occurred_at >= %(since)s)
   and (%(until)s::bigint is null or {of}.occurred_at < %(until)s)"""


def _sliced(query: str, of: str) -> str:
    return query.replace("{slice}", _SLICE.replace("{of}", of))


_COUNTS: Final = _sliced(
    """
select {by}, j.class, j.reason, j.grade, sum(j.events)::bigint, sum(j.responsible)::bigint from (
    select {key} as of_{as}, j.class, j.reason, j.grade, count(*) as events, count(*) filter (where j.responsible) as responsible
      from judgements j
     where j.tenant = (select id from names where name = %(tenant)s)
       and (%(service)s::text is null or j.service = (select id from names where name = %(service)s))
       and (%(system)s::text is null or j.system = %(system)s){slice}
     group by 1, 2, 3, 4
) j group by 1, 2, 3, 4""",
    "j",
)
_WAITING: Final = _sliced(
    """
with waiting as (
    select s.id, s.event_count, c.service
      from positions p
      left join sentinel_positions m on m.partition = p.partition and m.identity = p.identity and m.next_offset <= p.next_offset
     cross join lateral (
               select id, event_count, chain from seals
                where partition = p.partition and log_offset >= coalesce(m.next_offset, 0) and log_offset < p.next_offset
               offset 0
           ) s
      join chains c on c.id = s.chain
     where p.topic = %(topic)s and c.tenant = (select id from names where name = %(tenant)s)
       and (%(service)s::text is null or c.service = (select id from names where name = %(service)s))
)
select count(*) from waiting w cross join lateral (select * from events where seal = w.id offset 0) e
 where e.kind in (select id from names where name = any(%(kinds)s)){slice}""",
    "e",
)
_QUEUED: Final = _sliced(
    """
select count(*), count(j.event_id)
  from sentinel_stale s
 cross join lateral (select * from events where event_id = s.event_id and tenant = s.tenant offset 0) e
  left join lateral (select event_id from judgements where event_id = s.event_id and tenant = s.tenant offset 0) j on true
 where s.tenant = (select id from names where name = %(tenant)s)
   and e.kind in (select id from names where name = any(%(kinds)s))
   and (%(service)s::text is null or (select c.service from seals l join chains c on c.id = l.chain where l.id = e.seal)
        = (select id from names where name = %(service)s)){slice}""",
    "e",
)
EVERYTHING: Final = Slice()


def _counts(by: By | None) -> str:
    """Counted by number, and named after: a name is looked up once for each group."""
    key = f"j.{by}" if by is not None else "null::text"
    return _COUNTS.replace("{by}", _COLUMNS[by]).replace("{key}", key).replace("{as}", by if by is not None else "none")


def coverage(
    connection: psycopg.Connection[Any], tenant: str, wanted: Slice = EVERYTHING, *, by: By | None = None
) -> Covered:
    """The coverage of a slice of a tenant's events, of one moment. What is not judged yet has no system: it counts for each."""
    given = {"tenant": tenant, "topic": EVENTS, "kinds": list(KINDS), **wanted._asdict()}
    with translated(), connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        rows = connection.execute(_counts(by).encode(), given).fetchall()
        far = behind(connection)
        exact = far.unswept <= COUNTED
        new = _one(connection, _WAITING, given)[0] if exact else far.unswept
        queued, again = _one(connection, _QUEUED, given)
    counts = sorted((Count(*row) for row in rows), key=lambda each: (-each.events, str(each[:4])))
    kept, others = _bounded(counts)
    waits = new + queued
    since = far.since if waits else None
    return Covered(kept, sum(each.events for each in counts), new + queued - again, again, exact, since, others)


def _one(connection: psycopg.Connection[Any], query: str, given: dict[str, Any]) -> tuple[int, ...]:
    row = connection.execute(query.encode(), given).fetchone()
    assert row is not None  # noqa: S101 - a count has a row
    return tuple(map(int, row))


def _bounded(counts: list[Count]) -> tuple[tuple[Count, ...], int]:
    """The largest groups whole, and how many events the others have."""
    sums: dict[str | None, int] = {}
    for each in counts:
        sums[each.group] = sums.get(each.group, 0) + each.events
    largest = set(sorted(sums, key=lambda group: -sums[group])[:GROUPS])
    return (
        tuple(each for each in counts if each.group in largest),
        sum(events for group, events in sums.items() if group not in largest),
    )


__all__ = ["BY", "GROUPS", "KINDS", "By", "Count", "Covered", "Slice", "coverage"]
