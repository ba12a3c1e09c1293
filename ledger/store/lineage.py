"""The ``Lineage`` port on Postgres: one recursive query for the events near the one asked about, then what surrounds them.

It fetches and decodes; what follows from it is judged in ``ledger.attribution``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import psycopg

from ledger.attribution.pool import Pool
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits, Node, Ref, Subgraph
from ledger.store.absent import no_event
from ledger.store.connect import translated
from ledger.store.downwards import walk_below
from ledger.store.nodes import Reading
from ledger.store.question import Question

Connection = psycopg.Connection[Any]

POOL: Final = 50_000
"""Events that are fetched together for several questions at most."""


class PostgresLineage:
    """Answers questions about events from the store. ``connect`` lends a connection for one question, ``now`` tells silence."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Connection]],
        reading: Reading,
        now: Callable[[], int],
    ) -> None:
        self._connect = connect
        self._reading = reading
        self._now = now

    def above(
        self, tenant: str, event_id: bytes, *, as_of: int | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> Subgraph:
        """What an answer about an event needs: see ``ledger.ports.Lineage``."""
        with translated(), self._connect() as connection:
            question = Question(connection, self._reading, tenant, limits, as_of)
            walked = question.walk("lineage_up.sql", [event_id])
            if as_of is not None:
                question.keep_reached([event_id])
            unsure = question.accounts([event_id], walked, event_id)
            return self._complete(question, event_id, walked, unsure)

    def below(
        self, tenant: str, event_id: bytes, *, as_of: int | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> Subgraph:
        """What came of an event: see ``ledger.ports.Lineage``."""
        with translated(), self._connect() as connection:
            question = Question(connection, self._reading, tenant, limits, as_of)
            below = walk_below(question, [event_id])
            cut = below.walked if below.truncated else ()
            return self._complete(question, event_id, below.walked, cut, up=False)

    def _complete(
        self,
        question: Question,
        event_id: bytes,
        walked: Collection[bytes],
        unsure: Collection[bytes],
        *,
        up: bool = True,
    ) -> Subgraph:
        if not any(row[0].bytes == event_id for row in question.rows.values()):
            raise no_event(question.connection, question.reading, question.tenant, event_id, question.as_of)
        met = frozenset(question.decoded)
        if up:
            question.surroundings(event_id)
        nodes = question.nodes()
        nearby = frozenset([node.ref for node in nodes if node.ref not in met] if up else ())
        dangling = _dangling(nodes, nearby) if up else set()
        beyond = question.beyond(walked) if up else set()
        cut = beyond | (dangling - set(walked)) if beyond else set()
        return Subgraph(
            asked=event_id,
            nodes=nodes,
            persons=question.persons(nodes),
            refused=question.refused(dangling - cut),
            nearby=nearby,
            upwards=up,
            cut=frozenset(cut).union(unsure),
            crowded=frozenset(question.crowded),
            chains=question.chains(self._now() if question.as_of is None else question.as_of),
            limits=question.limits,
            as_of=question.as_of,
        )


def pool_above(
    connection: Connection,
    reading: Reading,
    tenant: str,
    event_ids: Collection[bytes],
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Pool | None:
    """What answers about several events need, fetched in as many round trips as for one; None where it is too much at once.

    Without what no judgement needs: chains, stored findings, refused records.
    """
    with translated():
        question = Question(connection, reading, tenant, limits._replace(nodes=POOL), None)
        walked = question.walk("lineage_up.sql", list(event_ids))
        unsure = question.accounts(event_ids, walked) if len(walked) < POOL else ()
        if len(walked) >= POOL:
            return None
        crowded = question.crowds(frozenset(event_ids))
        nodes = list(question.decoded.values())
        persons = question.persons(nodes)
        return Pool(nodes, persons, named=question.named, crowded=crowded, unsure=unsure, limits=limits)


def above_one(connection: Connection, reading: Reading, tenant: str, event_id: bytes) -> Subgraph:
    """What one answer needs, on a connection that is in use: as ``PostgresLineage.above``, whose silence is never asked for."""
    return PostgresLineage(lambda: nullcontext(connection), reading, lambda: 0).above(tenant, event_id)


def _dangling(nodes: Sequence[Node], nearby: Collection[Ref]) -> set[bytes]:
    """The causes that are stated and were not fetched, but for those of events nearby."""
    causes = {cause.event_id for node in nodes if node.ref not in nearby for cause in node.header.causes}
    return causes - {node.event_id for node in nodes}
