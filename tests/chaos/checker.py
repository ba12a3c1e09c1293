"""What must hold at the end: over the recorders' notes, the log, and both stores."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import closing
from typing import Any, Final

import psycopg

from ledger.logs import open_log
from ledger.ports import EVENTS, Log
from ledger.schema_files import load_schemas
from ledger.store.connect import connect
from ledger.store.digest import state_digest
from ledger.store.rebuild import rebuild
from ledger.trust.bundle import TrustBundle, read_bundle
from ledger.trust.verdict import Judge, VerifiedBatch
from tests.chaos.parties import STRICT_SECONDS, THREADS
from tests.chaos.sentinels import sentinel_faults
from tests.chaos.stage import STORES, Stage
from tests.chaos.task import Account, read_notes
from tests.crash.checker import accusations, chain_faults, content_faults
from tests.sealing import LEDGER, ROOT

OF_CLOCKS: Final = frozenset({"late", "clock_skew"})
"""Findings that are true of a service whose clock jumped, and of no other: nothing is away for an hour here."""
MAY_COME: Final = "BackendErrorInSpool"
"""The log has not acknowledged in time what is in the spool: it was not promised, and may come yet."""
REFUSALS: Final = frozenset({"SpoolFull", "SpoolFailed", MAY_COME})
"""What a caller may be told; of the others nothing is recorded."""
CALL_SECONDS: Final = {"plain": 10.0, "strict": STRICT_SECONDS + 5.0}
"""How long a call may take, beyond being stopped: a plain one waits for nothing, and all of us share two cores."""


def judge(stage: Stage) -> list[str]:
    """Everything that is wrong, a sentence each."""
    bundle = read_bundle(stage.trust_path.read_bytes(), ROOT.public, LEDGER)
    account = read_notes(stage.directory)
    with closing(open_log(stage.log)) as log:
        judged = list(_judged(log, bundle))
        good = [verdict for verdict in judged if isinstance(verdict, VerifiedBatch)]
        found = [f"the log holds a record that does not verify: {each}" for each in judged if each not in good]
        found += _accounts(account, good, stage)
        found += _strict(account, good)
        for name in STORES:
            with connect(stage.store(name)) as connection:
                found += [
                    f"store {name}: {each}"
                    for each in _store(connection, account, good, bundle, stage.jumped, name == "a")
                ]
        digests = {name: state_digest(stage.store(name)) for name in STORES}
        if len({each.digest for each in digests.values()}) > 1:
            found.append(f"the two groups came to different states: {[dict(each.rows) for each in digests.values()]}")
        again = rebuild(stage.store("a"), [log], load_schemas(), LEDGER, bundle, swap=False)
        if again != digests["a"]:
            found.append(f"rebuild comes to another state: {dict(digests['a'].rows)} became {dict(again.rows)}")
        found += sentinel_faults(stage.store("a"), LEDGER, bundle, stage.counts)
    stage.counts["batches in the log"] = len(judged)
    return found


def _judged(log: Log, bundle: TrustBundle) -> Any:
    judge_ = Judge(load_schemas(), LEDGER, bundle, canonical=True)
    for partition, bounds in log.bounds(EVENTS).items():
        for each in log.read(EVENTS, partition, bounds.first, bounds.end):
            yield judge_.judge(each.key, each.value, each.append_time)


def _accounts(account: Account, good: list[VerifiedBatch], stage: Stage) -> list[str]:
    """Offered = recorded + refused + dropped, what was dropped is stated in the ledger, and no call took too long."""
    stated = sum(
        event.payload["count"]
        for batch in {each.seal_digest: each for each in good}.values()
        for event in batch.events
        if event.header.kind == "chain_loss" and event.payload is not None
    )
    stage.counts |= {
        "calls": account.offered,
        "refused to the caller": account.refused.total(),
        "strict events promised": sum(each.until is not None for each in account.promised),
        "dropped by best_effort": account.dropped,
        "dropped, as the ledger states it": stated,
        "dropped, and died unstated at most": account.unstated,
        **{f"ms of the longest record(), {sort}": each for sort, each in account.longest.items()},
    }
    return [
        *unanswered(account),
        *refused_without_cause(account),
        *forked(account),
        *misstated(account, stated),
        *too_long(account, stage.longest_stop),
    ]


def unanswered(account: Account) -> list[str]:
    """Calls without an answer, but for the one that each thread of a process had in hand when that was cut short."""
    most = {process: 0 if process in account.quit else THREADS for process in account.hands}
    return [
        f"process {process} left {calls} calls without answer, and may have left {most[process]}"
        for process, calls in account.hands.items()
        if not 0 <= calls <= most[process]
    ]


def refused_without_cause(account: Account) -> list[str]:
    """Refusals that no fault of ours asks for."""
    return [f"{count} calls were refused as {name}" for name, count in account.refused.items() if name not in REFUSALS]


def forked(account: Account) -> list[str]:
    """Whether the children of forks recorded, and ended in order unless they were killed."""
    found = [
        f"the child {process} of a fork ended with {code}"
        for process, code in account.children.items()
        if code not in (0, -signal.SIGKILL)
    ]
    whole = account.children.keys() & account.quit
    if len(whole) > 1 and whole.isdisjoint(each.process for each in account.promised):
        found.append(f"none of {len(whole)} children of forks could record")
    return found


def misstated(account: Account, stated: int) -> list[str]:
    """Whether the ledger states as many losses as there were, but for those that died with their process."""
    if account.dropped - account.unstated <= stated <= account.dropped + account.in_hand:
        return []
    but = f"{account.unstated} died unstated with their process, {account.in_hand} more may be"
    return [f"{account.dropped} events were dropped ({but}), the ledger states {stated}"]


def too_long(account: Account, stopped: float) -> list[str]:
    """Calls that took longer than they may, where no process was ``stopped`` for more seconds."""
    return [
        f"a {sort} record() took {account.longest[sort]} ms"
        for sort, limit in CALL_SECONDS.items()
        if account.longest.get(sort, 0) > 1000 * (limit + stopped)
    ]


def _strict(account: Account, good: list[VerifiedBatch]) -> list[str]:
    """Strict events were in the log when ``record()`` returned."""
    earliest: dict[tuple[bytes, bytes], int] = {}
    for batch in good:
        for event in batch.events:
            key = (event.header.event_id, event.digest)
            earliest[key] = min(batch.append_time, earliest.get(key, batch.append_time))
    late = [
        each
        for each in account.promised
        if each.until is not None and earliest.get((each.event_id, each.digest), each.until + 1) > each.until
    ]
    return [f"{len(late)} strict events were not in the log when record() returned"] if late else []


def _store(
    connection: psycopg.Connection[Any],
    account: Account,
    good: list[VerifiedBatch],
    bundle: TrustBundle,
    jumped: frozenset[str],
    contents: bool,
) -> list[str]:
    rows = connection.execute("select event_id, digest from events").fetchall()
    stored = Counter((event_id.bytes, digest) for event_id, digest in rows)
    promised = {(each.event_id, each.digest) for each in account.promised}
    logged = {(event.header.event_id, event.digest): event.header.kind for each in good for event in each.events}
    unpromised = [key for key, kind in logged.items() if key not in promised and not kind.startswith("chain_")]
    found = []
    if len(promised) != len(account.promised):
        found.append("two calls of record() returned the same event")
    if missing := promised - stored.keys():
        unlogged = len(promised - logged.keys())
        found.append(f"{len(missing)} of {len(promised)} events are missing, {unlogged} of them in the log too")
    if any(count > 1 for count in stored.values()):
        found.append("an event has two rows")
    if stored.keys() != logged.keys():
        found.append(f"rows and log differ: {len(stored.keys() ^ logged.keys())} events are in one of them alone")
    open_ = account.in_hand + account.refused[MAY_COME]
    if len(unpromised) > open_:
        found.append(f"{len(unpromised)} events that nobody was promised, {open_} calls whose event may be there yet")
    found += chain_faults(connection, good, OF_CLOCKS, jumped)
    found += accusations(connection, lambda: bundle, OF_CLOCKS, account.lost, jumped)
    return found + (content_faults(connection, good) if contents else [])
