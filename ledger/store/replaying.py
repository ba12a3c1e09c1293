"""A run, step by step, with what held at each step: what is fetched for a page of it. Judged in ``attribution.replay``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.joins import token_names
from ledger.attribution.replay.silences import SILENCE
from ledger.attribution.replay.steps import replay_page
from ledger.attribution.replay.values import Promise, Replay
from ledger.attribution.subgraph import DEFAULT_LIMITS, KnownPerson, Limits, Node, Ref, Subgraph
from ledger.attribution.surroundings import relied_on, uses_among
from ledger.errors import NotFound
from ledger.format import ids
from ledger.format.kinds import ApiAction, Oversight, TokenIssuance
from ledger.store.absent import no_run
from ledger.store.connect import translated
from ledger.store.nodes import Reading, Row, query_file
from ledger.store.queries import Cursor, run_rows
from ledger.store.question import Question

Connection = psycopg.Connection[Any]

EARLIER: Final = 2000
"""Events of the run before a page, from which follows what held when it began; the latest of them are read."""
EFFECTS: Final = 500
"""Events outside of the run that name one of its own as a cause."""
EFFECTS_OF_ONE: Final = 2000
"""Effects of one event, inside the run or outside, among which these are looked for."""
_SEAL: Final = 7
"""Position of a seal's surrogate number in a row."""
_CROWDED: Final = """
select exists (select 1 from unnest(%(ids)s::uuid[]) as i (id)
                where exists (select 1 from causes c where c.cause = i.id order by c.effect offset %(each)s limit 1))"""


class Replayed(NamedTuple):
    """A page, where the next one begins, and whom its events name."""

    replay: Replay
    next: Cursor | None
    persons: Mapping[bytes, KnownPerson]


def replay_steps(
    connection: Connection,
    reading: Reading,
    tenant: str,
    execution: bytes,
    *,
    now: int,
    after: Cursor | None = None,
    limit: int = 100,
    silence: int = SILENCE,
    as_of: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    earlier: int = EARLIER,
) -> Replayed:
    """The steps of a run after ``after``; raises ``NotFound`` where there is none at all. ``silence`` is in seconds."""
    with translated():
        found = run_rows(connection, tenant, execution, after=after, limit=limit + 1, as_of=as_of)
        if not found and after is None:
            raise no_run(connection, reading, tenant, execution, as_of)
        before: list[Row] = []
        if after is not None and found:
            before = run_rows(connection, tenant, execution, after=after, limit=earlier + 1, back=True, as_of=as_of)
        rows = [*before[-earlier:], *found[:limit]]
        fetch = _Fetch(connection, reading, tenant, execution, rows, limits, as_of)
        nodes = fetch.around()
        run, persons = fetch.own(nodes), fetch.question.persons(nodes)
        last_before = len(rows) - len(found[:limit])
        promises = fetch.promises(rows[max(last_before - 1, 0) :])
    truncated = [*(["earlier"] if len(before) > earlier else []), *fetch.truncated]
    replay = replay_page(
        fetch.subgraph(nodes, persons),
        execution,
        run[:last_before],
        run[last_before:],
        promises,
        silence=silence,
        now=now if as_of is None else as_of,
        last=len(found) <= limit,
        truncated=truncated,
    )
    end = run[-1] if len(found) > limit else None
    return Replayed(replay, Cursor(end.event_id, end.digest, end.at) if end is not None else None, persons)


def place_in_run(connection: Connection, tenant: str, execution: bytes, event_id: bytes) -> Cursor:
    """Where a run goes on after one of its events; raises ``NotFound`` where it is none of them."""
    query = """select e.digest, e.occurred_at from events e
                where e.event_id = %(id)s::uuid and e.execution_id = %(execution)s::uuid
                  and e.tenant = (select id from names where name = %(tenant)s) order by e.digest desc limit 1"""
    given = {"id": event_id.hex(), "execution": execution.hex(), "tenant": tenant}
    with translated():
        row = connection.execute(query, given, binary=True).fetchone()
    if row is None:
        raise NotFound(f"the execution {ids.text(execution)} has no event {ids.text(event_id)}")
    return Cursor(event_id, row[0], row[1])


