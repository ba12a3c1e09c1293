"""Chains in the store: their state, kept in memory as long as its version is that of the row, and what a step writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import psycopg

from ledger.format.batch import Chain
from ledger.trust.chain import ChainFinding, ChainState, Mark, Near, Run, replay

_MARK: Final = "number, digest, previous, first_sequence, event_count, sealed_at, next_within is not distinct from 0"
_MOST: Final = 50_000


class Held(NamedTuple):
    """A chain as last seen: its row's id and version, and its state then."""

    id: int
    version: int
    state: ChainState


class Chains:
    """The states that one worker has in memory. What a transaction learns is adopted after its commit, by ``adopt``."""

    def __init__(self) -> None:
        self._held: dict[Chain, Held] = {}

    def lock(
        self, connection: psycopg.Connection, wanted: Iterable[Chain], names: Mapping[str, int]
    ) -> dict[Chain, Held]:
        """The chains, their rows made where missing and locked in the order of their ids."""
        wanted = set(wanted)
        ids = {chain: self._held[chain].id for chain in wanted if chain in self._held}
        ids.update(_make(connection, sorted(wanted - ids.keys()), names))
        rows = connection.execute(
            "select id, version, closed_at from chains where id = any(%s) order by id for update",
            [sorted(ids.values())],
        ).fetchall()
        found = {row[0]: row for row in rows}
        locked = {}
        for chain, chain_id in ids.items():
            if chain_id not in found:  # the schema was swapped under us
                self._held.clear()
                return self.lock(connection, wanted, names)
            _, version, closed_at = found[chain_id]
            held = self._held.get(chain)
            if held is None or held.version != version:
                held = Held(chain_id, version, load(connection, chain_id, closed_at) if version else ChainState())
            locked[chain] = held
        return locked

    def adopt(self, changed: Mapping[Chain, Held]) -> None:
        """Takes over the states that a committed transaction left."""
        if len(self._held) > _MOST:
            self._held.clear()
        self._held.update(changed)

    def forget(self) -> None:
        self._held.clear()


def find(connection: psycopg.Connection, chain: Chain) -> int | None:
    """The id of ``chain``, if any of its seals was ever admitted."""
    row = connection.execute(
        "select c.id from chains c join names t on t.id = c.tenant join names s on s.id = c.service"
        " where t.name = %s and s.name = %s and c.key_id = %s and c.chain_id = %s",
        chain[1:],
    ).fetchone()
    return None if row is None else int(row[0])


def load(connection: psycopg.Connection, chain: int, closed_at: int | None) -> ChainState:
    """The state of a chain, from its runs and the seals at their ends."""
    rows = connection.execute(
        f"select r.start, r.stop, {_MARK} from runs r join seals s on s.chain = r.chain and s.number in (r.start, r.stop)"  # noqa: S608 - constants
        " where r.chain = %s order by r.start",
        [chain],
    ).fetchall()
    ends: dict[tuple[int, int], list[Mark]] = {}
    for start, stop, *mark in rows:
        ends.setdefault((start, stop), []).append(Mark(*mark))
    runs = tuple(
        Run(frozenset(m for m in marks if m.number == start), frozenset(m for m in marks if m.number == stop))
        for (start, stop), marks in ends.items()
    )
    return ChainState(runs, closed_at)


def near(connection: psycopg.Connection, chain: int, numbers: Sequence[int]) -> Near:
    """The admitted seals of these numbers."""
    found: dict[int, frozenset[Mark]] = {}
    query = f"select {_MARK} from seals where chain = %s and number = any(%s)"  # noqa: S608 - constants
    for row in connection.execute(query, [chain, list(numbers)]):
        mark = Mark(*row)
        found[mark.number] = found.get(mark.number, frozenset()) | {mark}
    return found


def save(connection: psycopg.Connection, changed: Mapping[Chain, tuple[Held, Held]]) -> None:
    """Writes each chain's state from what it was to what it is."""
    gone: list[tuple[int, int]] = []
    runs: list[tuple[int, int, int]] = []
    for before, after in changed.values():
        old = {(run.start, run.stop) for run in before.state.runs}
        new = {(run.start, run.stop) for run in after.state.runs}
        starts = {start for start, _ in new}
        gone += [(before.id, start) for start, _ in old - new if start not in starts]
        runs += [(before.id, start, stop) for start, stop in new - old]
    heads = [(after.version, after.state.closed_at, after.id) for _, after in changed.values()]
    cursor = connection.cursor()
    cursor.executemany("update chains set version = %s, closed_at = %s where id = %s", heads)
    cursor.executemany("delete from runs where chain = %s and start = %s", gone)
    cursor.executemany(
        "insert into runs values (%s, %s, %s) on conflict (chain, start) do update set stop = excluded.stop", runs
    )


def rebuild(connection: psycopg.Connection, chain: int) -> frozenset[ChainFinding]:
    """State of a chain from all its seals, after some were taken away; returns the findings that then hold."""
    rows = connection.execute(f"select {_MARK} from seals where chain = %s order by number", [chain])  # noqa: S608 - constants
    state, findings = replay(Mark(*row) for row in rows)
    connection.execute("delete from runs where chain = %s", [chain])
    connection.cursor().executemany(
        "insert into runs values (%s, %s, %s)", [(chain, run.start, run.stop) for run in state.runs]
    )
    connection.execute(
        "update chains set version = version + 1, closed_at = %s where id = %s", [state.closed_at, chain]
    )
    return findings


def _make(connection: psycopg.Connection, chains: list[Chain], names: Mapping[str, int]) -> dict[Chain, int]:
    if not chains:
        return {}
    rows = [(names[chain.tenant], names[chain.service], chain.key_id, chain.chain_id) for chain in chains]
    columns = [list(column) for column in zip(*rows, strict=True)]
    wanted = "unnest(%s::int[], %s::int[], %s::text[], %s::bytea[])"
    connection.execute(
        f"insert into chains (tenant, service, key_id, chain_id) select * from {wanted} on conflict do nothing",  # noqa: S608 - constants
        columns,
    )
    found = connection.execute(
        "select c.tenant, c.service, c.key_id, c.chain_id, c.id from chains c"  # noqa: S608 - constants
        f" join {wanted} as w (tenant, service, key_id, chain_id) using (tenant, service, key_id, chain_id)",
        columns,
    ).fetchall()
    ids = {tuple(row[:4]): row[4] for row in found}
    return {chain: ids[row] for chain, row in zip(chains, rows, strict=True)}
