"""By what the judgements in a store were made: the house rules, and this release's own. Where that changes they are made again.

A severity, a sentence and whether a rule accuses at all are kept with a judgement, so that a changed file or a new release would
show only in what is judged by chance. The sentinel that began last decides: it notes its criteria, and the judgements of
before are queued, so many at a time and only while nothing else waits. One that judges by others stands still and says so.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.house import HouseRules
from ledger.errors import BackendError

Connection = psycopg.Connection[Any]

_LOCK: Final = 0x63726974  # "crit": shared by who judges, alone for who changes the criteria
_NONE: Final = b""
PAGE: Final = 5_000
"""Judgements that are queued at once to be made again."""


class Criteria(NamedTuple):
    """``house`` is the digest of the house rules, ``release`` that of the code which judges; both empty: nobody judged yet."""

    house: bytes
    release: bytes


class Standing(NamedTuple):
    """The criteria of a store's judgements; ``again``: some were made by those before, and are made again."""

    criteria: Criteria
    again: bool


def criteria_of(house: HouseRules) -> Criteria:
    """What this process judges by."""
    return Criteria(house.digest, _release())


@cache
def _release() -> bytes:
    return code_digest(files("ledger.attribution"))


def code_digest(folder: Traversable) -> bytes:
    """A digest of the code that judges: a number kept by hand would be forgotten."""
    return sha256(b"".join(_sources(folder))).digest()


def _sources(folder: Traversable) -> list[bytes]:
    found = []
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            found += _sources(each)
        elif each.name.endswith(".py"):
            found.append(sha256(each.name.encode() + b"\0" + each.read_bytes()).digest())
    return found


def standing(connection: Connection) -> Standing:
    """What the judgements of a store were made by."""
    row = connection.execute("select house, release, again is not null from sentinel").fetchone()
    return Standing(Criteria(row[0], row[1]), bool(row[2])) if row else Standing(Criteria(_NONE, _NONE), again=False)


def adopt(connection: Connection, ours: Criteria, *, first: bool) -> None:
    """Makes ours the store's, where this sentinel has just begun (``first``) or nobody has judged; else raises ``BackendError``
    where the store's are others.
    """
    found = standing(connection).criteria
    if found == ours:
        return
    if not first and found != (_NONE, _NONE):
        raise BackendError(_others(found, ours))
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])  # until nobody judges by those before
        connection.execute(_ADOPT, [*ours])


def hold(connection: Connection, ours: Criteria) -> None:
    """Keeps the store's criteria as they are until the transaction ends; raises ``BackendError`` where they are not ours."""
    connection.execute("select pg_advisory_xact_lock_shared(%s)", [_LOCK])
    found = standing(connection).criteria
    if found != ours:
        raise BackendError(_others(found, ours))


def _others(found: Criteria, ours: Criteria) -> str:
    if found.house != ours.house:
        return (
            "another sentinel, begun later, judges by other house rules: give every process the same file by ANSWERABLE_RULES,"
            " and start those that have another again"
        )
    return "another sentinel, begun later, judges by the rules of another release: update this one, or stop it"


def all_again(connection: Connection) -> None:
    """Has everything judged again, as other criteria would: for what took events or payloads away, since nothing tells any more
    who followed a name that they answered to.
    """
    connection.execute("update sentinel set again = '00000000-0000-0000-0000-000000000000'")


def again(connection: Connection, *, limit: int = PAGE) -> bool:
    """Queues the next judgements that were made by criteria of before, while no event waits for its own; whether it did."""
    with connection.transaction():
        row = connection.execute(_WAITING).fetchone()
        if row is None:
            return False
        last = connection.execute(_PAGE_END, {"after": row[0], "limit": limit}).fetchone()
        if last is not None:
            connection.execute(_QUEUE, {"after": row[0], "last": last[0], "wave": row[1]})
        connection.execute("update sentinel set again = %s", [last and last[0]])
    return last is not None


_ADOPT: Final = """
update sentinel set house = %s, release = %s,
       again = case when exists (select from judgements) then '00000000-0000-0000-0000-000000000000'::uuid end"""
_WAITING: Final = """
select again, wave from sentinel where again is not null and not exists (select from sentinel_stale) for update skip locked"""
_PAGE_END: Final = """
select max(event_id::text)::uuid from (
    select event_id from judgements where event_id > %(after)s order by event_id limit %(limit)s) page having count(*) > 0"""
_QUEUE: Final = """
insert into sentinel_stale (event_id, tenant, wave, passed, since)
select event_id, tenant, %(wave)s, true, (extract(epoch from clock_timestamp()) * 1000000)::bigint
  from judgements where event_id > %(after)s and event_id <= %(last)s
on conflict do nothing"""

__all__ = [
    "PAGE",
    "Criteria",
    "Standing",
    "adopt",
    "again",
    "all_again",
    "code_digest",
    "criteria_of",
    "hold",
    "standing",
]
