"""Everything that is wrong, as one list: stored findings, refused records, contradictions, then what is computed as of a time.

A page looks at a bounded part of each source in turn and says how far it looked; the next one goes on there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import psycopg

from ledger.attribution.answer import Severity
from ledger.attribution.contradictions import BY_NAME
from ledger.store import cited
from ledger.store.connect import translated
from ledger.store.nodes import Reading, query_file
from ledger.store.observed import double_continuations, overdue
from ledger.store.wrong import Look, Origin, Place, Wrong
from ledger.trust.reasons import REASONS

Connection = psycopg.Connection[Any]
State = Literal["open", "closed", "all"]

SCAN: Final = 20_000
"""Rows of findings, and of refused records, looked at in one call."""
REFUSALS: Final = frozenset(reason.name for reason in REASONS.values() if reason.refuses)
STORED: Final = frozenset(each.name for each in REASONS.values() if not each.refuses and each.scope != "read") | {
    "lost_to_retention"
}
"""Names of stored findings. What the log lost is computed while it is so, and kept once a worker met it."""


class Asked(NamedTuple):
    """What is asked for. ``whole``: also what concerns no tenant. ``severity``, and the ``agent`` that acted, are those of a
    contradiction: nothing else has either. ``now`` is the time that computed findings are as of.

    ``as_of``, an append time, shows what was known and open then; its ``now`` is the same time. ``lost`` is what the log
    dropped unread (``observed.lost``), None where nobody could look.
    """

    tenant: str
    now: int
    whole: bool = False
    name: str | None = None
    origin: Origin | None = None
    state: State = "open"
    as_of: int | None = None
    lost: Sequence[Wrong] | None = ()
    severity: Severity | None = None
    agent: str | None = None


class At(NamedTuple):
    """Where a page ended: the source, and the place in it. What somebody gives back is read by ``place_of``."""

    source: str
    place: Place


class Page(NamedTuple):
    """A page. ``next`` is where to go on, also where the page is not full: enough was looked at then, which ``truncated``
    tells by ``scan``. ``looked`` counts, by source, what was looked at for this page.
    """

    found: Sequence[Wrong]
    next: At | None
    truncated: tuple[str, ...]
    looked: Mapping[str, int]


class _Source(NamedTuple):
    name: str
    names: frozenset[str]
    origin: Origin
    start: Place
    look: Callable[[Connection, Reading, Asked, Place, int], Look]


def survey(
    connection: Connection, reading: Reading, asked: Asked, *, after: At | None = None, limit: int = 100
) -> Page:
    """The page after ``after``, which a page named or ``place_of`` gave."""
    found: list[Wrong] = []
    truncated: dict[str, None] = {}
    looked: dict[str, int] = {}
    following = _next_source(asked, 0) if after is None else after
    while following is not None:
        if len(found) == limit:
            return Page(found, following, tuple(truncated), looked)
        source = _BY_NAME[following.source]
        if source.name in _VERIFYING and not reading.trusts:
            look = Look((), truncated=("trust",))
        else:
            look = source.look(connection, reading, asked, following.place, limit - len(found))
        found += look.found
        truncated |= dict.fromkeys(look.truncated)
        looked[source.name] = look.looked
        if look.next is not None:
            truncated |= {} if len(found) == limit else {"scan": None}
            return Page(found, At(source.name, look.next), tuple(truncated), looked)
        following = _next_source(asked, _SOURCES.index(source) + 1)
    return Page(found, None, tuple(truncated), looked)


def place_of(source: str, numbers: Iterable[str]) -> At:
    """Where a page ended, by the source and its numbers in decimal; raises ``ValueError`` where no page ends there."""
    at = At(source, tuple(map(int, numbers)))
    known = _BY_NAME.get(source)
    if known is None or len(at.place) != len(known.start) or not all(0 <= each < 1 << 63 for each in at.place):
        raise ValueError(f"{at} is no place in a survey")
    return at


def _next_source(asked: Asked, first: int) -> At | None:
    for source in _SOURCES[first:]:
        named = asked.name is None or asked.name in source.names
        closed = asked.state == "closed" and source.name not in (
            "stored",
            "contradictions",
        )  # nothing else is ever closed: it is there or it is not
        other = (asked.severity or asked.agent) is not None and source.name != "contradictions"
        if named and not closed and not other and asked.origin in (None, source.origin):
            return At(source.name, source.start)
    return None


def _stored(connection: Connection, _: Reading, asked: Asked, after: Place, room: int) -> Look:
    return _kept(connection, "survey_stored.sql", asked, after, room, _finding)


def _refused(connection: Connection, _: Reading, asked: Asked, after: Place, room: int) -> Look:
    return _kept(connection, "survey_refused.sql", asked, after, room, _refusal)


def _contradictions(connection: Connection, _: Reading, asked: Asked, after: Place, room: int) -> Look:
    return _kept(connection, "survey_contradictions.sql", asked, after, room, _contradiction)


def _kept(
    connection: Connection, file: str, asked: Asked, after: Place, room: int, shown: Callable[[tuple[Any, ...]], Wrong]
) -> Look:
    given = {
        "tenant": asked.tenant,
        "whole": asked.whole,
        "name": asked.name,
        "state": asked.state,
        "as_of": asked.as_of,
        "severity": asked.severity,
        "agent": asked.agent,
        "after": after[0],
        "room": room,
        "scan": SCAN,
    }
    with translated():
        rows = connection.execute(query_file(file), given).fetchall()
    last, looked = rows[0][:2]
    found = [row[2:] for row in rows if row[2] is not None]
    if len(found) > room:
        following: Place | None = (found[room - 1][0],)
    else:
        following = (last,) if looked == SCAN else None
    return Look([shown(row) for row in found[:room]], following, looked)


def _finding(row: tuple[Any, ...]) -> Wrong:
    _, name, service, key_id, chain_id, number, until, digest, event_id, detail, opened_at, closed_at = row
    return Wrong(
        name,
        "stored",
        detail,
        service,
        key_id,
        chain_id,
        number,
        until,
        digest,
        event_id.bytes if event_id is not None else None,
        opened_at or None,
        closed_at,
    )


def _refusal(row: tuple[Any, ...]) -> Wrong:
    _, reason, service, key_id, digest, topic, partition, offset, detail, append_time = row
    where = f"{topic}/{partition} record {offset}"
    return Wrong(
        reason,
        "stored",
        f"{where}: {detail}" if detail else where,
        service,
        key_id,
        digest=digest,
        opened_at=append_time,
    )


def _contradiction(row: tuple[Any, ...]) -> Wrong:
    _, rule, service, event_id, detail, severity, evidence, opened_at, closed_at = row
    return Wrong(
        rule,
        "stored",
        detail,
        service,
        event_id=event_id.bytes,
        opened_at=opened_at,
        closed_at=closed_at,
        severity=severity,
        evidence=tuple(each.bytes for each in evidence),
    )


def _overdue(connection: Connection, reading: Reading, asked: Asked, after: Place, room: int) -> Look:
    return overdue(connection, reading, asked.tenant, asked.now, as_of=asked.as_of, after=after, room=room)


def _doubled(connection: Connection, reading: Reading, asked: Asked, after: Place, room: int) -> Look:
    return double_continuations(connection, reading, asked.tenant, as_of=asked.as_of, after=after, room=room)


def _events(connection: Connection, reading: Reading, asked: Asked, after: Place, room: int) -> Look:
    names = cited.NAMES if asked.name is None else (asked.name,)
    return cited.suspects(connection, reading, asked.tenant, names=names, as_of=asked.as_of, after=after, room=room)


def _lost(_: Connection, __: Reading, asked: Asked, after: Place, room: int) -> Look:
    if not asked.whole or asked.as_of is not None:  # what the log holds is known of now alone
        return Look(())
    if asked.lost is None:
        return Look((), truncated=("log",))
    (first,) = after
    end = first + room
    return Look(asked.lost[first:end], (end,) if end < len(asked.lost) else None, len(asked.lost))


_SOURCES: Final = (
    _Source("stored", STORED, "stored", (0,), _stored),
    _Source("refused", REFUSALS, "stored", (0,), _refused),
    _Source("contradictions", frozenset(BY_NAME), "stored", (0,), _contradictions),
    _Source("chains", frozenset({"overdue"}), "computed", (0,), _overdue),
    _Source("continuations", frozenset({"double_continuation"}), "computed", (0,), _doubled),
    _Source("events", frozenset(cited.NAMES), "computed", cited.START, _events),
    _Source("log", frozenset({"lost_to_retention"}), "computed", (0,), _lost),
)
_VERIFYING: Final = frozenset({"chains", "continuations", "events"})
"""Sources that verify what they read: without a trust bundle they say nothing."""
_BY_NAME: Final = {source.name: source for source in _SOURCES}
NAMES: Final = frozenset().union(*(source.names for source in _SOURCES)) - BY_NAME.keys()
"""All of ``ledger.trust.reasons`` that can be found here, beside the rules of contradictions. What takes a head
that somebody exported, `verify --against` alone can tell."""
