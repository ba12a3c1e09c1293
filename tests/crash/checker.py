"""What must hold once the restarted processes have come to the end: nothing lost, nothing twice, nobody honest accused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger.format import ids
from ledger.format.batch import Chain
from ledger.logs import open_log
from ledger.ports import CONTENTS, EVENTS, Log
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.store.connect import connect
from ledger.store.contents import PostgresContents
from ledger.store.digest import state_digest
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from ledger.store.rebuild import fill, rebuild
from ledger.store.survey import Asked, survey
from ledger.trust.bundle import TrustBundle
from ledger.trust.chain import ChainState, mark_of, replay
from ledger.trust.verdict import Judge, VerifiedBatch
from tests.crash.launch import RECORDERS, raised_of
from tests.crash.positions import behind
from tests.sealing import LEDGER
from tests.seeded import ACME, OTHER, bundle

DAY: Final = 86_400_000_000

_CHAINS: Final = """
select chain_id, closed_at,
    (select array_agg(array[start, stop] order by start) from runs r where r.chain = c.id),
    (select count(*) from seals s where s.chain = c.id)
from chains c"""
_ROWS: Final = """
select e.event_id, e.digest, (select count(*) from sightings s where (s.event_id, s.digest) = (e.event_id, e.digest))
from events e"""


def materialize(log_url: str, store: str) -> None:
    """Brings the store to the end of the log, in this process."""
    with closing(open_log(log_url)) as log:
        with closing(PostgresProjection(store, load_schemas(), LEDGER, bundle())) as events:
            fill(log, EVENTS, events, lambda *_: None)
        with closing(PostgresContents(store, load_schemas())) as contents:
            fill(log, CONTENTS, contents, lambda *_: None)


def faults(log_url: str, store: str, returned: Path, *, deaths: int, adopted: int = 0) -> list[str]:
    """Everything that is wrong, a sentence each. ``deaths``: recorders killed, each of which may have stored what it had no
    time to say. ``adopted``: that many events, the first, were left to an adopter that was killed too: the next one cannot
    know how far it came, so they may stand under two seals, and still are one row each (two sightings of one event).
    """
    with closing(open_log(log_url)) as log, connect(store) as connection:
        batches = list(_verified(log))
        refused = [each for each in batches if not isinstance(each, VerifiedBatch)]
        good = [each for each in batches if isinstance(each, VerifiedBatch)]
        found = [f"the log holds a record that does not verify: {each}" for each in refused]
        found += [f"{topic} stands at {where}" for topic in (EVENTS, CONTENTS) if (where := behind(log, store, topic))]
        found += _events(connection, good, returned, deaths, adopted)
        found += chain_faults(connection, good)
        found += accusations(connection, bundle)
        found += content_faults(connection, good)
        before = state_digest(store)
        after = rebuild(store, [log], load_schemas(), LEDGER, bundle(), swap=False)
        if before != after:
            found.append(f"rebuild comes to another state: {dict(before.rows)} became {dict(after.rows)}")
    return found


def _verified(log: Log) -> Any:
    judge = Judge(load_schemas(), LEDGER, bundle(), canonical=True)
    for partition, bounds in log.bounds(EVENTS).items():
        for each in log.read(EVENTS, partition, bounds.first, bounds.end):
            yield judge.judge(each.key, each.value, each.append_time)


def _events(
    connection: psycopg.Connection[Any], batches: list[VerifiedBatch], returned: Path, deaths: int, adopted: int
) -> list[str]:
    rows = connection.execute(_ROWS).fetchall()
    stored = Counter((event_id.bytes, digest) for event_id, digest, _ in rows)
    lines = [line.split() for line in returned.read_text().splitlines()]
    twice = {bytes.fromhex(event_id) for event_id, _ in lines[:adopted]}
    again = sum(count if event_id.bytes not in twice else max(0, count - 1) for event_id, _, count in rows)
    promised = {(bytes.fromhex(event_id), bytes.fromhex(digest)) for event_id, digest in lines}
    logged = {(event.header.event_id, event.digest): event.header.kind for each in batches for event in each.events}
    unpromised = [key for key, kind in logged.items() if key not in promised and not kind.startswith("chain_")]
    found = []
    if len(promised) != len(lines):
        found.append("two calls of record() returned the same event")
    if missing := promised - stored.keys():
        unlogged = len(promised - logged.keys())
        found.append(f"{len(missing)} of {len(promised)} events are not materialized, {unlogged} not even in the log")
    if again or any(count > 1 for count in stored.values()):
        found.append(f"events are there more than once: {again} further sightings")
    if stored.keys() != logged.keys():
        found.append(f"rows and log differ: {len(stored.keys() ^ logged.keys())} events are in one of them alone")
    raised = raised_of(returned).read_bytes().count(b"\n") if raised_of(returned).exists() else 0
    if len(unpromised) > RECORDERS * deaths + raised:  # a thread that died had one in hand
        found.append(f"{len(unpromised)} events that nobody recorded")
    return found


def chain_faults(
    connection: psycopg.Connection[Any],
    batches: list[VerifiedBatch],
    allowed: frozenset[str] = frozenset(),
    services: Collection[str] = (),
) -> list[str]:
    """Whether each chain of the log is whole, but for what ``services`` are ``allowed``, and in the store as it is in the log."""
    seals: dict[Chain, set[Any]] = {}
    for batch in batches:
        seals.setdefault(batch.chain, set()).add(mark_of(batch))
    rows = {chain_id: rest for chain_id, *rest in connection.execute(_CHAINS).fetchall()}
    found = []
    for chain, marks in seals.items():
        state, findings = replay(marks)
        expected = _row_of(state, len(marks))
        if {each.name for each in findings} - (allowed if chain.service in services else set()):
            found.append(f"the log's chain {chain.chain_id.hex()} has {sorted(each.name for each in findings)}")
        if rows.get(chain.chain_id) != expected:
            found.append(
                f"chain {chain.chain_id.hex()} is {rows.get(chain.chain_id)} in the store, {expected} in the log"
            )
    if len(rows) != len(seals):
        found.append(f"{len(rows)} chains in the store, {len(seals)} in the log")
    return found


def _row_of(state: ChainState, seals: int) -> list[Any]:
    return [state.closed_at, [[run.start, run.stop] for run in state.runs], seals]


def accusations(
    connection: psycopg.Connection[Any],
    trust: Callable[[], TrustBundle],
    allowed: frozenset[str] = frozenset(),
    lost: Collection[bytes] = (),
    services: Collection[str] = (),
) -> list[str]:
    """Everything that a reader who trusts ``trust`` finds wrong a day later, and what was set aside. ``services`` are allowed
    what is ``allowed``.

    Of ``lost`` events it is true that they are cited and not there.
    """
    dangling = set(map(ids.text, lost))
    aside = "select topic, partition, log_offset, detail from quarantine where set_aside"
    found = [f"set aside {row}" for row in connection.execute(aside).fetchall()]
    reading, later = Reading(load_schemas(), LEDGER, trust), SystemClock().now() + DAY
    for tenant in (ACME, OTHER):
        at, told = None, 0
        while at is not None or not told:
            page = survey(connection, reading, Asked(tenant, later, whole=tenant == ACME), after=at)
            found += [
                f"{each.name} of {tenant}: {each}"
                for each in page.found
                if not (each.name in allowed and each.service in services)
                and not (each.name == "dangling_cause" and each.detail.split()[-1] in dangling)
            ]
            at, told = page.next, told + 1
    return found


def content_faults(connection: psycopg.Connection[Any], batches: list[VerifiedBatch]) -> list[str]:
    """Whether every content that an event refers to is there."""
    kept = "select t.name, c.digest from contents c join names t on t.id = c.tenant"
    held = set(connection.execute(kept).fetchall())
    cited = {
        (each.seal.tenant, digest) for each in batches for event in each.events for digest in event.header.contents
    }
    return [f"{len(cited - held)} of {len(cited)} contents are missing"] if cited - held else []
