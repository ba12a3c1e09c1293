"""Two runs beside each other: what of both is fetched to tell what they did differently. Judged in ``attribution.difference``."""

from __future__ import annotations

from typing import Any

import psycopg

from ledger.attribution.alignment import STEPS
from ledger.attribution.difference import DECISIONS, Difference, compare, decisions_wanted, texts_wanted
from ledger.store.nodes import Reading
from ledger.store.persons import persons_named
from ledger.store.queries import events_by_ids, replay
from ledger.store.texts import texts_of


def difference_of(connection: psycopg.Connection[Any], reading: Reading, tenant: str, a: bytes, b: bytes) -> Difference:
    """What two executions did differently, over the first ``STEPS`` events of each; raises ``NotFound``."""
    first, second = (replay(connection, reading, tenant, run, limit=STEPS) for run in (a, b))
    nodes = (*first.events, *second.events)
    digests = texts_wanted(first.events, second.events)
    people = digests | {node.header.principal for node in nodes if node.header.principal is not None}
    cut = [name for name, page in (("a", first), ("b", second)) if page.next is not None]
    wanted = decisions_wanted(first.events, second.events)
    cut += ["decisions"] if len(wanted) > DECISIONS else []
    return compare(
        (a, b),
        first.events,
        second.events,
        persons_named(connection, reading, tenant, people),
        texts_of(connection, reading.schemas, tenant, digests),
        cut,
        events_by_ids(connection, reading, tenant, wanted[:DECISIONS]),
    )
