"""A disk without room, by the kernel's own limit of a file's size: what a segment needs is refused as on a full disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.errors import SpoolFailed
from ledger.recorder.clock import SystemClock
from ledger.recorder.frames import HEADS
from ledger.recorder.journal import FRAME
from ledger.recorder.spool import HEADS_EVERY, SEALED_SEGMENT
from tests.recording import STEP, chain_findings, recorder_on, stated
from tests.services.memory_log import MemoryLog
from tests.waiting import until

SEGMENT = 64 * 1024


@contextmanager
def no_room_for(size: int) -> Iterator[None]:
    """Inside the block no file of ``size`` bytes can be made."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_exactly_at_the_heads_makes_no_gap(tmp_path: Path) -> None:
    log = MemoryLog(SystemClock())
    with recorder_on(log, tmp_path, segment_bytes=SEGMENT) as recorder:
        process = recorder._process
        assert process is not None
        journal = process.spool.sealed
        recorded = []
        while journal.next < HEADS_EVERY - 3:
            recorded.append(recorder.record(STEP))
            assert recorder.flush(10)
        segment = journal.cursor()._segment
        before = segment.end
        recorded.append(recorder.record(STEP))
        assert recorder.flush(10)
        batch = segment.end - before
        room = batch + FRAME  # for the next batch, of the same size within a few bytes, and not for the heads after it
        empty_heads = HEADS + b"[]"
        process.spool.put_sealed(empty_heads.ljust(segment.size - segment.end - FRAME - room))
        with no_room_for(SEALED_SEGMENT):
            recorded.append(recorder.record(STEP))
            assert recorder.flush(10)
            assert segment.size - segment.end < room
            assert recorder.health().failures == 0
            recorded.append(recorder.record(STEP))  # needs a new segment, too
            until(lambda: recorder.health().failures >= 2)
            assert "free or repair the disk" in (recorder.health().error or "")
        assert recorder.flush(10)
        assert recorder.health().problems == ()
    assert [each.digest for each in stated(log)] == [each.digest for each in recorded]
    assert sum(each.value is not None for each in log.events) == len({each.value for each in log.events})
    assert set(chain_findings(log).values()) == {frozenset()}


def test_where_there_is_no_room_at_the_start_nothing_is_left_behind(tmp_path: Path) -> None:
    log = MemoryLog(SystemClock())
    with no_room_for(SEALED_SEGMENT), pytest.raises(SpoolFailed, match="free or repair the disk"):
        recorder_on(log, tmp_path, segment_bytes=SEGMENT)
    assert list(tmp_path.iterdir()) == []
    with recorder_on(log, tmp_path, segment_bytes=SEGMENT) as recorder:
        recorder.record(STEP)
    assert len(stated(log)) == 1
