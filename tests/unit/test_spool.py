"""The spool: what survives a process, what is cut back, who may take what over. Processes that die are real ones."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from ledger.errors import SpoolFailed, SpoolFull, SpoolUnreadable
from ledger.format.kinds import ReasoningStep
from ledger.recorder.clock import SystemClock
from ledger.recorder.context import Recorded
from ledger.recorder.frames import event_frame
from ledger.recorder.inventory import spools_below
from ledger.recorder.journal import FRAME, HEAD, MAGIC, Cursor, Journal, recover
from ledger.recorder.spool import Spool, adopt, take_lock
from tests.recording import (
    LEDGER,
    SERVICE,
    chain_events,
    chain_findings,
    contents,
    recorder_on,
    stated,
)
from tests.services.memory_log import MemoryLog

STEP = ReasoningStep(status="completed", visibility="withheld")
SEGMENT = 64 * 1024


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(SystemClock())


def bodies(cursor: Cursor) -> list[bytes]:
    found = []
    while cursor.peek():
        found.append(cursor.take().body)
    return found


def test_a_journal_gives_back_what_was_stored_across_segments(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=4096)
    cursor = journal.cursor()
    stored = [bytes([i]) * (i * 7 + 1) for i in range(200)]
    assert [journal.append(each) for each in stored[:100]] == list(range(1, 101))
    assert bodies(cursor) == stored[:100]
    for each in stored[100:]:
        journal.append(each)
    assert bodies(cursor) == stored[100:]
    journal.sync()
    assert [each.body for each in recover(tmp_path, "j")] == stored
    assert [each.number for each in recover(tmp_path, "j")] == list(range(1, 201))
    journal.close()


def held(path: Path) -> int:
    """KiB of a mapped file that stand in this process's memory."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    found = [next(each for each in lines if each.startswith("Rss:")) for line in lines if line.endswith(str(path))]
    return sum(int(each.split()[1]) for each in found)


def test_what_goes_to_the_disk_is_let_go_of_at_once_and_stays_what_it_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=SEGMENT)
    cursor = journal.cursor()
    stored = [bytes([i]) * 3_000 for i in range(20)]
    for each in stored[:12]:
        journal.append(each)
    (path,) = tmp_path.glob("j-*.seg")
    assert held(path) >= 36
    journal.sync()
    assert held(path) == 0
    for each in stored[12:]:
        journal.append(each)
    assert bodies(cursor) == stored
    journal.sync()
    assert [each.body for each in recover(tmp_path, "j")] == stored
    journal.close()


def test_a_body_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=4096)
    journal.append(b"small")
    journal.append(b"x" * 50_000)
    journal.append(b"after")
    assert [len(each.body) for each in recover(tmp_path, "j")] == [5, 50_000, 5]
    journal.close()


