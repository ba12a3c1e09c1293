"""The procedures of ``docs/operations.md``: its commands, as they stand there, on real Kafka and Postgres while events flow."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from ledger import open_recorder
from ledger.cli.workers import contents_worker, materializer
from ledger.format.codec import Schemas
from ledger.recorder.recorder import Recorder
from ledger.schema_files import directory, load_schemas
from ledger.settings import Settings, load_settings
from ledger.store import migrations
from ledger.store.digest import state_digest
from ledger.store.migrations import check_migrated, migrate
from tests.services import Databases
from tests.services.forge import EMPTY, Forge, Trust, signer
from tests.services.stand import Stand, migrated

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
KAFKA_TOPICS = """#!{python}
import sys
from kafka import KafkaAdminClient
given = dict(zip(sys.argv[1::1], sys.argv[2::1]))
with KafkaAdminClient(bootstrap_servers=given["--bootstrap-server"]) as admin:
    admin.create_partitions({{given["--topic"]: int(given["--partitions"])}})
"""
"""What Kafka's own command does with these arguments."""
WRONG = "select name from findings where closed_at is null union all select reason from rejected"
READ = "select partition from positions where topic = 'ledger.events' and next_offset > 0"


def block(title: str, number: int = 0) -> str:
    """A block of commands under a title of the page."""
    (section,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    found: str = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[number]
    return found


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
        programs = [Path(sys.executable).parent, self.home / "bin", *_postgres_programs()]
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
    """A service that records a hundred events a second inside the block; ``ledger`` knows each of them."""

    def __init__(self, ledger: Ledger, key: str = "agent") -> None:
        self._ledger, self._key = ledger, key
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


@pytest.fixture
def prefix(topic_prefix: str) -> str:
    return topic_prefix


@pytest.fixture
def ledger(kafka: str, prefix: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    made = Ledger(tmp_path, database, f"kafka://{kafka}/{prefix}?partitions=2")
    made.run("answerable keys new agent && answerable keys trust agent --service agent && answerable migrate")
    with ExitStack() as stack:
        stack.callback(made.rest)
        yield made
    assert made.failures == []


def until(holds: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "this never came true"
        time.sleep(0.05)


def test_a_key_is_changed_without_a_gap_and_a_stolen_one_is_revoked_into_the_past(ledger: Ledger) -> None:
    ledger.work()
    with Load(ledger):
        ledger.run(block("A new key for a service", 0))
    with Load(ledger, "agent-2"):
        ledger.run(block("A new key for a service", 1))
        until(ledger.so_far())
    until(ledger.materialized)
    assert ledger.wrong() == []
    assert ledger.rows("select count(distinct key_id) from chains") == [(2,)]

    time.sleep(0.01)  # the log's times have whole milliseconds
    since = datetime.now(UTC)
    good = list(ledger.recorded)
    with ledger.recorder("agent-2") as thief:
        ledger.record(thief, 5)
    until(ledger.materialized)
    told = ledger.run(block("A stolen key").replace("revoke agent ", "revoke agent-2 "), since=since.isoformat())
    assert "is revoked from" in told
    ledger.recorded[:] = good
    until(lambda: "revoked_key" in ledger.wrong())
    assert ledger.materialized()
    assert ledger.rows("select count(*) from rejected where reason <> 'revoked_key'") == [(0,)]
    assert "revoked_key" in ledger.run("answerable doctor || true")


def test_a_store_restored_from_an_older_backup_is_what_it_would_have_been(ledger: Ledger) -> None:
    (ledger.home / "safe").mkdir()
    ledger.work()
    with ledger.recorder() as recorder:
        ledger.record(recorder)
        until(ledger.materialized)
        ledger.run(block("Backup and restore", 0))
        ledger.record(recorder)
    until(ledger.materialized)
    until(lambda: ledger.rows("select count(*) from contents") == [(40,)])
    ledger.rest()
    before = state_digest(ledger.store).digest
    with psycopg.connect(ledger.store, autocommit=True) as connection:
        connection.execute("delete from events where event_id in (select event_id from events limit 10)")
    assert state_digest(ledger.store).digest != before
    ledger.run(block("Backup and restore", 1))
    assert not ledger.materialized()
    ledger.work()
    until(ledger.materialized)
    until(lambda: state_digest(ledger.store).digest == before)
    ledger.rest()
    assert ledger.wrong() == []
    ledger.run("answerable verify --store && answerable verify --log file:log.avro")
    assert (ledger.home / "safe" / "keys" / "agent.jwk").stat().st_mode & 0o077 == 0


def test_partitions_are_added_while_events_flow(ledger: Ledger, kafka: str, prefix: str) -> None:
    (ledger.home / "bin").mkdir()
    shim = ledger.home / "bin" / "kafka-topics"
    shim.write_text(KAFKA_TOPICS.format(python=sys.executable))
    shim.chmod(0o755)
    ledger.work()
    with Load(ledger):
        until(lambda: len(ledger.recorded) > 20)
        ledger.run(block("Partitions"), brokers=kafka, prefix=prefix)
        for number in range(40):  # chains of new recorders are dealt over all partitions
            with ledger.recorder() as recorder:
                ledger.record(recorder, 1)
            if number > 8 and any(partition >= 2 for (partition,) in ledger.rows("select partition from positions")):
                break
    until(ledger.materialized, 60)
    assert ledger.wrong() == []
    partitions = {row[0] for row in ledger.rows(READ)}
    assert max(partitions) >= 2, "nothing was dealt to the new partitions"


def test_the_release_before_runs_on_while_the_tables_of_the_next_are_made(
    ledger: Ledger, postgres: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = migrations._texts()
    *before, last = texts
    old = postgres.fresh()
    ledger.store = ledger.environment["ANSWERABLE_STORE_URL"] = old
    with monkeypatch.context() as release:
        release.setattr(migrations, "_texts", lambda: {name: texts[name] for name in before})
        migrate(old)
        ledger.work()
        with Load(ledger):
            until(lambda: len(ledger.recorded) > 20)
            assert last in ledger.run(block("With a migration"))
            with psycopg.connect(old) as connection:
                check_migrated(connection)
            ledger.rest()  # a worker of the old release that starts again on the new tables
            ledger.work()
            mark = len(ledger.recorded)
            until(lambda: len(ledger.recorded) > mark + 20)
        until(ledger.materialized)
        ledger.rest()
    ledger.work()
    until(ledger.materialized)
    assert ledger.wrong() == []
    ledger.rest()
    postgres.drop(old)


def test_the_store_is_rebuilt_while_events_flow(ledger: Ledger) -> None:
    ledger.work()
    with Load(ledger):
        until(lambda: len(ledger.recorded) > 50)
        told = ledger.run(block("Rebuilding"))
        mark = len(ledger.recorded)
        until(lambda: len(ledger.recorded) > mark + 20)
    assert "was not what the log says" not in told
    until(ledger.materialized)
    assert ledger.wrong() == []


def test_a_new_schema_comes_to_readers_first(postgres: Databases) -> None:
    """And to publishers last; the other way round it is kept, and read by the first worker that can."""
    texts = [path.read_bytes() for path in sorted(directory().glob("*.avsc"))]
    first = next(text for text in texts if b'"name": "prompt"' in text)
    added = b'{"name": "mood", "type": ["null", "string"], "default": null, "doc": "Added."},'
    second = first.replace(b'"fields": [', b'"fields": [' + added, 1)
    newer, trust = Schemas([*texts, second]), Trust().key(signer("alpha"))
    payload = {**EMPTY["prompt"], "mood": "calm"}
    for readers_first in (True, False):
        url = postgres.fresh(migrated)
        stand = Stand(url, trust.bundle, schemas=newer if readers_first else load_schemas())
        old, new = Forge(), Forge(service="new", schemas=newer)
        stand.put(old, old.seal(old.make()))
        stand.put(new, new.seal(new.make(payload=payload)))
        assert stand.findings() == ([] if readers_first else ["schema_unknown"])
        if not readers_first:
            stand.close()
            stand = Stand(url, trust.bundle, schemas=newer)
        assert (stand.findings(), stand.rejected(), stand.count("events")) == ([], [], 4)
        stand.close()
        postgres.drop(url)


def test_the_sizes_on_the_page_are_those_that_were_measured() -> None:
    measured = (ROOT / "benchmarks" / "README.md").read_text()
    (rate,) = re.findall(r"takes about ([\d,]+) events a second", PAGE)
    (seen,) = re.findall(r"one materializer.*?([\d,]{5,})/s", measured)
    assert abs(int(rate.replace(",", "")) - int(seen.replace(",", ""))) / int(seen.replace(",", "")) < 0.25


def test_every_file_that_the_page_links_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def _postgres_programs() -> list[Path]:
    from ledger.embedded.postgres import _programs

    return [_programs()]
