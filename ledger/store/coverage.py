"""Coverage: of the actions in a slice how many are attributed to whom, and how surely; and how many events are not judged yet.
Accounts alone would flatter: both sides tell of what went as it should, and the called one alone of what nobody asked for. It
reads what the sentinel kept, and nothing else: ``answerable sentinel --check`` holds that against the events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

import psycopg

from ledger.attribution.answer import REASONS
from ledger.attribution.grades import RANK
from ledger.attribution.judgement import KINDS
from ledger.ports import EVENTS
from ledger.store.connect import translated
from ledger.store.judged import CLASSES
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
    """What is of one sort: ``actions``, of which all accounts are one, and ``accounts``, which are the events. ``group`` is the
    value of what was asked ``by``; None where there is none, or nothing was asked. ``class_`` is one of ``CLASSES``.

    An action has one sort in a group, that of the account there which is attributed least: so sorts sum up to the group's
    actions. Groups do not: an action is in each group that has an account of it."""

    group: str | None
    class_: str
    reason: str | None
    grade: str | None
    actions: int
    accounts: int


class Others(NamedTuple):
    """What the groups beyond ``GROUPS`` have, summed: an action with accounts in two of them counts twice."""

    actions: int = 0
    accounts: int = 0


class Covered(NamedTuple):
    """A slice covered: the whole of it in ``counts``, where each action counts once, and in ``groups`` what was told apart.
    ``not_judged`` counts events of it without a judgement, ``stale`` those whose judgement is being made again; ``exact``: False
    where ``not_judged`` is an upper bound, over all slices. ``since`` is the append time from which on records are not judged by,
    None where everything is."""

    counts: tuple[Count, ...]
    groups: tuple[Count, ...]
    not_judged: int
    stale: int
    exact: bool
    since: int | None
    others: Others = Others()

    @property
    def actions(self) -> int:
        return sum(each.actions for each in self.counts)

    @property
    def accounts(self) -> int:
        return sum(each.accounts for each in self.counts)


_NAMED: Final = frozenset[By | None]({"agent", "service", "kind"})
_SLICE: Final = """
   and (%(agent)s::text is null or {of}.agent = (select id from names where name = %(agent)s))
   and (%(kind)s::text is null or {of}.kind = (select id from names where name = %(kind)s))
   and (%(since)s::bigint is null or {of}.occurred_at >= %(since)s)
   and (%(until)s::bigint is null or {of}.occurred_at < %(until)s)"""


def _sliced(query: str, of: str) -> str:
    return query.replace("{slice}", _SLICE.replace("{of}", of))


_JUDGED: Final = _sliced(
    """
  from judgements j
 where j.tenant = (select id from names where name = %(tenant)s)
   and (%(service)s::text is null or j.service = (select id from names where name = %(service)s))
   and (%(system)s::text is null or j.system = %(system)s){slice}""",
    "j",
)
_CLASS: Final = "case when j.class = 'unattended' and not j.responsible then 'unattended_alone' else j.class end"
_ACCOUNTS: Final = """
select {name}, class, reason, grade, count from (
    select {key} as key, {class} as class, j.reason, j.grade, count(*) as count {judged} group by 1, 2, 3, 4) j"""
# Of each action, in a group and in the whole, the account that is attributed least, as one number; in it 0 stands for a null.
_ACTIONS: Final = """
with one as materialized (
    select {key} as key, coalesce(j.action, j.event_id) as action,
           min(array_position(%(classes)s::text[], {class}) * 1000000
               + coalesce(array_position(%(grades)s::text[], j.grade), 0) * 1000
               + coalesce(array_position(%(reasons)s::text[], j.reason), 0)) as least {judged}
     group by 1, 2
), counted as (
    select false as whole, key, least, count(*) as count from one group by 2, 3{whole}
)
select whole, {name}, (%(classes)s::text[])[least / 1000000], (%(reasons)s::text[])[least %% 1000],
       (%(grades)s::text[])[least / 1000 %% 1000], count from counted j"""
_WHOLE: Final = """
    union all
    select true, null, least, count(*) from (select min(least) as least from one group by action) w group by 3"""
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


_Sort = tuple[str | None, str, str | None, str | None]


def _query(query: str, by: By | None) -> bytes:
    """Counted by number, and named after: a name is looked up once for each group."""
    key = f"j.{by}" if by is not None else "null::text"
    name = "(select name from names n where n.id = j.key)" if by in _NAMED else "j.key"
    filled = {"key": key, "name": name, "class": _CLASS, "judged": _JUDGED, "whole": _WHOLE if by is not None else ""}
    return query.format(**filled).encode()


def _counts(
    connection: psycopg.Connection[Any], given: dict[str, Any], by: By | None
) -> tuple[list[Count], list[Count]]:
    """The whole, and its groups where any are asked for."""
    groups: dict[_Sort, int] = {row[:4]: row[4] for row in connection.execute(_query(_ACCOUNTS, by), given)}
    whole: Counter[_Sort] = Counter()
    for (_, class_, reason, grade), count in groups.items():
        whole[None, class_, reason, grade] += count
    actions: dict[bool, dict[_Sort, int]] = {False: {}, True: {}}
    for is_whole, *sort, count in connection.execute(_query(_ACTIONS, by), {**given, **_least(groups)}):
        actions[is_whole][tuple(sort)] = count
    if by is None:
        return _sorted(whole, actions[False]), []
    return _sorted(whole, actions[True]), _sorted(groups, actions[False])


def _least(sorts: Collection[_Sort]) -> dict[str, list[str]]:
    """The classes and grades that there are, the least first, and the reasons."""
    _, classes, reasons, grades = zip(*sorts, strict=True) if sorts else ((), (), (), ())
    return {
        "classes": _ordered(classes, list(CLASSES)[::-1]),
        "grades": _ordered(grades, list(RANK)),
        "reasons": _ordered(reasons, sorted(REASONS)),
    }


def _ordered(found: Iterable[str | None], order: Sequence[str]) -> list[str]:
    """Each once, in this order; what is not in it comes first."""
    place = {name: n for n, name in enumerate(order)}
    return sorted({each for each in found if each is not None}, key=lambda each: (place.get(each, -1), each))


def _sorted(accounts: Mapping[_Sort, int], actions: Mapping[_Sort, int]) -> list[Count]:
    counts = [Count(*sort, actions.get(sort, 0), count) for sort, count in accounts.items()]
    return sorted(counts, key=lambda each: (-each.actions, -each.accounts, str(each[:4])))


def coverage(
    connection: psycopg.Connection[Any], tenant: str, wanted: Slice = EVERYTHING, *, by: By | None = None
) -> Covered:
    """The coverage of a slice of a tenant's events, of one moment. What is not judged yet has no system: it counts for each."""
    given = {"tenant": tenant, "topic": EVENTS, "kinds": list(KINDS), **wanted._asdict()}
    with translated(), connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        connection.execute("set local work_mem = '64MB'")  # a million actions are told apart without going to the disk
        whole, apart = _counts(connection, given, by)
        far = behind(connection)
        exact = far.unswept <= COUNTED
        new = _one(connection, _WAITING, given)[0] if exact else far.unswept
        queued, again = _one(connection, _QUEUED, given)
    waits = new + queued
    since = far.since if waits else None
    groups, others = _bounded(apart)
    return Covered(tuple(whole), groups, new + queued - again, again, exact, since, others)


def _one(connection: psycopg.Connection[Any], query: str, given: dict[str, Any]) -> tuple[int, ...]:
    row = connection.execute(query.encode(), given).fetchone()
    assert row is not None  # noqa: S101 - a count has a row
    return tuple(map(int, row))


def _bounded(counts: list[Count]) -> tuple[tuple[Count, ...], Others]:
    """The largest groups whole, and what the others have."""
    sums: dict[str | None, Others] = {}
    for each in counts:
        actions, accounts = sums.get(each.group, Others())
        sums[each.group] = Others(actions + each.actions, accounts + each.accounts)
    ordered = sorted(sums, key=lambda group: sums[group], reverse=True)
    largest, beyond = set(ordered[:GROUPS]), [sums[group] for group in ordered[GROUPS:]]
    return (
        tuple(each for each in counts if each.group in largest),
        Others(sum(each.actions for each in beyond), sum(each.accounts for each in beyond)),
    )


__all__ = ["BY", "GROUPS", "KINDS", "By", "Count", "Covered", "Others", "Slice", "coverage"]