class _Fetch:
    """What surrounds the events of a run. ``truncated`` names the limits that were hit."""

    def __init__(
        self,
        connection: Connection,
        reading: Reading,
        tenant: str,
        execution: bytes,
        rows: Sequence[Row],
        limits: Limits,
        as_of: int | None,
    ) -> None:
        self.question = Question(connection, reading, tenant, limits._replace(nodes=limits.nodes + len(rows)), as_of)
        self.question.take(rows)
        self.truncated: list[str] = []
        self._execution = execution
        self._own = [(row[0].bytes, row[1]) for row in rows]
        self._walked: set[bytes] = set()
        self._met: frozenset[tuple[bytes, bytes]] = frozenset()

    def around(self) -> tuple[Node, ...]:
        """All that is above the run, what cites it from outside, and what else was said of its tokens and approvals."""
        question, own = self.question, list(dict.fromkeys(event_id for event_id, _ in self._own))
        if not own:
            return ()
        self._walked = question.walk("lineage_up.sql", own)
        if question.beyond(self._walked):
            self.truncated.append("nodes")
        self._met = frozenset(question.decoded)
        given = {"ids": [each.hex() for each in own], "each": EFFECTS_OF_ONE}
        effects = question.fetch("replay_effects.sql", **given, execution=self._execution.hex(), effects=EFFECTS + 1)
        crowded = question.connection.execute(_CROWDED, given).fetchone()
        if len(effects) > EFFECTS or (crowded is not None and crowded[0]):
            self.truncated.append("effects")
        self._said_elsewhere({*own, *effects})
        return question.nodes()

    def _said_elsewhere(self, event_ids: set[bytes]) -> None:
        """Revocations of the tokens met, uses of the approvals met, and when the run was started and ended."""
        names = [f"run_state:{self._execution.hex()}"]
        for node in self.question.decoded.values():
            fact = node.fact
            if isinstance(fact, Oversight):
                names += [f"oversight_use:{fact.oversight_id}", *relied_on([node.event_id])]
            elif isinstance(fact, TokenIssuance) and node.payload is not None:
                names += [*token_names(node.payload["token"]), *token_names(node.payload["subject_token"])]
                names += [f"grant:{fact.grant_id}"] if fact.grant_id is not None else []
            elif isinstance(fact, ApiAction) and node.event_id in event_ids:
                names.append(f"action:{fact.action_id}")
        most = self.question.limits.beside
        self.question.by_keys(names, most, max(event_ids))
        if uses := uses_among(names):
            self.question.told_if_full(uses, max(event_ids), most)
            self.question.accounts_of_uses(uses, max(event_ids))
        if self.question.crowded:
            self.truncated.append("uses")

    def own(self, nodes: Sequence[Node]) -> list[Node]:
        """The run's events, with what is found about each, in order."""
        by_ref = {tuple(node.ref): node for node in nodes}
        return [by_ref[key] for key in self._own]

    def subgraph(self, nodes: Sequence[Node], persons: Mapping[bytes, KnownPerson]) -> Subgraph:
        """As the pure core takes it: what was cut is not missing, and of what is nearby the causes were not asked for."""
        known = {node.event_id for node in nodes}
        dangling = {
            cause.event_id for node in nodes if tuple(node.ref) in self._met for cause in node.header.causes
        } - known
        return Subgraph(
            asked=self._own[0][0] if self._own else self._execution,
            nodes=nodes,
            persons=persons,
            nearby=frozenset(node.ref for node in nodes if tuple(node.ref) not in self._met),
            cut=frozenset(dangling - self._walked) if "nodes" in self.truncated else frozenset(),
            limits=self.question.limits,
            as_of=self.question.as_of,
        )

    def promises(self, rows: Sequence[Row]) -> Mapping[Ref, Promise]:
        """What the seals of the events promised, as far as their chains are known."""
        given = {"seals": sorted({row[_SEAL] for row in rows}), "as_of": self.question.as_of}
        found = {
            seal: Promise(within, due, heard)
            for seal, within, due, heard in self.question.connection.execute(query_file("replay_promises.sql"), given)
        }
        return {Ref(row[0].bytes, row[1]): found[row[_SEAL]] for row in rows if row[_SEAL] in found}
