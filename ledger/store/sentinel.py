"""The sentinel's work on the store: one step sweeps what is new, then judges what is stale. Safe to repeat and to interrupt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from ledger.attribution.contradictions import SEVERITIES
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.attribution.judgement import KINDS, Judgement
from ledger.format.codec import Schemas
from ledger.ports import EVENTS
from ledger.store.connect import connect, translated, unflushed
from ledger.store.criteria import adopt, again, criteria_of, hold
from ledger.store.decoded import KEPT, Decoder
from ledger.store.judging import BATCH, judge, judgements, ready
from ledger.store.migrations import check_migrated
from ledger.store.nodes import Reading
from ledger.store.patience import MOST_SECONDS, STEP_SECONDS, within
from ledger.store.sweeping import Swept, sweep
from ledger.trust.bundle import TrustBundle


class Step(NamedTuple):
    """What one step did: events swept, judgements made, and whether there is more to do. ``busy``: there is nothing for this one
    as long as another sweeps."""

    swept: int
    judged: int
    more: bool
    busy: bool = False


class PostgresSentinel:
    """One connection, of one process. Several may work on one store: one sweeps at a time, each judges what no other does."""

    def __init__(
        self,
        url: str,
        schemas: Schemas,
        ledger: str,
        trust: Callable[[], TrustBundle],
        house: HouseRules = NO_RULES,
    ) -> None:
        self._url, self._schemas, self._trust, self._house = url, schemas, trust, house
        self._bundle, self._criteria, self._begun = trust(), criteria_of(house), False
        self._decoder = Decoder(schemas, KEPT)
        self._reading = Reading(schemas, ledger, lambda: self._bundle, self._decoder)
        self._patience = STEP_SECONDS
        self._connection = connect(url, worker=True)
        try:
            with translated():
                check_migrated(self._connection)
        except BaseException:
            self.close()
            raise

    def step(self, *, limit: int = BATCH) -> Step:
        """Sweeps and judges so much; raises ``BackendError`` where nothing of the last part was kept: try again.

        So it is while the store stands under another bundle than ours, or a sentinel that began later judges by other criteria.
        """
        self._bundle = self._trust()
        with translated(), within(self._patience, self._connection) as bound:
            try:
                if self._connection.closed:
                    self._connection = connect(self._url, worker=True)
                adopt(self._connection, self._criteria, first=not self._begun)
                self._begun = True
                swept = self._sweep(limit)
                with unflushed(self._connection):
                    hold(self._connection, self._criteria)
                    judged = judge(self._connection, self._reading, self._house, limit=limit)
                queued = not swept.more and not judged.taken and again(self._connection)
            finally:
                self._patience = min(2 * self._patience, MOST_SECONDS) if bound.expired else STEP_SECONDS
        more = swept.more or bool(judged.taken) or queued
        return Step(swept.events, judged.judged, more, busy=swept.busy and not more)

    def _sweep(self, limit: int) -> Swept:
        """Sweeps, unless there is enough to judge: who sweeps far ahead has forgotten what an event said when it is judged."""
        if ready(self._connection, limit):
            return Swept(0, more=True)
        return sweep(self._connection, self._schemas, self._bundle, self._decoder)

    def behind(self) -> Behind:
        """How far it has not come yet."""
        with translated(), within(STEP_SECONDS, self._connection):
            return behind(self._connection)

    def contradictions(self) -> Mapping[str, int]:
        """How many contradictions are open in the whole store, by severity; each severity is there."""
        with translated(), within(STEP_SECONDS, self._connection):
            counts: dict[str, int] = dict(self._connection.execute(_OPEN).fetchall())
        return {severity: counts.get(severity, 0) for severity in SEVERITIES}

    def close(self) -> None:
        self._connection.close()


_OPEN: Final = "select severity, count(*) from contradictions where closed_at is null group by 1"


class Behind(NamedTuple):
    """What is not judged yet: events of seals that were not swept, judgements to be made (again), and the append time of the
    earliest record that is not judged by; None where nothing is waited for."""

    unswept: int
    stale: int
    since: int | None


_BEHIND: Final = """
with waiting as (
    select s.event_count, s.append_time
      from positions p
      left join sentinel_positions m on m.partition = p.partition and m.identity = p.identity and m.next_offset <= p.next_offset
     cross join lateral (
               select event_count, append_time from seals
                where partition = p.partition and log_offset >= coalesce(m.next_offset, 0) and log_offset < p.next_offset
               offset 0
           ) s
     where p.topic = %s
)
select (select coalesce(sum(event_count), 0) from waiting), (select count(*) from sentinel_stale),
       least((select min(append_time) from waiting), (select min(since) from sentinel_stale))"""


def behind(connection: psycopg.Connection[Any]) -> Behind:
    """How far the sentinels have not come in the whole store."""
    row = connection.execute(_BEHIND, [EVENTS]).fetchone()
    return Behind(int(row[0]), int(row[1]), row[2]) if row else Behind(0, 0, None)


class Difference(NamedTuple):
    """An event whose stored judgement is not what its events say now. ``stored`` and ``computed`` are class and reason, what
    else is kept, or the rules that contradict it; None: there is none."""

    event_id: bytes
    what: str
    stored: str | None
    computed: str | None


_KEPT: Final = """
select e.event_id, j.class, j.reason, j.grade, j.action, j.who, j.responsible, c.rules
  from (select distinct e.event_id, e.tenant from events e join names k on k.id = e.kind
         where e.tenant = (select id from names where name = %(tenant)s) and k.name = any(%(kinds)s)
           and e.event_id > %(after)s order by e.event_id limit %(limit)s) e
  left join lateral (select * from judgements where event_id = e.event_id and tenant = e.tenant offset 0) j on true
  left join lateral (
           select array_agg(f.rule order by f.rule) as rules from contradictions f
            where f.event_id = e.event_id and f.tenant = e.tenant and f.closed_at is null) c on true
 where not exists (select from sentinel_stale s where s.event_id = e.event_id and s.tenant = e.tenant offset 0)
 order by e.event_id"""


def check(
    connection: psycopg.Connection[Any],
    reading: Reading,
    tenant: str,
    house: HouseRules = NO_RULES,
    *,
    most: int | None = None,
) -> tuple[int, Difference | None]:
    """Judges a tenant's events again, from the earliest on and ``most`` of them, and compares: how many were, and the first that
    differs. Events that are stale are left out: they will be judged again anyway."""
    after, count = "00000000-0000-0000-0000-000000000000", 0
    while most is None or count < most:
        limit = BATCH if most is None else min(BATCH, most - count)
        given = {"tenant": tenant, "kinds": list(KINDS), "after": after, "limit": limit}
        with translated():
            rows = connection.execute(_KEPT, given).fetchall()
        if not rows:
            break
        wanted = [row[0].bytes for row in rows]
        computed = {each.event_id: each for each in judgements(connection, reading, tenant, wanted, house)}
        for row in rows:
            if (found := _compare(row, computed.get(row[0].bytes))) is not None:
                return count, found
            count += 1
        after = str(rows[-1][0])
    return count, None


def _compare(row: tuple[Any, ...], computed: Judgement | None) -> Difference | None:
    event_id, class_, reason, grade, action, who, responsible, rules = row
    stored: list[tuple[str, object]] = [("judgement", None if class_ is None else (class_, reason, grade))]
    told: list[tuple[str, object]] = [
        ("judgement", None if computed is None else (computed.class_, computed.reason, computed.grade))
    ]
    if class_ is not None and computed is not None:
        stored += [("action", action), ("person", who and who.hex()), ("responsible", responsible)]
        told += [
            ("action", UUID(bytes=computed.action)),
            ("person", computed.who and computed.who.hex()),
            ("responsible", computed.responsible),
        ]
    open_ = sorted({each.rule for each in computed.accusations if each.closed_at is None}) if computed else []
    stored.append(("contradictions", tuple(rules or ())))
    told.append(("contradictions", tuple(open_)))
    for (what, kept), (_, now) in zip(stored, told, strict=True):
        if kept != now:
            return Difference(event_id.bytes, what, _words(kept), _words(now))
    return None


def _words(value: object) -> str | None:
    if value is None or value == ():
        return None
    return ", ".join(str(each) for each in value if each is not None) if isinstance(value, tuple) else str(value)


__all__ = ["Behind", "Difference", "PostgresSentinel", "Step", "behind", "check"]
