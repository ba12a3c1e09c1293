"""Looking events up: one by id, those of an action or a run in order, and those that match a search. Pages, never the whole.

Every function takes a connection whose search path is the schema to read; a driver's error is ``BackendError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.findable import matches, names_for
from ledger.attribution.joins import key_of, names_of
from ledger.attribution.subgraph import Limits, Node, Subgraph
from ledger.errors import InvalidEvent, NotFound
from ledger.format.content import is_digest, named_person
from ledger.format.kinds import KINDS
from ledger.store.absent import no_event, no_run
from ledger.store.connect import translated
from ledger.store.judged import ANY, Judged
from ledger.store.nodes import Reading, Row, query_bounded, query_events, query_file
from ledger.store.seals import CHANGED
from ledger.wording import no_such

Connection = psycopg.Connection[Any]

PSEUDONYMS: Final = 5000
"""Digests of one person that a search looks for: each process of each publisher draws its own."""


class Cursor(NamedTuple):
    """Where a page ended. ``at`` is its last event's ``occurred_at``; searches are ordered by id alone."""

    event_id: bytes
    digest: bytes
    at: int = 0


class Page(NamedTuple):
    """Events in order. ``next`` leads to those after them, None at the end; ``truncated`` names limits of the search itself."""

    events: Sequence[Node]
    next: Cursor | None
    truncated: tuple[str, ...] = ()


class Search(NamedTuple):
    """What events must match, all of it. ``value`` stands in any field that is searched (``attribution.findable``); ``principal``
    is `issuer#subject` or a digest in hex; since ≤ occurred_at < until; ``judged`` is what the sentinel judged them as."""

    value: str | None = None
    correlation: str | None = None
    principal: str | None = None
    agent: str | None = None
    resource: str | None = None
    kind: str | None = None
    execution: bytes | None = None
    since: int | None = None
    until: int | None = None
    judged: Judged = ANY

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return self == Search()


def find_events(
    connection: Connection,
    reading: Reading,
    tenant: str,
    search: Search,
    *,
    after: Cursor | None = None,
    limit: int = 100,
) -> Page:
    """The events that match, those with the latest ids first. Of what is found by a name ``SCAN`` events are looked at in one
    call: a page that ends before it is full says `scan`, and goes on.

    Raises ``InvalidEvent`` for a person or correlation of no such form, and for a kind of which there is none: kinds of a later
    release are found, and a slip is no answer.
    """
    if search.correlation is not None and ":" not in search.correlation:
        raise InvalidEvent("a correlation is namespace:value, such as trace:0af7651916cd43dd8448eb211c80319c")
    judged = search.judged.checked()
    with translated():
        people, truncated = pseudonyms(connection, tenant, search.principal)
        sets = [
            names_for(search.value) if search.value is not None else None,
            [f"correlation:{search.correlation}"] if search.correlation is not None else None,
            [f"resource:{search.resource}"] if search.resource is not None else None,
            [f"principal:{digest}" for digest in people] if people is not None else None,
        ]
        names = [each for each in sets if each is not None]
        given: dict[str, Any] = {
            "tenant": tenant,
            "as_of": None,
            "agent": search.agent,
            "kind": search.kind,
            "execution": search.execution.hex() if search.execution else None,
            "since": search.since,
            "until": search.until,
            "limit": limit + 1,
            **judged.given(),
        }
        given |= {f"keys{i}": [key_of(tenant, name) for name in each] for i, each in enumerate(names)}
        if search.value is not None and connection.execute(_UNFILLED).fetchone() is not None:
            truncated = (*truncated, "rebuild")
        first = after is None
        found: list[Node] = []
        looked, below = 0, after.event_id if after is not None else _LAST_ID
        while len(found) <= limit:
            window, edge = _window(connection, given["keys0"], below) if names else ([], None)
            query = find_query(search, names, after)
            rows = _page(connection, query, {**given, **_after(after), "window": [each.hex() for each in window]})
            nodes = reading.nodes(connection, tenant, rows)
            found += [node for node in nodes if _answers(node, search.value, names)]
            looked += len(window)
            if len(rows) > limit:
                after = Cursor(nodes[-1].event_id, nodes[-1].digest)
                below = after.event_id
            elif edge is None:
                break
            else:
                after, below = None, (int.from_bytes(edge) - 1).to_bytes(16)
                if looked >= SCAN and len(found) <= limit:
                    return Page(found, Cursor(edge, b""), (*truncated, "scan"))
    if first and not found and search.kind is not None and search.kind not in KINDS:
        raise InvalidEvent(f"no event matches, and {no_such('kind', search.kind, list(KINDS))}")
    return paged(found, limit, truncated)


WINDOW: Final = 1000
"""Events of a name that are looked at together."""
SCAN: Final = 50_000
_LAST_ID: Final = b"\xff" * 16
_UNFILLED: Final = "select 1 from values_since where seal > 0"
"""Whether there are events that were stored before every value was looked up by."""
_KEYED: Final = """
select k.key, j.event_id
  from unnest(%(keys)s::bigint[]) as k (key)
 cross join lateral (
           select j.event_id from joins j where j.key = k.key and j.event_id <= %(below)s::uuid
            order by j.event_id desc limit %(window)s
       ) j"""