def test_segments_go_when_all_in_them_is_released_and_make_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=4096, limit=3 * 4096)
    numbers = []
    with pytest.raises(SpoolFull, match="12288 of 12288 bytes"):  # noqa: PT012 - which of them raises is not known
        while True:
            numbers.append(journal.append(b"x" * 1000))
    assert len(list(tmp_path.iterdir())) == 3
    journal.release(numbers[len(numbers) // 2])
    assert len(list(tmp_path.iterdir())) == 2
    journal.append(b"x" * 1000)
    assert [each.number for each in recover(tmp_path, "j")][-1] == numbers[-1] + 1
    journal.close()


def test_the_next_segment_is_made_ahead(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=4096, limit=2 * 4096)
    journal.prepare()
    assert len(list(tmp_path.iterdir())) == 1
    journal.append(b"x" * 3000)
    journal.prepare()
    journal.prepare()
    assert len(list(tmp_path.iterdir())) == 2
    assert journal.bytes == 2 * 4096
    journal.append(b"y" * 3000)
    assert len(list(tmp_path.iterdir())) == 2
    assert len(list(recover(tmp_path, "j"))) == 2
    journal.close()


def test_a_torn_tail_is_cut_back_wherever_it_was_torn(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=4096)
    for each in (b"first", b"second", b"third"):
        journal.append(each)
    journal.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    last = HEAD + 2 * FRAME + len(b"firstsecond")
    for torn in range(last, last + FRAME + len(b"third")):
        path.write_bytes(whole[:torn] + bytes(len(whole) - torn))
        assert [each.body for each in recover(tmp_path, "j")] == [b"first", b"second"]
        path.write_bytes(whole[:torn])
        assert [each.body for each in recover(tmp_path, "j")] == [b"first", b"second"]


def test_no_flipped_bit_is_read_as_something_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=4096)
    for each in (b"first", b"second"):
        journal.append(each)
    journal.close()
    (path,) = tmp_path.iterdir()
    whole = bytearray(path.read_bytes())
    for at in range(HEAD + 2 * FRAME + len(b"firstsecond")):
        whole[at] ^= 1
        if at < len(MAGIC):
            path.write_bytes(whole)
            with pytest.raises(SpoolUnreadable, match="update the service"):
                list(recover(tmp_path, "j"))
            whole[at] ^= 1
            continue
        path.write_bytes(whole)
        assert [each.body for each in recover(tmp_path, "j")] in ([], [b"first"])
        whole[at] ^= 1


def test_a_damaged_segment_does_not_hide_those_after_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=4096)
    for number in range(6):
        journal.append(bytes([number]) * 1500)
    journal.close()
    first = min(tmp_path.iterdir())
    data = bytearray(first.read_bytes())
    data[HEAD + FRAME] ^= 1
    first.write_bytes(data)
    assert [each.number for each in recover(tmp_path, "j")] == [3, 4, 5, 6]


