"""A ledger on real Kafka and Postgres with its workers, and a service that records without pause: what is operated on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg

from ledger import open_recorder
from ledger.cli.workers import contents_worker, materializer
from ledger.embedded.postgres import _programs
from ledger.recorder.recorder import Recorder
from ledger.settings import Settings, load_settings
from tests.commands import commands

WRONG = "select name from findings where closed_at is null union all select reason from rejected"


class Ledger:
    """A ledger with its workers, and a service that records without pause."""

    def __init__(self, home: Path, store: str, log: str) -> None:
        self.home, self.store = home, store
        self.environment = {
            "ANSWERABLE_DATA_DIR": str(home),
            "ANSWERABLE_STORE_URL": store,
            "ANSWERABLE_LOG_URL": log,
        }
        self.recorded: list[bytes] = []
        self._workers: list[tuple[Event, Thread]] = []
        self.failures: list[BaseException] = []

    @property
    def settings(self) -> Settings:
        return load_settings(
            {name.removeprefix("ANSWERABLE_").lower(): value for name, value in self.environment.items()}
        )

    def run(self, script: str, **variables: str) -> str:
        """What a block of commands printed; every one of them must succeed."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
        programs = [commands(), Path(sys.executable).parent, self.home / "bin", _programs()]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=plain | self.environment | variables | {"PATH": ":".join([*map(str, programs), os.environ["PATH"]])},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def work(self) -> None:
        """Starts a materializer and a contents worker."""
        for make in (materializer, contents_worker):
            stop = Event()
            thread = Thread(target=self._work, args=[make, stop])
            thread.start()
            self._workers.append((stop, thread))

    def rest(self) -> None:
        """Stops them, clean."""
        for stop, _ in self._workers:
            stop.set()
        while self._workers:
            self._workers.pop()[1].join(30)

    def _work(self, make: Callable[..., Any], stop: Event) -> None:
        try:
            with make(self.settings) as worker:
                worker.run(stop)
        except BaseException as error:  # noqa: BLE001 - the test says so
            self.failures.append(error)

    def recorder(self, key: str = "agent") -> Recorder:
        given = self.settings.model_copy(update={"key": self.home / "keys" / f"{key}.jwk"})
        return open_recorder(given, "agent")

    def record(self, recorder: Recorder, count: int = 20) -> None:
        self.recorded += [record_one(recorder) for _ in range(count)]
        assert recorder.flush(30), recorder.health()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.store) as connection:
            return connection.execute(query.encode()).fetchall()

    def so_far(self) -> Callable[[], bool]:
        """Whether every event that was recorded until now is in the store."""
        until_now = list(self.recorded)
        return lambda: self.materialized(until_now)

    def materialized(self, events: Sequence[bytes] | None = None) -> bool:
        """Whether ``events``, by default all that were recorded, are in the store, each once."""
        assert self.failures == []
        found = [row[0].bytes for row in self.rows("select event_id from events")]
        assert len(found) == len(set(found))
        return set(self.recorded if events is None else events) <= set(found)

    def wrong(self) -> list[str]:
        """Names of what is wrong: open findings, and refused records."""
        return [row[0] for row in self.rows(WRONG)]


def record_one(recorder: Recorder) -> bytes:
    return recorder.prompt(trigger_kind="human", trust="trusted", channel="chat", text="Book a flight").event_id


class Load:
    """A service that records a hundred events a second inside the block; ``ledger`` knows each of them.

    ``patience``: for how many seconds it waits at its end until all is in the log. What is not then lies in its spool.
    """

    def __init__(self, ledger: Ledger, key: str = "agent", patience: float = 30.0) -> None:
        self._ledger, self._key, self._patience = ledger, key, patience
        self._stop = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *ending: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        with self._ledger.recorder(self._key) as recorder:
            while not self._stop.is_set():
                self._ledger.recorded.append(record_one(recorder))
                time.sleep(0.01)
            recorder.close(self._patience)
