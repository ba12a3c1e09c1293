"""The procedures of ``docs/operations.md``: its commands, as they stand there, on real Kafka and Postgres while events flow."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from benchmarks.generate import Generator
from ledger.format.limits import EVENTS_PER_SEAL
from ledger.store import migrations
from ledger.store.digest import state_digest
from ledger.store.migrations import check_migrated, migrate
from tests.operating import Ledger, Load
from tests.services import Databases
from tests.services.postgres_secure import SecurePostgres
from tests.waiting import until

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
READ = "select partition from positions where topic = 'ledger.events' and next_offset > 0"


def block(title: str, number: int = 0) -> str:
    """A block of commands under a title of the page."""
    (section,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    found: str = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[number]
    return found


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


def test_a_store_that_wants_a_password_restored_from_an_older_backup_is_what_it_would_have_been(
    ledger: Ledger, secure_postgres: SecurePostgres
) -> None:
    (ledger.home / "safe").mkdir()
    (ledger.home / "password").write_text('it\'s "kept" $HOME\n')
    secure_postgres.admin("create role keeper login createrole password 'it''s \"kept\" $HOME'")
    secure_postgres.admin("create database kept owner keeper")
    ledger.store = secure_postgres.socket_url("postgres", "kept")
    ledger.environment["ANSWERABLE_STORE_URL"] = secure_postgres.socket_url("keeper", "kept")
    ledger.environment["ANSWERABLE_STORE_PASSWORD_FILE"] = str(ledger.home / "password")
    ledger.run("answerable migrate")
    ledger.work()
    with ledger.recorder() as recorder:
        ledger.record(recorder)
        until(ledger.materialized)
        ledger.run(block("Backup and restore", 0))
        ledger.record(recorder)
    until(ledger.materialized)
    until(lambda: ledger.rows("select count(*) from contents") == [(40,)])
    until(lambda: ledger.rows("select count(*) from chains where closed_at is null") == [(0,)])
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
    secure_postgres.admin("drop database kept with (force)")


def test_partitions_are_added_while_events_flow(ledger: Ledger, kafka: str, topic_prefix: str) -> None:
    (ledger.home / "bin").mkdir()
    shim = ledger.home / "bin" / "kafka-topics"
    shim.write_text(KAFKA_TOPICS.format(python=sys.executable))
    shim.chmod(0o755)
    ledger.work()
    with Load(ledger):
        until(lambda: len(ledger.recorded) > 20)
        ledger.run(block("Partitions"), brokers=kafka, prefix=topic_prefix)
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


SIZES = {
    "one materializer": (r"one process takes about ([\d,]+) events", r"one materializer.*? ([\d,]+)/s"),
    "its core": (r"\(([\d.]+) µs an event, and", r"one materializer.*? ([\d.]+) µs of CPU"),
    "its Postgres": (r"µs an event, and ([\d.]+) more in Postgres", r"Postgres' own ([\d.]+) µs"),
    "its least memory": (r"and (\d+) to \d+ MB", r"materializer's memory.*? MB \((\d+) –"),
    "its most memory": (r"and \d+ to (\d+) MB", r"three stores later \d+ \(\d+ – (\d+)\)"),
    "two materializers": (r"two take ([\d,]+)", r"two materializers.*? ([\d,]+)/s"),
    "a sentinel": (r"judges some ([\d,]+) events", r"one sentinel, swept and judged.*? ([\d,]+)/s"),
    "its processor": (r"\(([\d.]+) µs of CPU an event, and", r"one sentinel, swept and judged.*? ([\d.]+) µs of CPU"),
    "verify": (r"`verify` \| ([\d,]+) events a second", r"verify, as the verb does it.*? ([\d,]+)/s"),
    "verify --canonical": (r"([\d,]+) with `--canonical`", r"verify, canonical.*? ([\d,]+)/s"),
}
"""Where the page says each figure, and where the benchmarks do."""


@pytest.mark.parametrize("what", SIZES)
def test_the_sizes_on_the_page_are_those_that_were_measured(what: str) -> None:
    on_page, measured = SIZES[what]
    sizing = PAGE.partition("## Sizing")[2].partition("\n## ")[0]
    (said,) = re.findall(on_page, sizing)
    (seen,) = re.findall(rf"(?m)^\|[^\n]*?{measured}", (ROOT / "benchmarks" / "README.md").read_text())
    assert float(said.replace(",", "")) == pytest.approx(float(seen.replace(",", "")), rel=0.05)


def test_an_event_takes_as_much_of_the_log_as_the_page_says() -> None:
    (said,) = re.findall(r"about (\d+) bytes an event of the benchmark's", PAGE)
    batches = list(Generator().batches(16 * EVENTS_PER_SEAL))
    assert sum(len(each.value or b"") for each in batches) / (16 * EVENTS_PER_SEAL) == pytest.approx(
        int(said), rel=0.05
    )


def test_every_file_that_the_page_links_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
