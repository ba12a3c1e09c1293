"""The recorder on the real logs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ledger.ports import CONTENTS, EVENTS, Log, Record
from ledger.recorder.recorder import Recorder
from tests.contract.logs import Bench
from tests.recording import ALICE, LEDGER, SERVICE, SIGNER, STEP, TENANT, verified

COUNT = 3000


def records(log: Log, topic: str) -> list[Record]:
    return [
        record
        for partition, bounds in log.bounds(topic).items()
        for record in log.read(topic, partition, bounds.first, bounds.end)
    ]


def recorder_on(bench: Bench, spool: Path, mode: str = "spool") -> Recorder:
    return Recorder(
        log=bench.prepared(),
        signer=SIGNER,
        spool=spool,
        ledger=LEDGER,
        tenant=TENANT,
        service=SERVICE,
        mode=mode,  # type: ignore[arg-type]
    )


def test_what_is_recorded_stands_verified_in_the_log(bench: Bench, tmp_path: Path) -> None:
    with recorder_on(bench, tmp_path) as recorder, recorder.execution(principal=ALICE):
        first = recorder.prompt(trigger_kind="human", trust="trusted", text="Book a flight")
        recorded = [first, *(recorder.record(STEP) for _ in range(COUNT))]
        assert recorder.flush(60)
        assert recorder.health().waiting_events == 0
    log = bench.log()
    batches = verified(records(log, EVENTS))
    assert [batch.seal.seal_number for batch in batches] == list(range(len(batches)))
    assert batches[-1].closes
    own = [event for batch in batches for event in batch.events if not event.header.kind.startswith("chain_")]
    assert [event.digest for event in own] == [each.digest for each in recorded]
    assert {record.key[-32:] for record in records(log, CONTENTS) if record.key} == set(own[0].header.contents)


@pytest.mark.parametrize("mode", ["strict", "spool"])
def test_an_acknowledged_event_is_in_the_log(bench: Bench, tmp_path: Path, mode: str) -> None:
    with recorder_on(bench, tmp_path, mode) as recorder:
        strict = mode == "strict"
        recorded = recorder.record(STEP) if strict else asyncio.run(recorder.record_async(STEP))
        (batch,) = verified(records(bench.log(), EVENTS))
        assert [event.digest for event in batch.events][1:] == [recorded.digest]
