"""What a recorder says of itself: what is wrong while it is wrong, and no longer."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Semaphore, Thread

import pytest

from ledger.errors import BackendError, SpoolFull
from ledger.ports import Outgoing
from ledger.recorder.clock import SystemClock
from ledger.recorder.frames import event_frame, sealed_frame
from ledger.recorder.recorder import Recorder
from ledger.recorder.spool import Spool, take_lock
from ledger.schema_files import load_schemas
from tests.recording import LEDGER, SERVICE, STEP, chain_findings, recorder_on, stated
from tests.services.memory_log import MemoryLog
from tests.waiting import until

SEGMENT = 64 * 1024


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(SystemClock())


def left_by(root: Path, write: Callable[[Spool], object]) -> Path:
    """The spool of a process that is gone."""
    spool = Spool(root, ledger=LEDGER, service=SERVICE, limit=1 << 20, segment_bytes=SEGMENT)
    write(spool)
    spool.close()
    return spool.directory


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def another_format(spool: Spool) -> None:
    segment = spool.sealed.cursor()._segment
    segment.map[:8] = b"ANSWJRN2"


HEADER, PAYLOAD = (load_schemas().by_name[name].frame + b"body" for name in ("EventHeader", "prompt"))
NEWER: dict[str, Callable[[Spool], object]] = {
    "a seal of a schema unknown here": lambda spool: spool.put_sealed(sealed_frame(0, 0, b"\xc3\x01newer888rest")),
    "heads with more fields": lambda spool: spool.put_sealed(b'H[["acme", "00", "key", 1, "00", 2, "more"]]'),
    "a frame of another mark": lambda spool: spool.put([b"N what a later release keeps"], events=0),
    "sealed bytes of another mark": lambda spool: spool.put_sealed(b"N what a later release keeps"),
    "a header of a schema unknown here": lambda spool: spool.put(
        [event_frame(b"acme", 1, bytes(32), b"\xc3\x01newer888header", bytes(16), PAYLOAD)]
    ),
    "a payload of a schema unknown here": lambda spool: spool.put(
        [event_frame(b"acme", 1, bytes(32), HEADER, bytes(16), b"\xc3\x01newer888payload")]
    ),
    "segments of another format": another_format,
}


@pytest.mark.parametrize("what", NEWER)
def test_a_spool_of_a_later_release_is_left_to_it_and_recording_goes_on(
    log: MemoryLog, tmp_path: Path, what: str
) -> None:
    readable = recorder_on(log, tmp_path)
    log.gate.clear()
    mine = readable.record(STEP)
    assert not readable.close(0.1)
    log.gate.set()
    foreign = left_by(tmp_path, NEWER[what])
    before = bytes_of(foreign)
    with recorder_on(log, tmp_path) as recorder:
        new = recorder.record(STEP)
        assert recorder.flush(10)
        assert {each.digest for each in stated(log)} == {mine.digest, new.digest}
        assert bytes_of(foreign) == before
        lock = take_lock(foreign)
        assert lock is not None
        os.close(lock)
        health = recorder.health()
        assert (health.adopted_spools, health.left_spools, health.well) == (1, (str(foreign),), False)
        assert str(foreign) in "".join(health.problems)
        shutil.rmtree(foreign)  # as the release that can read it does
        assert (recorder.health().left_spools, recorder.health().problems) == ((), ())
    assert set(chain_findings(log).values()) == {frozenset()}


def test_a_spool_whose_owner_was_damaged_is_told_and_is_adopted_once_it_was_mended(
    log: MemoryLog, tmp_path: Path
) -> None:
    log.gate.clear()
    with recorder_on(log, tmp_path) as killed:
        recorded = killed.record(STEP)
        assert not killed.close(0.1)
    log.gate.set()
    (left,) = tmp_path.iterdir()
    owner = left / "owner.json"
    said, spoilt = owner.read_bytes(), bytes(20)
    owner.write_bytes(spoilt)
    with recorder_on(log, tmp_path) as recorder:
        until(lambda: recorder.health().doing == "idle")
        health = recorder.health()
        assert (health.left_spools, health.well) == ((str(left),), False)
        assert "adopted by nobody, for its owner.json says nothing" in health.problems[0]
    owner.write_bytes(said)
    with recorder_on(log, tmp_path) as recorder:
        until(lambda: recorder.health().adopted_spools == 1)
        assert recorder.health().well
    assert [each.digest for each in stated(log)] == [recorded.digest]


def test_a_spool_that_was_given_up_before_it_had_an_owner_troubles_nobody(log: MemoryLog, tmp_path: Path) -> None:
    (tmp_path / "1-killed").mkdir()
    (tmp_path / "1-killed" / "owner.json.new").write_bytes(b"")
    with recorder_on(log, tmp_path) as recorder:
        until(lambda: recorder.health().doing == "idle")
        assert recorder.health().well


def test_a_log_that_is_away_is_told_with_what_waits_and_since_when(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        recorder.record(STEP, occurred_at=1_000)
        assert recorder.flush(10)
        until(lambda: recorder.health().doing == "idle")
        assert (recorder.health().problems, recorder.health().oldest_waiting_at) == ((), None)
        log.fail_before = 1_000_000
        recorder.prompt(trigger_kind="human", trust="trusted", text="first", occurred_at=2_000)
        recorder.record(STEP, occurred_at=3_000)
        until(lambda: recorder.health().failures >= 2)
        health = recorder.health()
        assert (health.waiting_events, health.oldest_waiting_at, health.doing) == (2, 2_000, "retrying")
        assert "the log failed before" in health.problems[0]
        log.fail_before = 0
        assert recorder.flush(10)
        health = recorder.health()
        assert (health.problems, health.waiting_events, health.oldest_waiting_at) == ((), 0, None)
        assert health.failures >= 2


class Permitted(MemoryLog):
    """Each append needs a permit."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.permits = Semaphore(0)

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:
        if records and not self.permits.acquire(timeout=timeout):
            raise BackendError("no permit")
        super().append(records, timeout=timeout)