def _window(connection: Connection, keys: Sequence[int], below: bytes) -> tuple[list[bytes], bytes | None]:
    """The latest ids that answer to keys, none above ``below``; and down to which they are all of them, None: to the first."""
    given = {"keys": list(dict.fromkeys(keys)), "below": below.hex(), "window": WINDOW}
    by_key: dict[int, list[bytes]] = {}
    for key, event_id in connection.execute(_KEYED, given, binary=True):
        by_key.setdefault(key, []).append(event_id.bytes)
    edge = max((min(ids) for ids in by_key.values() if len(ids) >= WINDOW), default=None)
    ids = {each for found in by_key.values() for each in found}
    return sorted((each for each in ids if edge is None or each >= edge), reverse=True), edge


_OF_TENANT: Final = "{}.tenant = (select id from names where name = %(tenant)s)"


def find_query(search: Search, names: Sequence[Sequence[str]], after: Cursor | None) -> bytes:
    """Only the conditions that are asked for, so that each search has the plan that fits it. With names: of the ids in `window`,
    looked up one by one, as those are that were judged so."""
    conditions = [_OF_TENANT.format("e")]
    for i in range(1, len(names)):
        conditions.append(f"exists (select 1 from joins j where j.key = any(%(keys{i})s) and j.event_id = e.event_id)")  # noqa: S608, PERF401
    if search.agent is not None:
        conditions.append("e.agent = (select id from names where name = %(agent)s)")
    if search.kind is not None:
        conditions.append("e.kind = (select id from names where name = %(kind)s)")
    if search.execution is not None:
        conditions.append("e.execution_id = %(execution)s::uuid")
    if search.since is not None:
        conditions.append("e.occurred_at >= %(since)s")
    if search.until is not None:
        conditions.append("e.occurred_at < %(until)s")
    if after is not None:
        conditions.append("(e.event_id, e.digest) < (%(after_id)s::uuid, %(after_digest)s)")
    judged, order = search.judged.conditions(), "e"
    if names and judged:
        own = ("(j.event_id, j.tenant) = (e.event_id, e.tenant)", *judged)
        conditions.append(f"exists (select 1 from judgements j where {' and '.join(own)})")  # noqa: S608 - constants
    of, where = "events e", "\n   and ".join(conditions)
    one = "\n cross join lateral (select * from events e where e.event_id = {}.event_id and {} offset 0) e"
    if names:
        of, where = "unnest(%(window)s::uuid[]) w (event_id)" + one.format("w", where), "true"
    elif judged:
        of, order = "judgements j" + one.format("j", where), "j"
        until = [] if after is None else ["j.event_id <= %(after_id)s::uuid"]
        where = "\n   and ".join([_OF_TENANT.format("j"), *judged, *until])
    order += ".event_id desc, e.digest desc"
    found = f"select e.event_id, e.digest from {of}\n where {where}\n order by {order} limit %(limit)s"  # noqa: S608 - constants
    return (
        b"with found as (\n"
        + found.encode()
        + b"\n)\n"
        + query_file("events_found.sql")
        + b" order by e.event_id desc, e.digest desc"
    )


def _answers(node: Node, value: str | None, names: Sequence[Sequence[str]]) -> bool:
    """Keys are hints: whether the event really answers to one name of each set. What proves nothing is shown, not dropped."""
    if not names or CHANGED in node.findings:
        return True
    if value is not None:
        names = names[1:]
        if not matches(node.header, node.payload, value):
            return False
    answers = set(names_of(node.header, node.payload)[0])
    return all(not answers.isdisjoint(each) for each in names)


def pseudonyms(connection: Connection, tenant: str, principal: str | None) -> tuple[list[str] | None, tuple[str, ...]]:
    """The digests, in hex, under which a person appears; None where none was asked for. Raises ``InvalidEvent``."""
    if principal is None:
        return None, ()
    if is_digest(named_person(principal)):
        return [principal], ()
    query = (
        "select digest from contents where tenant = (select id from names where name = %s)"
        " and subjects @> array[%s::text] and media_type = 'application/vnd.answerable.principal+json' limit %s"
    )
    found = [digest.hex() for (digest,) in connection.execute(query, [tenant, principal, PSEUDONYMS + 1])]
    return found[:PSEUDONYMS], ("pseudonyms",) if len(found) > PSEUDONYMS else ()


def event_by_id(connection: Connection, reading: Reading, tenant: str, event_id: bytes) -> tuple[Node, ...]:
    """Every event of this id, for there may be two; raises ``NotFound``."""
    nodes = events_by_ids(connection, reading, tenant, [event_id])
    if not nodes:
        with translated():
            raise no_event(connection, reading, tenant, event_id)
    return tuple(sorted(nodes, key=lambda node: node.digest))


