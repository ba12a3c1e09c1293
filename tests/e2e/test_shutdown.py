"""SIGTERM to every verb that keeps running, while events flow: it ends within ten seconds, and nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from ledger import open_recorder
from ledger.settings import load_settings
from tests.operating import Ledger, Load, record_one
from tests.waiting import until

SECONDS = 10.0
SWEPT = "select coalesce(sum(next_offset), 0) from sentinel_positions"
SERVICE = """
import signal, sys, time
from threading import Event
from ledger import open_recorder
stop = Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with open_recorder(service="agent") as recorder:
    while not stop.is_set():
        made = recorder.prompt(trigger_kind="human", trust="trusted", channel="chat", text="Book a flight")
        print(made.event_id.hex(), flush=True)
        time.sleep(0.002)
"""

HANGING = """
import time
from consumers.running import stop_on_signals
stop_on_signals(0.5)
print(1, flush=True)
time.sleep(60)
"""


@contextmanager
def started(ledger: Ledger, *command: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours; its output lies in ``output`` of the ledger's home. Killed if the test fails."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    with (ledger.home / "output").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=plain | ledger.environment | variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ends(process: subprocess.Popen[bytes]) -> None:
    """It ends well, and in time."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert time.monotonic() - began < SECONDS


def verb(*arguments: str) -> tuple[str, ...]:
    return ("-m", "ledger.cli", *arguments)


def sweeping(ledger: Ledger) -> Callable[[], bool]:
    """Whether a sentinel has gone on since now."""
    before = ledger.rows(SWEPT)
    return lambda: ledger.rows(SWEPT) > before


def test_workers_and_api_end_in_time_and_others_go_on_where_they_were(ledger: Ledger) -> None:
    environment = {"ANSWERABLE_API_PORT": "0"}
    with Load(ledger):
        for _ in range(2):
            (ledger.home / "output").write_bytes(b"")
            swept_on = sweeping(ledger)
            with (
                started(ledger, *verb("materialize")) as one,
                started(ledger, *verb("materialize")) as other,
                started(ledger, *verb("contents")) as contents,
                started(ledger, *verb("sentinel")) as sentinel,
                started(ledger, *verb("api"), **environment) as api,
            ):
                until(ledger.so_far(), 60)
                until(lambda: b"http://" in (ledger.home / "output").read_bytes())
                until(swept_on, 60)
                for process in (one, contents, sentinel, api, other):
                    ends(process)
    ledger.work()
    until(ledger.materialized)
    until(lambda: ledger.rows("select count(*) from contents") == [(len(ledger.recorded),)])
    assert ledger.wrong() == []


def test_verbs_whose_log_is_away_end_in_time_too(ledger: Ledger) -> None:
    away = {"ANSWERABLE_LOG_URL": "kafka://127.0.0.1:1/p", "ANSWERABLE_API_PORT": "0"}
    with ExitStack() as stack:
        running = [
            stack.enter_context(started(ledger, *verb(each), **away)) for each in ("materialize", "contents", "api")
        ]
        until(lambda: (ledger.home / "output").read_text().count("no Kafka broker answers") >= 2)
        until(lambda: "http://" in (ledger.home / "output").read_text())
        for process in running:
            ends(process)


def test_a_worker_that_hangs_ends_in_time_and_says_so(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    told = process.stdout.read()
    process.stdout.close()
    assert process.wait(10) == 1
    assert 0.4 < time.monotonic() - began < SECONDS
    assert "stopped in the middle" in told


def test_a_service_that_closes_its_recorder_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.work()
    with started(ledger, "-c", SERVICE) as process:
        output = ledger.home / "output"
        until(lambda: output.read_bytes().count(b"\n") > 200)
        ends(process)
    ledger.recorded += [bytes.fromhex(line) for line in output.read_text().split()]
    until(ledger.materialized)
    assert ledger.wrong() == []
    assert not any(path.is_dir() for path in (ledger.home / "spool" / "agent").iterdir())
    until(lambda: ledger.rows("select count(*) from chains where closed_at is null") == [(0,)])


def test_all_of_it_on_one_machine_ends_in_time_while_a_service_records(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ledger = Ledger(home, "", "")
    home.mkdir()
    ledger.environment = {"ANSWERABLE_DATA_DIR": str(home), "ANSWERABLE_API_PORT": "0"}
    ledger.run("answerable keys new agent && answerable keys trust agent --service agent")
    with started(ledger, *verb("serve", "--json")) as first:
        until(lambda: url_of(home) != "", 60)
        with Load(ledger, patience=0.5):
            until(lambda: len(ledger.recorded) > 100)
            ends(first)
    (home / "output").unlink()
    with started(ledger, *verb("serve", "--json")):
        until(lambda: url_of(home) != "", 60)
        with open_recorder(load_settings({"data_dir": home}), "agent") as recorder:
            ledger.recorded.append(record_one(recorder))
            assert recorder.flush(30), recorder.health()
        found: list[bytes] = []

        def all_there() -> bool:
            found[:] = events_of(url_of(home))
            return set(ledger.recorded) <= set(found)

        until(all_there)
        assert len(found) == len(set(found))
        findings = httpx.get(f"{url_of(home)}/v1/findings").json()
        assert findings["items"] == []


def url_of(home: Path) -> str:
    """Where ``serve`` says that it serves; empty while it does not."""
    output = home / "output"
    lines = [line for line in output.read_text().splitlines() if line.startswith("{")] if output.exists() else []
    return str(json.loads(lines[-1])["url"]) if lines else ""


def events_of(url: str) -> list[bytes]:
    """The ids of all prompts, page by page."""
    found: list[bytes] = []
    cursor: str | None = None
    while True:
        page = httpx.get(
            f"{url}/v1/events", params={"kind": "prompt", "limit": 500, **({"cursor": cursor} if cursor else {})}
        )
        page.raise_for_status()
        body = page.json()
        found += [bytes.fromhex(each["event_id"].replace("-", "")) for each in body["items"]]
        cursor = body["next"]
        if not cursor:
            return found