def test_a_log_that_neither_takes_nor_fails_is_told_while_it_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.recorder.health.SILENT_SECONDS", 0.05)
    log = Permitted()
    with recorder_on(log, tmp_path) as recorder:
        recorder.record(STEP)
        until(lambda: recorder.health().problems == ("the log has not answered for 0 s",))
        assert recorder.health().failures == 0
        log.permits.release(100)
        assert recorder.flush(10)
        assert recorder.health().well


def test_the_oldest_that_waits_is_the_first_that_the_log_has_not_acknowledged(tmp_path: Path) -> None:
    log = Permitted()
    with recorder_on(log, tmp_path) as recorder:
        recorder.record(STEP, occurred_at=1_000)
        until(lambda: recorder.health().doing == "sending")
        assert recorder.health().oldest_waiting_at == 1_000
        recorder.prompt(trigger_kind="human", trust="trusted", text="a content stands before it", occurred_at=2_000)
        assert recorder.health().oldest_waiting_at == 1_000
        log.permits.release()
        until(lambda: recorder.health().waiting_events == 1)
        assert recorder.health().oldest_waiting_at == 2_000
        log.permits.release(100)
        assert recorder.flush(10)
        assert recorder.health().oldest_waiting_at is None


def test_the_spools_being_taken_over_are_told_while_the_log_is_away(tmp_path: Path) -> None:
    log = Permitted()
    dead = recorder_on(log, tmp_path)
    dead.prompt(trigger_kind="human", trust="trusted", text="a content goes first")
    assert not dead.close(0.1)
    with recorder_on(log, tmp_path, append_timeout=0.5) as recorder:
        until(lambda: recorder.health().failures >= 1)
        health = recorder.health()
        assert (health.doing, health.adopting_spools, health.adopted_spools) == ("retrying", 1, 0)
        assert health.problems
        log.permits.release()
        until(lambda: recorder.health().doing == "adopting")  # for as long as the second attempt is under way
        assert recorder.health().problems == ()
        log.permits.release(100)
        until(lambda: recorder.health().adopted_spools == 1)
        assert (recorder.health().adopting_spools, recorder.health().problems) == (0, ())


