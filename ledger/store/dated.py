"""Since when what the store says of seals and events holds: by the append times of the seals that show it, and by nothing else.

A finding is opened by the record that shows it, whichever came last; where a chain came through several partitions, that depends
on who was faster. So every open one is dated by its seals, whatever the order of their arrival, and `verify --store` can say
that a date is not what they say.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import psycopg


class Misdated(NamedTuple):
    """A row with a date, in ``column``, that its seals do not bear out."""

    table: str
    key: dict[str, str]
    column: str


def date_near(connection: psycopg.Connection[Any], places: list[tuple[int, int, int]]) -> None:
    """Dates what is open next to an admitted seal (chain, number, append time), after the runs of its chain were saved."""
    if places:
        given = [{"chain": chain, "number": number, "at": at} for chain, number, at in places]
        connection.cursor().executemany(_NEAR.encode(), given)


def date_chain(connection: psycopg.Connection[Any], chain: int) -> None:
    """Dates all that is open of a chain."""
    connection.execute(_CHAIN.encode(), {"chain": chain})


def misdated(connection: psycopg.Connection[Any]) -> Misdated | None:
    """The first row that is dated otherwise than its seals say."""
    for table, names, query in _CHECKS:
        if (row := connection.execute(query).fetchone()) is not None:
            shown = [value.hex() if isinstance(value, bytes) else str(value) for value in row]
            return Misdated(table, dict(zip(names[:-1], shown, strict=True)), names[-1])
    return None


_DATED: Final = """
(select f.id,
        case when f.event_id is not null then by.holds
             when f.name = 'fork' then greatest(by.own, by.others)
             when f.name = 'broken_link' then greatest(by.own, by.before)
             when f.name = 'clock_skew' and f.until is not null then greatest(by.own, by.linked)
             when f.name = 'gap' then greatest(by.before, by.behind)
             when f.name = 'sealed_after_close' then greatest(by.closing, by.later)
             else by.own end as at
   from findings f
  cross join lateral (
            select min(s.append_time) filter (where s.number = f.number and s.digest = f.digest) as own,
                   min(s.append_time) filter (where s.number = f.number and s.digest <> f.digest) as others,
                   min(s.append_time) filter (where s.number = f.number and position(f.digest in s.leaves) > 0) as holds,
                   min(s.append_time) filter (where s.number = f.number - 1) as before,
                   min(s.append_time) filter (
                       where s.number = f.number - 1
                         and s.digest = (select o.previous from seals o
                                          where (o.chain, o.number, o.digest) = (f.chain, f.number, f.digest))) as linked,
                   min(s.append_time) filter (where s.number = f.until + 1) as behind,
                   min(s.append_time) filter (where s.number = f.number and s.next_within = 0) as closing,
                   min(s.append_time) filter (where s.number > f.number) as later
              from seals s
             where s.chain = f.chain
               and (s.number between f.number - 1 and f.number or s.number = f.until + 1
                    or f.name = 'sealed_after_close' and s.number > f.number)
        ) by
  where f.closed_at is null and f.chain is not null {})"""
"""When each was shown: since the last of the seals that it takes was there, each by its first copy; what an event is found with,
since the first of the seals of that number that hold it. A gap at the beginning of a chain has no left neighbour."""

_DATE: Final = f"update findings o set opened_at = d.at from {_DATED} d where d.id = o.id and o.opened_at <> d.at"  # noqa: S608 (constants only)
_CHAIN: Final = _DATE.format("and f.chain = %(chain)s")
_NEAR: Final = _DATE.format("""and f.chain = %(chain)s and f.number = any(array[
        %(number)s, %(number)s + 1, 0,
        (select closed_at from chains where id = %(chain)s),
        (select stop + 1 from runs where chain = %(chain)s and start < %(number)s order by start desc limit 1)]::bigint[])
   and (f.name <> 'sealed_after_close' or f.number = %(number)s or f.opened_at >= %(at)s)""")
"""Its own number and the next one's, the gaps on both sides, and what came after the end: not anew for each."""

_CHECKS: Final = (
    (
        "findings",
        ("name", "tenant", "service", "key_id", "chain_id", "number", "opened_at"),
        f"""
select f.name, t.name, v.name, c.key_id, c.chain_id, f.number
  from {_DATED.format("")} d
  join findings f on f.id = d.id join chains c on c.id = f.chain
  left join names t on t.id = c.tenant left join names v on v.id = c.service
 where f.opened_at is distinct from d.at
 order by 1, 2, 3, 4, 5, 6, f.until, f.digest, f.event_id limit 1""".encode(),  # noqa: S608 (constants only)
    ),
    (
        "findings",
        ("name", "number", "closed_at"),
        b"""
select f.name, f.number from findings f
 where f.closed_at is not null
   and not (f.name in ('gap', 'broken_link', 'sealed_after_close') or f.name = 'clock_skew' and f.until is not null)
 order by 1, 2 limit 1""",
    ),
    (
        "erasures",
        ("digest", "event_digest", "append_time"),
        b"""
select x.digest, x.event_digest
  from erasures x join events e on (e.event_id, e.digest) = (x.event_id, x.event_digest)
 where not exists (select from seals s where s.append_time = x.append_time
                      and (s.id = e.seal or s.id in (select g.seal from sightings g
                                                      where (g.event_id, g.digest) = (e.event_id, e.digest))))
 order by 1, 2 limit 1""",
    ),
    (
        "rejected events",
        ("seal", "at", "append_time"),
        b"""
select s.digest, r.at from rejected r join seals s on s.id = r.seal
 where r.at >= 0 and (r.append_time, r.partition, r.log_offset) is distinct from (s.append_time, s.partition, s.log_offset)
 order by 1, 2 limit 1""",
    ),
)
"""What a seal says by itself, or a fork, is never closed. Of an erasure that came under several seals any of their times will do:
under which it had its effect is not kept."""
