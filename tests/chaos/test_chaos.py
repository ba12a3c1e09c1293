"""What the harness of ``make chaos`` does to spools and code, by itself."""

from __future__ import annotations

import random
from pathlib import Path

from ledger.recorder.journal import Journal, recover
from tests.chaos.faults import FAULTS, executable_lines, tear

SEED = 1


def test_a_torn_tail_is_cut_back_and_the_frames_before_it_are_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "events", segment_bytes=1 << 16)
    for number in range(20):
        journal.append(b"frame %d" % number)
    journal.close()
    (path,) = tmp_path.glob("events-*.seg")
    assert tear(path, random.Random(SEED)) == 1
    assert [frame.body for frame in recover(tmp_path, "events")] == [b"frame %d" % number for number in range(20)]


def test_faults_die_at_lines_that_the_product_has() -> None:
    assert len(executable_lines("ledger/recorder/sender.py")) > 100
    assert all(fault.seconds[0] <= fault.seconds[1] for fault in FAULTS.values())
