"""The forks that answer for the API: replaced at once, tried again with a pause where they fail, and ended whoever hurries it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.workers import PAUSE_SECONDS
from tests.supervised import GRACE
from tests.waiting import until


class Supervised:
    """The parent of the forks, and what they told."""

    def __init__(self, parent: subprocess.Popen[bytes], file: Path) -> None:
        self.parent = parent
        self._file = file

    def begun(self) -> list[tuple[int, int]]:
        """Number and process of each that began, in this order."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [(int(number), int(pid)) for number, pid in map(str.split, lines)]

    def alive(self) -> list[int]:
        return [pid for _, pid in self.begun() if is_there(pid)]


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def supervised(tmp_path: Path, count: int, how: str) -> Iterator[Supervised]:
    file = tmp_path / "begun"
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.supervised", str(count), how, str(file)], stderr=subprocess.DEVNULL
    )
    running = Supervised(parent, file)
    try:
        until(lambda: len(running.begun()) >= count or parent.poll() is not None)
        yield running
    finally:
        parent.kill()
        parent.wait()
        for pid in running.alive():
            os.kill(pid, signal.SIGKILL)


def test_eight_that_die_together_are_replaced_together_and_at_once(tmp_path: Path) -> None:
    with supervised(tmp_path, 8, "working") as forks:
        assert any(seconds_until_back(forks) < PAUSE_SECONDS for _ in range(3))  # one after the other it were eight
        assert sorted(number for number, _ in forks.begun()[-8:]) == list(range(8))


def seconds_until_back(forks: Supervised) -> float:
    """How long it takes until all are back, which had worked for long enough to be replaced at once."""
    known, working = len(forks.begun()), time.monotonic()
    until(lambda: time.monotonic() > working + PAUSE_SECONDS)
    began = time.monotonic()
    for pid in forks.alive():
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(forks.begun()) == known + 8)
    return time.monotonic() - began


def test_one_that_fails_whenever_it_begins_is_tried_again_once_a_second(tmp_path: Path) -> None:
    with supervised(tmp_path, 1, "failing") as forks:
        began = time.monotonic()
        until(lambda: len(forks.begun()) == 3)
        assert time.monotonic() - began > 1.5
        assert forks.parent.poll() is None


@pytest.mark.parametrize("hurry", [signal.SIGTERM, signal.SIGINT])
def test_who_asks_twice_to_end_leaves_none_behind(tmp_path: Path, hurry: signal.Signals) -> None:
    with supervised(tmp_path, 3, "deaf") as forks:
        forks.parent.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        while forks.parent.poll() is None and time.monotonic() < asked + GRACE / 2:
            forks.parent.send_signal(hurry)
            time.sleep(0.1)
        assert forks.parent.wait(20) == 0
        assert not forks.alive()
