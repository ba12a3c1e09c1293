"""Somebody who puts back yesterday: the log, the store, a spool, the trust bundle, or all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.ports import Record
from ledger.recorder.clock import SystemClock
from ledger.trust.bundle import TrustError
from tests.recording import STEP, chain_findings, recorder_on
from tests.recording import verified as verified_records
from tests.services import Databases
from tests.services.forge import START, Forge, Trust, signer
from tests.services.memory_log import MemoryLog
from tests.services.stand import Stand, digest_of, migrated
from tests.verifying import Written, names, verified

HOUR = 3_600_000_000


@pytest.fixture
def fresh(postgres: Databases) -> Iterator[Callable[[], str]]:
    made: list[str] = []

    def make() -> str:
        made.append(postgres.fresh(migrated))
        return made[-1]

    yield make
    for url in made:
        postgres.drop(url)


def days(forge: Forge, log: Written) -> tuple[list[Record], list[Record]]:
    """What yesterday had, and what today added."""
    for _ in range(3):
        log.put(forge, forge.seal(forge.make()))
    yesterday = list(log.records)
    for _ in range(3):
        log.put(forge, forge.seal(forge.make()))
    return yesterday, log.records[3:]


def test_yesterdays_store_reads_today_again_from_the_log(fresh: Callable[[], str], trust: Trust) -> None:
    yesterday, today = days(Forge(), log := Written())
    restored = Stand(fresh(), trust.bundle)
    restored.take(*yesterday)
    restored.close()
    restored = Stand(restored.url, trust.bundle)
    restored.take(*today)
    assert restored.digest == digest_of(fresh(), trust.bundle, log.records, flush=2)
    assert restored.findings() == []
    restored.close()


def test_yesterdays_log_is_a_gap_as_soon_as_a_publisher_goes_on() -> None:
    forge, log = Forge(), Written()
    log.records = days(forge, log)[0]
    assert verified(log).holds
    log.put(forge, forge.seal(forge.make()))
    assert names(verified(log).faults) == ["gap"]


def test_yesterdays_log_is_a_gap_in_yesterdays_store_too(fresh: Callable[[], str], trust: Trust) -> None:
    forge, log = Forge(), Written()
    restored = Stand(fresh(), trust.bundle)
    restored.take(*days(forge, log)[0])
    restored.put(forge, forge.seal(forge.make()))
    assert restored.findings() == ["gap"]
    restored.close()


def test_yesterdays_log_holds_by_itself_and_only_heads_tell() -> None:
    log = Written()
    yesterday, _ = days(Forge(), log)
    today = verified(log).heads
    log.records = yesterday
    assert verified(log).holds
    assert names(verified(log, heads=today).faults) == ["truncated"]


def test_yesterdays_bundle_is_refused_by_a_store_that_knows_todays(fresh: Callable[[], str], trust: Trust) -> None:
    """Or a revocation could be undone by an older file."""
    older = trust.bundle
    stand = Stand(fresh(), trust.revoke(signer("alpha"), since=START).bundle)
    stand.close()
    with pytest.raises(TrustError, match="cut short"):
        Stand(stand.url, older)


def test_yesterdays_bundle_and_store_together_believe_the_key_that_was_revoked(
    fresh: Callable[[], str], trust: Trust
) -> None:
    """Nothing inside tells: the bundle's digest, had out of band, does."""
    older = trust.bundle
    newer = trust.revoke(signer("alpha"), since=START).bundle
    stand, forge = Stand(fresh(), older), Forge()
    stand.put(forge, forge.seal(forge.make()))
    assert stand.count("events") == 2
    assert older.digest != newer.digest
    stand.close()


def test_yesterdays_spool_adds_no_event_and_forks_no_chain(tmp_path: Path) -> None:
    log = MemoryLog(SystemClock())
    log.gate.clear()
    recorder = recorder_on(log, tmp_path / "spool")
    recorder.record(STEP)
    copy_tree(tmp_path / "spool", tmp_path / "yesterday")
    log.gate.set()
    assert recorder.close(10)
    with recorder_on(log, tmp_path / "yesterday") as again:
        again.record(STEP)
        assert again.flush(10)
    assert set(chain_findings(log).values()) == {frozenset()}, "no seal number has two seals"
    stated = [event for batch in verified_records(log.events) for event in batch.events]
    own = [event.digest for event in stated if not event.header.kind.startswith("chain_")]
    assert len(own) > len(set(own)) == 2, "what was sent from both is one event, seen twice"


def copy_tree(source: Path, target: Path) -> None:
    """A copy of a spool as a backup takes it, while it is written to."""
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        if path.is_dir():
            there.mkdir(parents=True, exist_ok=True)
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(path.read_bytes())
