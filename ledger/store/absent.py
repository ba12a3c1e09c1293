"""What to say of an id that no answer can be about: that it is another thing's, or that it came later than was asked."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from ledger.attribution.json_form import rfc3339
from ledger.attribution.subgraph import Node
from ledger.errors import NotFound
from ledger.format import ids
from ledger.store.nodes import Reading, query_events
from ledger.store.seals import CHANGED

Connection = psycopg.Connection[Any]

_FIRST: Final = """
select event_id from events
 where execution_id = %(run)s::uuid and tenant = (select id from names where name = %(tenant)s)
 order by occurred_at, event_id limit 1"""


def by_then(as_of: int | None) -> str:
    """` by …`, for a sentence that says that there was none; nothing where no time was asked for."""
    return "" if as_of is None else f" by {rfc3339(as_of)}"


def no_event(
    connection: Connection, reading: Reading, tenant: str, event_id: bytes, as_of: int | None = None
) -> NotFound:
    """The error for an event that is not there, by ``as_of`` where that was asked."""
    name = ids.text(event_id)
    came = _read(connection, reading, tenant, event_id)
    if came and as_of is not None:
        return NotFound(f"this ledger had no event {name}{by_then(as_of)}: it came at {_earliest(came)}")
    if _first_of_run(connection, reading, tenant, event_id):
        return NotFound(f"this ledger has no event {name}, but a run of that id: ask for its replay")
    return NotFound(f"this ledger has no event {name}")


def no_run(connection: Connection, reading: Reading, tenant: str, run: bytes, as_of: int | None = None) -> NotFound:
    """The error for an execution that is not there, by ``as_of`` where that was asked."""
    name = ids.text(run)
    first = _first_of_run(connection, reading, tenant, run) if as_of is not None else []
    if first and as_of is not None:
        return NotFound(
            f"this ledger had no execution {name}{by_then(as_of)}: its first event came at {_earliest(first)}"
        )
    found = [node for node in _read(connection, reading, tenant, run) if CHANGED not in node.findings]
    if not found:
        return NotFound(f"this ledger has no execution {name}")
    runs = {node.header.execution_id for node in found if node.header.execution_id is not None}
    its = f", of the execution {' and '.join(map(ids.text, sorted(runs)))}" if runs else " of no execution"
    return NotFound(f"this ledger has no execution {name}, but an event of that id{its}: ask who triggered it")


def _first_of_run(connection: Connection, reading: Reading, tenant: str, run: bytes) -> list[Node]:
    row = connection.execute(_FIRST, {"run": run.hex(), "tenant": tenant}).fetchone()
    return [] if row is None else _read(connection, reading, tenant, row[0].bytes)


def _read(connection: Connection, reading: Reading, tenant: str, event_id: bytes) -> list[Node]:
    query = query_events("events_by_id.sql", bounded=False)
    rows = connection.execute(query, {"tenant": tenant, "ids": [event_id.hex()]}, binary=True).fetchall()
    return reading.nodes(connection, tenant, [row for row in rows if row[1] is not None])


def _earliest(nodes: list[Node]) -> str:
    return rfc3339(min(node.append_time for node in nodes))