def test_a_full_spool_is_told_until_there_is_room(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()
    with recorder_on(log, tmp_path, spool_bytes=2 * SEGMENT, segment_bytes=SEGMENT) as recorder:
        fill(recorder)
        assert "bytes that the log has not taken" in recorder.health().problems[0]
        log.gate.set()
        assert recorder.flush(10)
        assert recorder.health().problems == ()


def test_a_loss_is_told_until_the_ledger_knows_of_it(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()
    with recorder_on(log, tmp_path, mode="best_effort", spool_bytes=2 * SEGMENT, segment_bytes=SEGMENT) as recorder:
        while not recorder.health().dropped:
            recorder.record(STEP)
        assert any("1 events were dropped" in each for each in recorder.health().problems)
        log.gate.set()
        assert recorder.flush(10)
        until(lambda: recorder.health().problems == ())
        assert recorder.health().dropped == 1


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.recorder.troubles.QUIET_SECONDS", 0.2)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {each.name for each in caplog.records} <= {"answerable.recorder"}
    return [each.getMessage() for each in caplog.records]


@pytest.mark.usefixtures("quiet")
def test_a_log_that_is_away_and_comes_again_is_two_lines_without_what_was_recorded(
    log: MemoryLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with recorder_on(log, tmp_path) as recorder:
        log.fail_before = 1_000_000
        recorder.prompt(trigger_kind="human", trust="trusted", text="nobody's log says this")
        until(lambda: recorder.health().failures >= 3)
        (began,) = lines(caplog)
        assert began.startswith(f"{SERVICE}: what waits does not reach the log")
        assert "the log failed before" in began
        log.fail_before = 0
        until(lambda: len(lines(caplog)) == 2)
    assert lines(caplog)[1:] == [f"{SERVICE}: the log takes what waits again"]
    assert "nobody's log" not in caplog.text


@pytest.mark.usefixtures("quiet")
def test_a_full_spool_is_two_lines_however_often_it_refuses(
    log: MemoryLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log.gate.clear()
    with recorder_on(log, tmp_path, spool_bytes=2 * SEGMENT, segment_bytes=SEGMENT) as recorder:
        for _ in range(3):
            fill(recorder)
        log.gate.set()
        until(lambda: len(lines(caplog)) == 2)
    began, over = lines(caplog)
    assert "events are not taken" in began
    assert over == f"{SERVICE}: events are taken again"


def test_what_an_error_that_is_not_ours_repeats_is_in_no_line(
    log: MemoryLog, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("nobody's log says this")

    monkeypatch.setattr(log, "append", broken)
    recorder = recorder_on(log, tmp_path)
    recorder.record(STEP)
    until(lambda: recorder.health().failures >= 1)
    assert not recorder.close(0.1)
    began, left = lines(caplog)
    assert "ValueError" in began
    assert "the next start of this service sends them" in left
    assert "nobody's log" not in caplog.text


def test_a_listener_that_fails_or_records_ends_no_thread_of_ours(log: MemoryLog, tmp_path: Path) -> None:
    heard: list[str] = []

    class Listener(logging.Handler):
        def handle(self, line: logging.LogRecord) -> bool:
            heard.append(line.getMessage())
            with suppress(SpoolFull):
                recorder.record(STEP)
            raise OSError("no disk for lines")

    listener = Listener()
    logging.getLogger("answerable.recorder").addHandler(listener)
    try:
        with recorder_on(log, tmp_path, spool_bytes=2 * SEGMENT, segment_bytes=SEGMENT) as recorder:
            log.fail_before = 1_000_000
            fill(recorder)
            until(lambda: recorder.health().failures >= 2)
            log.fail_before = 0
            assert recorder.flush(10)
    finally:
        logging.getLogger("answerable.recorder").removeHandler(listener)
    assert len(heard) == 2


def fill(recorder: Recorder) -> None:
    with pytest.raises(SpoolFull):  # noqa: PT012 - which of them raises is not known
        while True:
            recorder.record(STEP)


def test_a_closed_recorder_says_that_it_is_closed_and_that_nothing_is_left(log: MemoryLog, tmp_path: Path) -> None:
    recorder = recorder_on(log, tmp_path)
    recorder.record(STEP)
    assert recorder.close(20)
    health = recorder.health()
    assert (health.doing, health.problems, health.well) == ("closed", (), True)
    assert (health.waiting_events, health.spool_bytes, health.open_chains) == (0, 0, ())
    assert recorder.health() == health


def test_one_that_was_closed_while_the_log_was_away_says_what_waits_where_and_what_becomes_of_it(
    log: MemoryLog, tmp_path: Path
) -> None:
    log.gate.clear()
    recorder = recorder_on(log, tmp_path)
    recorder.record(STEP)
    assert not recorder.close(0.2)
    health = recorder.health()
    (left,) = tmp_path.iterdir()
    (problem,) = health.problems
    assert (health.doing, health.waiting_events, health.spool_failure) == ("closed", 1, None)
    assert problem.startswith(f"1 events wait in {left}: ")
    assert "next start of this service" in problem
    assert health.oldest_waiting_at is not None
    assert health.spool_bytes > 0
    log.gate.set()


def test_one_whose_disk_failed_still_says_so_when_it_is_closed(log: MemoryLog, tmp_path: Path) -> None:
    recorder = recorder_on(log, tmp_path)
    process = recorder._process
    assert process is not None
    why = "the spool's disk failed (Input/output error); repair it and start the service again"
    process.spool.fail(why)
    recorder.close(5)
    health = recorder.health()
    assert (health.doing, health.spool_failure, health.problems[:1]) == ("closed", why, (why,))


def test_one_that_is_being_closed_says_so_meanwhile(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()
    recorder = recorder_on(log, tmp_path)
    recorder.record(STEP)
    closing = Thread(target=recorder.close, args=(20,))
    closing.start()
    until(lambda: recorder.health().doing == "closing")
    log.gate.set()
    closing.join()
    assert (recorder.health().doing, recorder.health().problems) == ("closed", ())


def test_a_fork_that_recorded_nothing_and_was_closed_says_that_it_is_closed(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        child = os.fork()
        if child == 0:
            recorder.close()
            os._exit(0 if recorder.health().doing == "closed" and recorder.health().well else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert recorder.health().doing != "closed"
