"""A materializer that is stopped in the middle of a COPY, while another takes over, and wakes as a zombie."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg

from ledger.logs.postgres import PostgresLog
from ledger.ports import EVENTS, Outgoing
from ledger.schema_files import load_schemas
from ledger.store.digest import state_digest
from ledger.store.rebuild import rebuild
from tests.materializing import SESSION_SECONDS, STUCK_SECONDS
from tests.services.databases import Databases
from tests.services.forge import LEDGER, Forge, Trust, signer
from tests.services.stand import migrated
from tests.waiting import until

KEY, PARTITIONS, START_SECONDS = "alpha", 2, 10.0
_COPIES = "select pid from pg_stat_activity where wait_event_type = 'Lock' and query ilike 'copy events%%'"
_READS = (
    "select a.wait_event from pg_stat_progress_copy c join pg_stat_activity a using (pid)"
    " where c.pid = %s and c.relid = 'events'::regclass"
)


@contextmanager
def process(store: str, log: str, lines: Path) -> Iterator[subprocess.Popen[bytes]]:
    with lines.open("wb") as output:
        begun = subprocess.Popen([sys.executable, "-m", "tests.materializing", store, log, KEY], stderr=output)
        try:
            yield begun
        finally:
            begun.kill()
            begun.wait()


def sealed(log: PostgresLog, forges: list[Forge], batches: int) -> None:
    """A batch of a hundred events in turn of each forge, which has a partition of its own."""
    for number in range(batches):
        which = number % len(forges)
        forge = forges[which]
        made = forge.seal(*(forge.make() for _ in range(100)))
        log.append([Outgoing(EVENTS, which, forge.chain_id, made.value)], timeout=10)


def stop_in_a_copy(store: str, materializer: subprocess.Popen[bytes], begin: psycopg.Connection) -> None:
    """Stops it when it has asked for a COPY into events, which then waits for what it will not send."""
    with psycopg.connect(store, autocommit=True) as looks:
        until(lambda: looks.execute(_COPIES.encode()).fetchone() is not None, 30)
        found = looks.execute(_COPIES.encode()).fetchone()
        assert found is not None
        materializer.send_signal(signal.SIGSTOP)
        begin.rollback()
        until(lambda: looks.execute(_READS, found).fetchone() == ("ClientRead",), 10)


def test_one_that_stops_in_the_middle_of_a_copy_is_taken_over_from_in_time_and_fenced_when_it_wakes(
    postgres: Databases, tmp_path: Path
) -> None:
    store, url = postgres.fresh(migrated), postgres.fresh()
    forges = [Forge(KEY, service=f"service-{number}") for number in range(PARTITIONS)]
    with ExitStack() as stack:
        log = stack.enter_context(closing(PostgresLog(url, partitions=PARTITIONS)))
        log.prepare()
        sealed(log, forges, 20)
        counts = stack.enter_context(psycopg.connect(store, autocommit=True))
        begin = stack.enter_context(psycopg.connect(store))
        begin.execute("lock table events in share mode")
        first = stack.enter_context(process(store, url, tmp_path / "first"))
        stop_in_a_copy(store, first, begin)

        began = time.monotonic()
        second = stack.enter_context(process(store, url, tmp_path / "second"))
        until(lambda: counts.execute("select count(*) from seals").fetchone() == (20,), 60)
        assert time.monotonic() - began < SESSION_SECONDS + 2 * STUCK_SECONDS + START_SECONDS

        first.send_signal(signal.SIGCONT)
        until(lambda: b"the store failed" in (tmp_path / "first").read_bytes(), 30)
        sealed(log, forges, 4)
        until(lambda: counts.execute("select count(*) from seals").fetchone() == (24,), 60)
        for each in (first, second):
            each.terminate()
            assert each.wait(30) == 0

        events = counts.execute("select count(*), count(distinct event_id) from events").fetchone()
        assert events == (2400 + PARTITIONS, 2400 + PARTITIONS)
        assert counts.execute("select count(*) from sightings").fetchone() == (0,)
        assert counts.execute("select count(*) from quarantine").fetchone() == (0,)
        bundle = Trust().key(signer(KEY)).bundle
        assert rebuild(store, [log], load_schemas(), LEDGER, bundle, swap=False) == state_digest(store)
    for each in (store, url):
        postgres.drop(each)