def events_by_ids(connection: Connection, reading: Reading, tenant: str, wanted: Sequence[bytes]) -> list[Node]:
    """Whatever events these ids have, in no order."""
    query = query_events("events_by_id.sql", bounded=False)
    given = {"tenant": tenant, "ids": [each.hex() for each in wanted]}
    with translated():
        rows = connection.execute(query, given, binary=True).fetchall()
    return reading.nodes(connection, tenant, [row for row in rows if row[1] is not None])


def events_of_action(
    connection: Connection, reading: Reading, tenant: str, action_id: str, *, limit: int = 100
) -> Page:
    """All accounts of an action, the decisions about it and the approvals that refer to it, in order of time.

    Raises ``NotFound``. There is no next page: what is beyond ``limit`` is named in ``truncated``.
    """
    name = f"action:{action_id}"
    given = {"tenant": tenant, "keys": [key_of(tenant, name)], "candidates": limit + 1, "near": "f" * 32}
    with translated():
        rows = connection.execute(query_events("lineage_keys.sql", bounded=False), given, binary=True).fetchall()
    nodes = reading.nodes(connection, tenant, [row for row in rows if row[1] is not None])
    nodes = [node for node in nodes if _answers(node, None, [[name]])]
    if not nodes:
        raise NotFound(f"this ledger has no action {action_id!r}")
    nodes.sort(key=_in_time)
    return Page(nodes[:limit], None, ("events",) if len(rows) > limit else ())


def replay(
    connection: Connection,
    reading: Reading,
    tenant: str,
    execution_id: bytes,
    *,
    after: Cursor | None = None,
    limit: int = 100,
) -> Page:
    """The events of a run in the order in which they occurred; raises ``NotFound`` where there is none at all."""
    with translated():
        nodes = reading.nodes(
            connection, tenant, run_rows(connection, tenant, execution_id, after=after, limit=limit + 1)
        )
        if not nodes and after is None:
            raise no_run(connection, reading, tenant, execution_id)
    return paged(nodes, limit)


def run_rows(
    connection: Connection,
    tenant: str,
    execution_id: bytes,
    *,
    after: Cursor | None = None,
    limit: int,
    back: bool = False,
    as_of: int | None = None,
) -> list[Row]:
    """Rows of the events of a run, in order of time from ``after`` on; ``back``: the ``limit`` up to it, itself among them."""
    given = {"tenant": tenant, "execution": execution_id.hex(), "limit": limit, "as_of": as_of, **_after(after)}
    query = query_bounded("events_replay.sql", as_of is not None)
    place = b"" if after is None else _UNTIL if back else _LATER
    query = query.replace(b"/*place*/", place).replace(b"/*back*/", b"desc" if back else b"")
    return connection.execute(query + query_file("events_found.sql") + _IN_TIME, given, binary=True).fetchall()


def execution_subgraph(
    connection: Connection, reading: Reading, tenant: str, execution_id: bytes, *, limits: Limits
) -> Subgraph:
    """A run as a graph: its first events, up to ``limits.nodes``, and as many of other runs as these cite: where it comes from,
    and what it was allowed. Of those the causes are not asked for.
    """
    page = replay(connection, reading, tenant, execution_id, limit=limits.nodes)
    inside = {node.event_id for node in page.events}
    cited = [cause.event_id for node in page.events for cause in node.header.causes if cause.event_id not in inside]
    cited = list(dict.fromkeys(cited))
    outside = events_by_ids(connection, reading, tenant, cited[: limits.nodes])
    cut = set(cited[limits.nodes :])
    if page.next is not None:
        beyond = replay(connection, reading, tenant, execution_id, after=page.next, limit=1)
        cut.update(node.event_id for node in beyond.events)
    return Subgraph(
        asked=page.events[0].event_id,
        nodes=(*page.events, *outside),
        nearby=frozenset(node.ref for node in outside),
        cut=frozenset(cut),
        limits=limits,
    )


_LATER: Final = b"and (e.occurred_at, e.event_id, e.digest) > (%(after_at)s, %(after_id)s::uuid, %(after_digest)s)"
_UNTIL: Final = _LATER.replace(b">", b"<=")
_IN_TIME: Final = b" order by e.occurred_at, e.event_id, e.digest"


def _page(connection: Connection, query: bytes, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    return connection.execute(query, given, binary=True).fetchall()


def _after(after: Cursor | None) -> dict[str, Any]:
    if after is None:
        return {}
    return {"after_id": after.event_id.hex(), "after_digest": after.digest, "after_at": after.at}


def paged(nodes: Sequence[Node], limit: int, truncated: tuple[str, ...] = ()) -> Page:
    """A page of ``nodes``, which are one more than ``limit`` where there are more."""
    shown = list(nodes[:limit])
    last = shown[-1] if len(nodes) > limit else None
    return Page(shown, Cursor(last.event_id, last.digest, last.at) if last is not None else None, truncated)


def _in_time(node: Node) -> tuple[int, bytes, bytes]:
    return node.at, node.event_id, node.digest
