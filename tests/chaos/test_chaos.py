"""One round of ``make chaos``, short: faults of every sort come together, and nothing is lost, doubled or accused."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ledger.recorder.journal import Journal, recover
from tests.chaos.faults import FAULTS, executable_lines, tear
from tests.chaos.play import play

SEED = int(os.environ.get("CHAOS_SEED", "1"))
SECONDS = 90.0


@pytest.mark.kafka
@pytest.mark.timeout(480)
@pytest.mark.usefixtures("kafka")  # for the jars, and for what is said where they cannot be had
def test_ninety_seconds_of_faults_leave_nothing_wrong(tmp_path: Path) -> None:
    verdict = play(tmp_path / "stage", seed=SEED, seconds=SECONDS)
    assert not verdict.faults, f"CHAOS_SEED={SEED}: {verdict.faults}"
    assert verdict.counts["faults"] >= 8, verdict.counts
    assert verdict.events > 1000, verdict.counts


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
