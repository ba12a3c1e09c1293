"""Defects that ledgers of this sort have shipped: each is a promise of ours, held here."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psycopg
import pytest

from api.parameters import read_time
from ledger.attribution.json_form import rfc3339
from ledger.errors import BackendError
from ledger.format import ids
from ledger.logs import open_log
from ledger.ports import EVENTS
from ledger.recorder.clock import SystemClock
from ledger.recorder.recorder import Recorder
from ledger.store.nodes import Reading
from ledger.store.queries import event_by_id
from ledger.trust.chain import mark_of, replay
from ledger.trust.verdict import VerifiedBatch
from tests.contract.logs import Bench, bench
from tests.contract.test_recorder import records
from tests.recording import LEDGER, SERVICE, SIGNER, STEP, TENANT, chain_events, chain_findings, recorder_on, verified
from tests.services.forge import LEDGER as FORGED
from tests.services.forge import Forge
from tests.services.memory_log import MemoryLog
from tests.services.stand import Stand

PROCESSES: Final = 4
THREADS: Final = 16
EACH: Final = 25

__all__ = ["bench"]


def record_much(url: str, spool: Path, number: int) -> None:
    """One process of several that record as one service, from many threads, into one directory of spools."""

    def work(thread: int) -> None:
        for index in range(EACH):
            recorder.record(STEP, correlation=[f"{number}/{thread}/{index}"])

    with Recorder(
        log=lambda: open_log(url),
        signer=SIGNER,
        spool=spool,
        ledger=LEDGER,
        tenant=TENANT,
        service=SERVICE,
        linger=0.001,
    ) as recorder:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(work, range(THREADS)))
        assert recorder.flush(60)


def test_sixteen_threads_in_four_processes_of_one_service_fork_no_chain(bench: Bench, tmp_path: Path) -> None:
    """Chains that fork under concurrent writers, and then cry tampering."""
    log = bench.prepared()
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=record_much, args=(bench.url, tmp_path, number)) for number in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(110)
        assert worker.exitcode == 0
    batches = verified(records(log, EVENTS))
    stated = Counter(label for batch in batches for event in batch.events for label in event.header.correlation)
    assert stated == Counter(
        f"{number}/{thread}/{index}"
        for number in range(PROCESSES)
        for thread in range(THREADS)
        for index in range(EACH)
    )
    chains: dict[bytes, list[VerifiedBatch]] = {}
    for batch in batches:
        chains.setdefault(batch.chain.chain_id, []).append(batch)
    assert len(chains) == PROCESSES
    assert {replay(map(mark_of, each))[1] for each in chains.values()} == {frozenset()}


LAST: Final = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z, µs."""


@pytest.mark.parametrize(
    "at", [0, 1, 999_999, 1_000_001, 951_782_400_000_001, 1_767_225_600_123_457, 4_102_444_799_999_999, LAST - 1, LAST]
)
def test_a_time_comes_back_from_the_store_to_the_microsecond(stand: Stand, at: int) -> None:
    """Hashes over times that the database keeps in another precision."""
    forge = Forge()
    made = forge.make(occurred_at=at, event_id=ids.uuid7(at, bytes(range(10))))
    stand.put(forge, forge.seal(made), at=max(at, forge.now))
    reading = Reading(stand.schemas, FORGED, lambda: stand.projection.bundle)
    with psycopg.connect(stand.url, autocommit=True) as connection:
        (node,) = event_by_id(connection, reading, "acme", made.event_id)
    assert (node.at, node.findings) == (at, ())
    assert ids.milliseconds(node.event_id) == at // 1000
    assert read_time(rfc3339(at)) == at


@pytest.mark.parametrize("at", [-1, LAST + 1, (1 << 63) - 1, -(1 << 63)])
def test_a_time_that_no_calendar_holds_is_kept_as_it_is_and_found(stand: Stand, at: int) -> None:
    forge = Forge()
    made = forge.make(occurred_at=at)
    stand.put(forge, forge.seal(made))
    reading = Reading(stand.schemas, FORGED, lambda: stand.projection.bundle)
    with psycopg.connect(stand.url, autocommit=True) as connection:
        (node,) = event_by_id(connection, reading, "acme", made.event_id)
    assert node.at == at
    assert stand.findings() == ["clock_skew"]


def test_no_new_chain_begins_after_an_error(tmp_path: Path) -> None:
    """A new chain begun silently: whoever deletes the old one's end is covered by it."""
    log = MemoryLog(SystemClock())
    with recorder_on(log, tmp_path, append_timeout=0.2) as recorder:
        recorder.record(STEP)
        assert recorder.flush(10)
        log.fail_before = 2
        recorder.record(STEP)
        assert recorder.flush(20)
        log.fail_after = 2
        recorder.record(STEP)
        assert recorder.flush(20)
    assert len({chain for chain, _, _ in chain_events(log)}) == 1
    assert set(chain_findings(log).values()) == {frozenset()}


def test_a_new_chain_names_those_that_it_goes_on_from(tmp_path: Path) -> None:
    log = MemoryLog(SystemClock())
    log.gate.clear()
    first = recorder_on(log, tmp_path)
    first.record(STEP)
    assert not first.close(0.2)
    log.gate.set()
    with recorder_on(log, tmp_path) as second:
        second.record(STEP)
        assert second.flush(20)
    opened = [(chain, payload) for chain, header, payload in chain_events(log) if header.kind == "chain_open"]
    named = {each["chain_id"] for _, payload in opened for each in payload["continues"]}
    ends = {
        batch.chain.chain_id: batch for batch in sorted(verified(log.events), key=lambda each: each.seal.seal_number)
    }
    unclosed = {chain_id for chain_id, batch in ends.items() if not batch.closes}
    assert unclosed == named
    assert len(unclosed) == 1


def test_an_append_that_fails_is_told_to_everybody_who_asks(tmp_path: Path) -> None:
    """Append failures swallowed: the caller went on as if it had been recorded."""
    log = MemoryLog(SystemClock())
    log.gate.clear()
    recorder = recorder_on(log, tmp_path, append_timeout=0.1, strict_timeout=0.2)
    recorder.record(STEP)
    assert not recorder.flush(0.3)
    with pytest.raises(BackendError):
        recorder.record(STEP, strict=True)
    health = recorder.health()
    assert health.error is not None
    assert health.failures >= 1
    assert health.waiting_events == 2
    assert not health.well
    log.gate.set()
    assert recorder.flush(20)
    assert recorder.health().error is None
    assert recorder.close(10)
