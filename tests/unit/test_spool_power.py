"""What is left of a spool when the machine loses its power: the files that were synced, under the names that were.

No disk is switched off here. A strict one is kept beside the real one, which forgets whatever nobody waited for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.recorder.clock import SystemClock
from ledger.recorder.journal import Journal, recover
from ledger.recorder.spool import Orphan, Spool, adopt
from tests.recording import LEDGER, SERVICE, STEP, recorder_on, stated
from tests.services.memory_log import MemoryLog
from tests.waiting import until

SEGMENT = 4096


class StrictDisk:
    """What a disk has for certain below ``root``: of files what was synced, and of directories the names as of their sync."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._data: dict[int, bytes] = {}
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._after(getattr(os, name)))

    def _after(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def synced(handle: int) -> None:
            sync(handle)
            status = os.fstat(handle)
            if stat.S_ISDIR(status.st_mode):
                with os.scandir(handle) as found:
                    self._names[status.st_ino] = {each.name: (each.inode(), each.is_dir()) for each in found}
            else:
                self._data[status.st_ino] = Path(f"/proc/self/fd/{handle}").read_bytes()

        return synced

    def left(self, target: Path) -> Path:
        """The tree that is found when the power is back, made at ``target``."""
        self._lay(self._root.stat().st_ino, target)
        return target

    def _lay(self, inode: int, target: Path) -> None:
        target.mkdir()
        for name, (child, is_directory) in self._names.get(inode, {}).items():
            if is_directory:
                self._lay(child, target / name)
            else:
                (target / name).write_bytes(self._data.get(child, b""))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StrictDisk:
    (tmp_path / "disk").mkdir()
    return StrictDisk(tmp_path / "disk", monkeypatch)


def frames(directory: Path) -> list[bytes]:
    return [each.body for each in recover(directory, "events")]


def adopted(root: Path) -> list[Orphan]:
    return adopt(root, root / "own", ledger=LEDGER, service=SERVICE)


def test_what_was_synced_is_found_under_its_owner_by_the_next_process(disk: StrictDisk, tmp_path: Path) -> None:
    root = Path("service") / "spools"
    spool = Spool(tmp_path / "disk" / root, ledger=LEDGER, service=SERVICE, limit=1 << 20, segment_bytes=SEGMENT)
    bodies = [b"%d" % number + bytes(1000) for number in range(20)]
    for number, body in enumerate(bodies):
        spool.put([body], events=0)
        spool.sync()
        left = disk.left(tmp_path / f"left {number}") / root
        (orphan,) = adopted(left)
        assert frames(orphan.directory) == bodies[: number + 1]
        orphan.close(delete=False)
    spool.close()


def test_a_segment_that_was_made_ahead_is_found_when_it_is_used(disk: StrictDisk, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "disk", "events", segment_bytes=SEGMENT)
    journal.sync()
    journal.append(bytes(3000))
    journal.prepare()
    journal.append(b"in the one made ahead" + bytes(3000))
    journal.sync()
    assert len(frames(disk.left(tmp_path / "left"))) == 2
    journal.close()


def test_a_spool_that_was_continued_is_not_continued_again(disk: StrictDisk, tmp_path: Path) -> None:
    Spool(tmp_path / "disk", ledger=LEDGER, service=SERVICE, limit=1 << 20, segment_bytes=SEGMENT).close()
    (orphan,) = adopted(tmp_path / "disk")
    orphan.mark_continued()
    orphan.close(delete=False)
    (again,) = adopted(disk.left(tmp_path / "left"))
    assert again.continued
    again.close(delete=False)


def test_what_was_recorded_reaches_the_log_though_the_machine_lost_its_power(disk: StrictDisk, tmp_path: Path) -> None:
    away = MemoryLog(SystemClock())
    away.gate.clear()
    recorder = recorder_on(away, tmp_path / "disk" / "spool")
    recorded = recorder.record(STEP)
    seen: list[Path] = []

    def whole() -> bool:
        """Within 50 ms, on a machine that has nothing else to do."""
        seen.append(disk.left(tmp_path / f"left {len(seen)}") / "spool")
        return any(frames(each) for each in seen[-1].glob("*"))

    until(whole, 10)
    log = MemoryLog(SystemClock())
    with recorder_on(log, seen[-1]) as next_:
        until(lambda: next_.health().adopted_spools == 1, 20)
    assert [each.digest for each in stated(log)] == [recorded.digest]
    assert recorder.health().waiting_events == 1
    away.gate.set()
    assert recorder.close(10)
