"""Taking over what a dead process left, and forking. The processes that die are real ones, and so is the kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.errors import SpoolUnreadable
from ledger.recorder.clock import SystemClock
from ledger.recorder.frames import event_frame, read_entry, read_sealed, sealed_frame
from tests.recording import SIGNER, STEP, chain_events, chain_findings, contents, recorder_on, stated, verified
from tests.services.memory_log import KeptLog, MemoryLog

CHILD = """
import sys, threading
from pathlib import Path
from tests.recording import recorder_on, STEP
from tests.services.memory_log import KeptLog
from ledger.recorder.clock import SystemClock
from ledger.format.content import Person

log = KeptLog(SystemClock(), Path(sys.argv[4]))
mode = sys.argv[2]
if mode == "away":
    log.gate.clear()
recorder = recorder_on(log, Path(sys.argv[1]))
spool = recorder._process.spool
ids = []
for number in range(int(sys.argv[3])):
    ids.append(recorder.prompt(trigger_kind="human", trust="trusted", text=f"prompt {number} of {mode}", tenant=f"t{number % 2}"))
if mode == "sealed":
    assert recorder.flush(10)
    log.gate.clear()
    sealed = spool.sealed.next
    ids.append(recorder.record(STEP, tenant="t0"))
    while spool.sealed.next == sealed:
        threading.Event().wait(0.001)
    ids.append(recorder.record(STEP, tenant="t1"))
print(*(each.event_id.hex() for each in ids), flush=True)
sys.stdin.read()
"""


def killed(spool: Path, mode: str, count: int) -> list[bytes]:
    """The ids that a process recorded before it was killed."""
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CHILD, str(spool), mode, str(count), str(spool.parent / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdin is not None
    line = child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    child.stdin.close()
    return [bytes.fromhex(each) for each in line.decode().split()]


def test_a_frame_of_another_mark_is_not_taken_for_one_of_ours() -> None:
    event = event_frame(b"acme", 1, bytes(32), b"header", bytes(16), b"payload")
    assert read_entry(1, event).number == 1
    assert read_sealed(1, sealed_frame(0, 0, b"value")).value == b"value"
    with pytest.raises(SpoolUnreadable, match="frame 1 is neither"):
        read_entry(1, b"N" + event[1:])
    with pytest.raises(SpoolUnreadable, match="frame 1 is no sealed batch"):
        read_sealed(1, b"N" + sealed_frame(0, 0, b"value")[1:])


def ids_in(log: MemoryLog) -> list[bytes]:
    return [each.header.event_id for each in stated(log)]


def test_what_a_killed_process_recorded_is_sent_by_the_next_one_in_a_new_chain(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    recorded = killed(spool, "away", 300)
    log = KeptLog(SystemClock(), tmp_path / "log")
    assert len(recorded) == 300
    recorder = recorder_on(log, spool)
    assert log.wait_until(lambda log: len(log.contents) >= 300)
    new = recorder.record(STEP, tenant="t0")
    assert recorder.close(10)
    assert sorted(ids_in(log)) == sorted([*recorded, new.event_id])
    assert len(contents(log)) == 300
    assert set(chain_findings(log).values()) == {frozenset()}
    assert list(spool.iterdir()) == []


def test_the_new_chain_names_the_heads_it_continues_after_their_bytes_were_sent_again(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    recorded = killed(spool, "sealed", 10)
    log = KeptLog(SystemClock(), tmp_path / "log")
    recorder = recorder_on(log, spool)
    assert recorder.close(10)
    assert sorted(ids_in(log)) == sorted(recorded)
    batches = verified(log.events)
    opened = {
        batch.chain.chain_id: event.payload["continues"]
        for batch in batches
        for event in batch.events
        if event.header.kind == "chain_open" and event.payload is not None
    }
    old = [batch for batch in batches if not opened[batch.chain.chain_id]]
    new = [batch for batch in batches if opened[batch.chain.chain_id]]
    assert batches.index(new[0]) > batches.index(old[-1])
    for chain_id, continued in opened.items():
        for each in continued:
            last = [batch for batch in old if batch.chain.chain_id == each["chain_id"]][-1]
            assert each == {
                "chain_id": last.chain.chain_id,
                "key_id": SIGNER.key_id,
                "next_sequence": last.seal.first_sequence + last.seal.event_count,
                "last_seal_number": last.seal.seal_number,
                "last_seal_digest": last.seal_digest,
            }
            tenant = next(batch.chain.tenant for batch in new if batch.chain.chain_id == chain_id)
            assert last.chain.tenant == tenant
    named = [each["chain_id"] for continued in opened.values() for each in continued]
    assert sorted(named) == sorted({batch.chain.chain_id for batch in old})
    assert set(chain_findings(log).values()) == {frozenset()}


def test_several_deaths_in_a_row_lose_nothing_and_continue_each_chain_once(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    recorded = killed(spool, "sealed", 4) + killed(spool, "away", 4) + killed(spool, "sealed", 4)
    log = KeptLog(SystemClock(), tmp_path / "log")
    recorder = recorder_on(log, spool)
    assert recorder.close(10)
    assert sorted(ids_in(log)) == sorted(recorded)
    named = [
        each["chain_id"]
        for _, header, payload in chain_events(log)
        if header.kind == "chain_open"
        for each in payload["continues"]
    ]
    assert len(named) == len(set(named))
    assert set(chain_findings(log).values()) == {frozenset()}
    assert list(spool.iterdir()) == []


def test_a_successor_that_dies_while_adopting_leaves_all_to_the_next(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    recorded = killed(spool, "away", 50)
    log = KeptLog(SystemClock(), tmp_path / "log")
    log.gate.clear()
    dead = recorder_on(log, spool)
    assert not dead.close(0.2)
    log.gate.set()
    assert recorder_on(log, spool).close(10)
    assert sorted(ids_in(log)) == sorted(recorded)
    assert list(spool.iterdir()) == []


def test_a_forked_child_has_a_spool_chains_and_pseudonyms_of_its_own(tmp_path: Path) -> None:
    logs = [MemoryLog(SystemClock()), MemoryLog(SystemClock())]
    owner = os.getpid()
    recorder = recorder_on(lambda: logs[os.getpid() != owner], tmp_path)  # type: ignore[arg-type]
    recorder.record(STEP)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            recorded = recorder.record(STEP)
            spools = len(list(tmp_path.iterdir()))
            flushed = recorder.flush(10)
            same = ids_in(logs[1]) == [recorded.event_id]
            chains = {chain.chain_id for chain, _, _ in chain_events(logs[1])}
            closed = recorder.close(10)
            os.write(write, b"".join(sorted(chains)))
            status = 0 if spools == 2 and flushed and same and closed else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    chain = os.read(read, 100)
    os.close(read)
    os.close(write)
    recorder.record(STEP)
    assert recorder.close(10)
    assert len(stated(logs[0])) == 2
    assert {each.chain_id for each, _, _ in chain_events(logs[0])}.isdisjoint({chain})
    assert len(chain) == 16