def test_what_could_not_be_synced_is_synced_by_the_next_call(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j", segment_bytes=4096)
    first = journal.cursor()._segment
    for number in range(6):
        journal.append(bytes([number]) * 1500)
    second = first.following
    assert second is not None
    whole = [os.dup(first.fd), os.dup(second.fd)]
    pipe = os.pipe()  # what cannot be synced
    for segment in (first, second):
        os.dup2(pipe[0], segment.fd)
    with pytest.raises(OSError, match="Invalid argument"):
        journal.sync()
    os.dup2(whole[0], first.fd)
    with pytest.raises(OSError, match="Invalid argument"):  # the second was not forgotten for the first's sake
        journal.sync()
    os.dup2(whole[1], second.fd)
    os.dup2(pipe[0], first.fd)  # which is done with
    journal.sync()
    for each in (*whole, *pipe):
        os.close(each)
    journal.close()


def make_spool(root: Path, service: str = SERVICE) -> Spool:
    return Spool(root, ledger=LEDGER, service=service, limit=1 << 20, segment_bytes=SEGMENT)


def test_a_spool_is_taken_over_only_when_its_process_is_gone_and_by_its_own_service(tmp_path: Path) -> None:
    spool, other = make_spool(tmp_path), make_spool(tmp_path, "other")
    nobody = tmp_path / "nobody"
    assert adopt(tmp_path, nobody, ledger=LEDGER, service=SERVICE) == []
    directory = spool.directory
    spool.close()
    other.close()
    (orphan,) = adopt(tmp_path, nobody, ledger=LEDGER, service=SERVICE)
    assert orphan.directory == directory
    assert adopt(tmp_path, nobody, ledger=LEDGER, service=SERVICE) == []
    assert adopt(tmp_path, nobody, ledger="another", service=SERVICE) == []
    orphan.close(delete=True)
    assert not directory.exists()
    (orphan,) = adopt(tmp_path, nobody, ledger=LEDGER, service="other")
    orphan.close(delete=False)


def test_what_a_process_died_over_deleting_is_deleted_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies as soon as the directory has its new name, or its owner is gone."""
    for died in ("unlink", "rmtree"):
        spool = make_spool(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", died_in if died == "unlink" else Path.unlink)
            patched.setattr("ledger.recorder.spool.shutil.rmtree", died_in)
            with pytest.raises(KilledError):
                spool.close(delete=True)
        spool.close()
        assert [each.name for each in tmp_path.iterdir()] == [f"{spool.directory.name}.gone"]
        assert adopt(tmp_path, tmp_path / "nobody", ledger=LEDGER, service=SERVICE) == []
        assert list(tmp_path.iterdir()) == []


class KilledError(BaseException):
    """Stands for the end of the process: nothing after it is done."""


def died_in(*_: object, **__: object) -> None:
    raise KilledError


def test_a_spool_whose_owner_is_nested_beyond_reading_is_nobodys_and_keeps_no_other_from_its_adopter(
    tmp_path: Path,
) -> None:
    spool, foreign = make_spool(tmp_path / SERVICE), make_spool(tmp_path / SERVICE)
    for each in (spool, foreign):
        each.close()
    (foreign.directory / "owner.json").write_text("[" * 100_000)
    (orphan,) = adopt(tmp_path / SERVICE, tmp_path / "nobody", ledger=LEDGER, service=SERVICE)
    assert orphan.directory == spool.directory
    orphan.close(delete=False)
    assert [seen.directory for seen in spools_below(tmp_path)] == [spool.directory]


def test_a_spool_that_vanishes_while_it_is_looked_at_keeps_no_lock_of_another(tmp_path: Path) -> None:
    first, vanishing = make_spool(tmp_path), make_spool(tmp_path)
    first.close()
    vanishing.close()
    os.utime(first.directory, (1, 1))  # the older is locked before the other one is gone
    owner = vanishing.directory / "owner.json"
    said = owner.read_text()
    owner.unlink()
    os.mkfifo(owner)

    def vanish() -> None:
        with owner.open("w") as file:  # opened as soon as the adopter reads it
            shutil.rmtree(vanishing.directory)
            file.write(said)

    thread = threading.Thread(target=vanish)
    thread.start()
    (orphan,) = adopt(tmp_path, tmp_path / "nobody", ledger=LEDGER, service=SERVICE)
    thread.join()
    assert orphan.directory == first.directory
    assert not vanishing.directory.exists()
    orphan.close(delete=False)
    (orphan,) = adopt(tmp_path, tmp_path / "nobody", ledger=LEDGER, service=SERVICE)
    orphan.close(delete=False)


def test_one_that_cannot_be_opened_does_not_hold_up_the_others(tmp_path: Path) -> None:
    broken, whole = make_spool(tmp_path), make_spool(tmp_path)
    broken.close()
    whole.close()
    (broken.directory / "acked").unlink()
    (broken.directory / "acked").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (orphan,) = adopt(tmp_path, tmp_path / "nobody", ledger=LEDGER, service=SERVICE)
    assert orphan.directory == whole.directory
    orphan.close(delete=False)
    lock = take_lock(broken.directory)
    assert lock is not None
    os.close(lock)


def test_an_acknowledgement_that_does_not_hold_counts_as_none(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    spool.put([event_frame(b"t", 1, bytes(32), b"header", bytes(16), b"payload")])
    spool.acknowledge(0, 1)
    spool.close()
    (orphan,) = adopt(tmp_path, tmp_path, ledger=LEDGER, service=SERVICE)
    assert (orphan.acked_events, list(orphan.entries())) == (1, [])
    orphan.close(delete=False)
    (spool.directory / "acked").write_bytes(b"x" * 20)
    (orphan,) = adopt(tmp_path, tmp_path, ledger=LEDGER, service=SERVICE)
    assert (orphan.acked_events, len(list(orphan.entries()))) == (0, 1)
    orphan.close(delete=False)


def test_a_directory_that_cannot_be_written_is_refused_in_words(tmp_path: Path, log: MemoryLog) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolFailed, match="give a directory"):
        recorder_on(log, tmp_path / "file")


def test_a_full_spool_raises_and_takes_events_again_when_the_log_does(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()
    recorder = recorder_on(log, tmp_path, spool_bytes=3 * SEGMENT, segment_bytes=SEGMENT)
    kept = []
    with pytest.raises(SpoolFull, match="allow the spool more"):  # noqa: PT012
        while True:
            kept.append(recorder.record(STEP))
    assert recorder.health().spool_bytes <= 3 * SEGMENT + (4 << 20)
    with pytest.raises(SpoolFull):
        recorder.prompt(trigger_kind="human", trust="trusted", text="x" * SEGMENT)
    log.gate.set()
    assert recorder.flush(10)
    kept.append(recorder.record(STEP))
    assert recorder.close(10)
    assert [each.digest for each in stated(log)] == [each.digest for each in kept]
    assert log.contents == []


def test_best_effort_drops_what_the_spool_cannot_take_and_counts_it(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()
    recorder = recorder_on(log, tmp_path, mode="best_effort", spool_bytes=2 * SEGMENT, segment_bytes=SEGMENT)
    recorded = [recorder.record(STEP, occurred_at=1_000_000 + i) for i in range(2000)]
    dropped = [each for each in recorded if each.number == 0]
    assert dropped
    assert recorder.health().dropped == len(dropped)
    assert not recorder.health().well
    log.gate.set()
    assert recorder.close(10)
    assert len(stated(log)) == 2000 - len(dropped)
    losses = [payload for _, header, payload in chain_events(log) if header.kind == "chain_loss"]
    assert sum(each["count"] for each in losses) == len(dropped)
    assert {each["reason"] for each in losses} == {"spool_full"}
    assert losses[0]["kinds"] == [{"kind": "reasoning_step", "count": losses[0]["count"]}]
    assert losses[0]["first_at"] == 1_000_000 + recorded.index(dropped[0])
    assert max(each["last_at"] for each in losses) == 1_000_000 + 2000 - 1
    assert chain_events(log)[-1][2]["lost_count"] == len(dropped)
    assert chain_events(log)[0][2]["delivery"] == "best_effort"


def test_a_disk_that_failed_is_told_to_every_caller(log: MemoryLog, tmp_path: Path) -> None:
    recorder = recorder_on(log, tmp_path)
    recorder.record(STEP)
    process = recorder._process
    assert process is not None
    os.close(process.spool.events.cursor()._segment.fd)
    process.spool.sync()
    with pytest.raises(SpoolFailed, match="repair it and start the service again"):
        recorder.record(STEP)
    assert "repair" in (recorder.health().spool_failure or "")
    process.spool.events.cursor()._segment.fd = os.open(os.devnull, os.O_RDONLY)
    recorder.close(5)
    assert len(stated(log)) == 1


def test_the_lock_ends_with_the_process_that_held_it_not_with_its_forked_child(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    assert take_lock(spool.directory) is None
    spool.close()
    lock = take_lock(spool.directory)
    assert lock is not None
    os.close(lock)


def test_many_threads_fill_and_drain_a_small_spool_without_loss(log: MemoryLog, tmp_path: Path) -> None:
    recorder = recorder_on(log, tmp_path, segment_bytes=SEGMENT, spool_bytes=1 << 20)
    recorded: list[list[Recorded]] = [[] for _ in range(4)]

    def work(mine: list[Recorded]) -> None:
        while len(mine) < 1500:
            try:
                mine.append(recorder.prompt(trigger_kind="human", trust="trusted", text="x" * 500))
            except SpoolFull:
                recorder.flush(10)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in recorded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.close(20)
    assert sorted(each.header.event_id for each in stated(log)) == sorted(
        each.event_id for mine in recorded for each in mine
    )
    assert len(contents(log)) == 6000
    assert set(chain_findings(log).values()) == {frozenset()}
