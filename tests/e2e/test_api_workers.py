"""``answerable api`` in several processes: one port, one account of what was asked, one beginning and one end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from ledger.trust.keys import b64url
from tests.sealing import LEDGER, ROOT
from tests.seeded import ACME, Story, bundle_bytes
from tests.waiting import until

WORKERS = 3
FORKS = WORKERS + 1
"""They, and the one that accepts for them, which was begun last."""
ASKED = 30


class Api(NamedTuple):
    """The parent of the workers; what it printed is in ``output``."""

    parent: subprocess.Popen[bytes]
    url: str
    output: Path

    def forks(self) -> list[int]:
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text().split()
        return [int(each) for each in children]


@contextmanager
def started(store: str, home: Path, *options: str) -> Iterator[Api]:
    home.mkdir(exist_ok=True)
    (home / "trust.jsonl").write_bytes(bundle_bytes())
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    given = {"DATA_DIR": str(home), "STORE_URL": store, "LOG_URL": store, "LEDGER": LEDGER, "TENANT": ACME}
    given |= {"TRUST_ROOT": b64url(ROOT.public.raw), "API_PORT": "0"}
    output = home / "output"
    # who is killed leaves its files where pytest finds them
    with output.open("wb") as file:
        parent = subprocess.Popen(
            [sys.executable, "-m", "ledger.cli", "api", *options],
            env=plain | {"TMPDIR": str(home)} | {f"ANSWERABLE_{name}": value for name, value in given.items()},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: re.search(rb"http://\S+\n", output.read_bytes()) is not None or parent.poll() is not None)
        found = re.search(r"http://\S+", output.read_text())
        assert found, output.read_text()
        yield Api(parent, found[0], output)
    finally:
        parent.kill()
        parent.wait()


def is_there(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except FileNotFoundError:
        return False


@pytest.fixture
def api(url: str, tmp_path: Path) -> Iterator[Api]:
    with started(url, tmp_path / "home", "--workers", str(WORKERS)) as running:
        yield running


def test_all_answer_on_one_port_and_any_of_them_tells_what_all_were_asked(api: Api, told: Story) -> None:
    assert len(api.forks()) == FORKS
    path = f"/v1/events/{told.outcome}/who-triggered"
    answers = {
        httpx.get(api.url + path).raise_for_status().text for _ in range(ASKED)
    }  # each on a connection of its own
    assert len(answers) == 1
    counted = re.compile(r'answerable_http_requests_total\{.*route="/v1/events/\{event_id\}/who-triggered".*\} (\S+)')
    for _ in range(5):
        text = httpx.get(f"{api.url}/metrics").raise_for_status().text
        assert [float(each) for each in counted.findall(text)] == [ASKED]
        assert "answerable_api_ready 1.0" in text


def test_connections_are_dealt_evenly(api: Api) -> None:
    with ExitStack() as kept:
        clients = [kept.enter_context(httpx.Client()) for _ in range(4 * WORKERS)]
        for each in clients:
            each.get(f"{api.url}/v1/health")
        held = connections_of(int(api.url.rpartition(":")[2]))
        assert [len(held & inodes(pid)) for pid in api.forks()] == [4] * WORKERS + [0]


def connections_of(port: int) -> set[str]:
    """The inodes of the connections that have been made to a port of this machine."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {each[9] for each in lines if int(each[1].partition(":")[2], 16) == port and each[3] == "01"}


def inodes(pid: int) -> set[str]:
    """Of the sockets that a process holds."""
    links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]
    return {each[len("socket:[") : -1] for each in links if each.startswith("socket:[")}


@pytest.mark.parametrize("which", [0, WORKERS], ids=["one that answers", "the one that accepts"])
def test_one_that_dies_is_replaced_and_the_log_says_so(api: Api, told: Story, which: int) -> None:
    before = api.forks()
    os.kill(before[which], signal.SIGKILL)
    until(lambda: len(api.forks()) == FORKS and before[which] not in api.forks())
    for _ in range(ASKED):
        httpx.get(f"{api.url}/v1/events/{told.outcome}", timeout=20).raise_for_status()
    output = api.output.read_text()
    assert "ended by itself (SIGKILL); it is started again" in output
    assert output.count(api.url) == 1, "who waits for the URL was told it already"
    assert "answerable_api_workers_replaced_total 1.0" in httpx.get(f"{api.url}/metrics").text


def test_they_end_with_their_parent_asked_or_not(api: Api, url: str, tmp_path: Path) -> None:
    workers = api.forks()
    began = time.monotonic()
    api.parent.send_signal(signal.SIGTERM)
    assert api.parent.wait(30) == 0
    assert time.monotonic() - began < 15
    assert not any(map(is_there, workers))
    with started(url, tmp_path / "other", "--workers", str(WORKERS)) as other:
        workers = other.forks()
        other.parent.kill()
        until(lambda: not any(map(is_there, workers)))


def test_a_port_that_others_listen_on_is_not_shared_with_them(api: Api, url: str, tmp_path: Path) -> None:
    port = api.url.rpartition(":")[2]
    with pytest.raises(AssertionError, match="set ANSWERABLE_API_PORT"), started(url, tmp_path / "o", "--port", port):
        pass
