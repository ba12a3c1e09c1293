"""Temporary directories that go with their process: what is ours and dead goes, and nothing else does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ledger.embedded.scratch import claim, scratch, sweep

OWNER = """
import sys
from ledger.embedded.scratch import scratch
with scratch(sys.argv[1]) as directory:
    (directory / "inside").mkdir()
    (directory / "inside" / "kept").write_text("")
    print(directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory, for this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def owner(prefix: str) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def ended(process: subprocess.Popen[str], *, killed: bool) -> None:
    if killed:
        process.kill()
    process.communicate()


def test_it_goes_with_its_block(temporary: Path) -> None:
    with scratch("ours-") as directory:
        assert directory.parent == temporary
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "file").write_text("")
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_and_what_a_living_one_has_does_not(temporary: Path) -> None:
    living, has = owner("ours-")
    dead, left = owner("ours-")
    ended(dead, killed=True)
    assert left.exists()
    with scratch("ours-") as mine:
        assert sorted(temporary.iterdir()) == sorted([has, mine])
    ended(living, killed=False)
    assert list(temporary.iterdir()) == []


def test_nothing_is_removed_that_is_not_known_to_be_ours(temporary: Path) -> None:
    name = "ours-" + "0" * 15
    unlocked, open_to_others, file = (temporary / (name + each) for each in "123")
    unlocked.mkdir(0o700)
    handle = claim(open_to_others)
    assert handle is not None
    os.close(handle)
    open_to_others.chmod(0o777)
    file.write_text("")
    elsewhere = temporary / "elsewhere"
    handle = claim(elsewhere)
    assert handle is not None
    os.close(handle)
    (temporary / (name + "4")).symlink_to(elsewhere)
    (temporary / "ours-of-another-kind").mkdir()
    before = sorted(temporary.rglob("*"))
    sweep(re.compile("ours-[0-9a-f]{16}"))
    assert sorted(temporary.rglob("*")) == before


def test_a_directory_that_another_holds_is_not_claimed(temporary: Path) -> None:
    first = claim(temporary / "one")
    assert first is not None
    assert claim(temporary / "one") is None
    os.close(first)
    again = claim(temporary / "one")
    assert again is not None
    os.close(again)
    (temporary / "file").write_text("")
    with pytest.raises(OSError, match="no directory"):
        claim(temporary / "file")
