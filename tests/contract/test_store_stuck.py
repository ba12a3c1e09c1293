"""A worker that stopped within a transaction hinders no other: who waits says for whom, and ends a session that is stuck."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from consumers.health import Health
from consumers.running import run_opened
from ledger.errors import BackendError
from ledger.ports import EVENTS, Outgoing
from ledger.schema_files import load_schemas
from ledger.store.connect import WORKER, connect, link
from ledger.store.projection import PostgresProjection
from ledger.store.stuck import end_stuck, holders
from tests.contract.test_materializer import filled, projection, worker_of
from tests.services.forge import LEDGER, Forge, Trust, signer
from tests.services.stand import Stand
from tests.waiting import until

STUCK = 0.3


@contextmanager
def in_a_copy(url: str, *, worker: bool = True, mode: str = "row share") -> Iterator[psycopg.Copy]:
    """A session as a commit's that has sent the beginning of a COPY and nothing more."""
    connection = connect(url, worker=worker)
    try:
        connection.execute("begin")
        connection.execute(f"lock table trust in {mode} mode".encode())
        connection.execute("create temporary table rows (line text) on commit drop")
        copy = connection.cursor().copy("copy rows from stdin")
        copying = copy.__enter__()
        send(copying)
        yield copying
    finally:
        connection.close()


def waited(looks: psycopg.Connection) -> float:
    """For how many seconds the session that holds a lock has been as it is."""
    (holder,) = holders(looks)
    assert holder.seconds is not None
    return holder.seconds


def send(copying: psycopg.Copy) -> None:
    copying.write("a row\n" * 4000)
    copying.connection.pgconn.flush()


def alive(url: str, copying: psycopg.Copy) -> bool:
    with psycopg.connect(url) as connection:
        pid = copying.connection.info.backend_pid
        return connection.execute("select from pg_stat_activity where pid = %s", [pid]).fetchone() is not None


def test_a_worker_whose_bundle_is_the_stores_opens_though_another_stopped_in_a_copy(url: str, trust: Trust) -> None:
    projection(url, trust).close()
    with in_a_copy(url) as stopped:
        projection(url, trust).close()
        assert alive(url, stopped)


def test_a_worker_whose_bundle_is_longer_ends_another_that_stopped_in_a_copy(url: str, trust: Trust) -> None:
    projection(url, trust).close()
    trust.key(signer("beta"))
    health, stop = Health("materializer"), Event()
    with in_a_copy(url) as stopped:
        log = filled(Forge("beta"), 3)

        @contextmanager
        def opened() -> Iterator[Any]:
            with closing(projection(url, trust)) as to:
                yield worker_of(log, to, trust, health=health)

        thread = Thread(target=run_opened, args=(opened, health, stop, 0.1))
        thread.start()
        try:
            until(lambda: health.snapshot.records == 3, 20)
        finally:
            stop.set()
            thread.join()
        assert not alive(url, stopped)


def test_who_waits_says_for_whom_and_its_stream_goes_on_meanwhile(url: str, trust: Trust) -> None:
    log, forge, stop = filled(Forge(), 3), Forge("beta", service="b"), Event()
    with closing(PostgresProjection(url, load_schemas(), LEDGER, trust.bundle, stuck=60.0)) as to:
        worker = worker_of(log, to, trust)
        thread = Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            until(lambda: worker.health.snapshot.records == 3, 20)
            with in_a_copy(url, worker=False) as person:
                trust.key(signer("beta"))
                pid = person.connection.info.backend_pid
                until(lambda: f"process {pid} of role" in worker.health.snapshot.duties, 20)
                assert "waiting for its client" in worker.health.snapshot.duties
                log.append([Outgoing(EVENTS, 0, forge.chain_id, forge.seal(forge.make()).value)], timeout=1)
                until(lambda: worker.health.snapshot.records == 4, 20)
                assert len(to.bundle.lines) == 1
                assert alive(url, person)
            until(lambda: len(to.bundle.lines) == 2 and not worker.health.snapshot.duties, 20)
        finally:
            stop.set()
            thread.join()


def test_a_commit_that_waited_for_a_stopped_worker_is_made_the_next_time(url: str, trust: Trust) -> None:
    forge = Forge()
    sealed = forge.seal(forge.make())
    with closing(Stand(url, trust.bundle, stuck=STUCK)) as stand, in_a_copy(url, mode="exclusive"):
        with pytest.raises(BackendError, match=r"waiting for its client .* its session was ended"):
            stand.put(forge, sealed)
        stand.offsets[0] = stand.projection.claim(EVENTS, "one", [0])[0].next_offset
        assert stand.put(forge, sealed).records == 1
        assert stand.count("seals") == 1


def test_a_session_that_is_idle_within_a_transaction_is_ended_too_and_one_between_them_is_not(url: str) -> None:
    with closing(connect(url, worker=True)) as idle, closing(connect(url, worker=True)) as free:
        with closing(connect(url)) as looks:
            idle.execute("begin")
            idle.execute("lock table positions in row exclusive mode")
            assert "are waited for" in end_stuck(looks, 60)
            until(lambda: waited(looks) > 0.05, 10)
            assert re.search("idle in transaction .* was ended", end_stuck(looks, 0.05))
            until(lambda: not holders(looks), 10)
        free.execute("select")
        with pytest.raises(psycopg.OperationalError):
            idle.execute("select")


def test_a_copy_that_moves_on_is_slow_and_not_stuck(url: str) -> None:
    with in_a_copy(url) as slow, closing(connect(url)) as looks:
        moved = Event()

        def move_on() -> None:
            while not moved.wait(0.02):
                send(slow)

        thread = Thread(target=move_on)
        thread.start()
        try:
            until(lambda: waited(looks) > STUCK / 2, 10)
            assert "are waited for" in end_stuck(looks, STUCK / 2)
        finally:
            moved.set()
            thread.join()
        assert alive(url, slow)
        until(lambda: "was ended" in end_stuck(looks, STUCK), 10)


def test_another_roles_session_is_named_and_left_alone(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("drop role if exists somebody; create role somebody; grant answerable_writer to somebody")
        try:
            with in_a_copy(url) as stopped, closing(connect(url, worker=True)) as looks:
                looks.execute("set role somebody")
                until(lambda: waited(owner) > 0.05, 10)
                assert "not ours to see or to end" in end_stuck(looks, 0.05)
                assert alive(url, stopped)
        finally:
            owner.execute("drop role somebody")


def test_a_claim_that_nobody_makes_room_for_says_for_whom_it_waited(url: str, trust: Trust) -> None:
    with closing(projection(url, trust)) as to, psycopg.connect(url) as person:
        to.claim(EVENTS, "one", [0])
        person.execute("select from positions for update")
        with pytest.raises(BackendError, match=f"process {person.info.backend_pid} of role .*, idle in transaction"):
            to.claim(EVENTS, "one", [0])


def test_the_server_ends_a_workers_idle_transaction_by_itself_and_finds_that_its_host_is_gone(url: str) -> None:
    with closing(connect(url, worker=True)) as worker, closing(connect(url)) as reader:
        shown = "select current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')"
        assert worker.execute(shown).fetchone() == ("1min", WORKER)
        assert reader.execute(shown.split(",", maxsplit=1)[0]).fetchone() == ("0",)
        silence = "select current_setting('tcp_keepalives_idle'), current_setting('tcp_user_timeout')"
        on_this_machine = link(reader).host.startswith("/")
        assert reader.execute(silence).fetchone() == (("0", "0") if on_this_machine else ("30", "1min"))


def test_a_worker_that_hangs_while_it_is_opened_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.health.SLOW_SECONDS", 0.2)
    health, stop, answers = Health("materializer"), Event(), Event()

    @contextmanager
    def opened() -> Iterator[Any]:
        answers.wait()
        raise BackendError("at last")
        yield

    thread = Thread(target=run_opened, args=(opened, health, stop, 0.1))
    thread.start()
    try:
        until(lambda: health.snapshot.state == "waiting", 10)
        assert "has not answered" in health.snapshot.detail
    finally:
        stop.set()
        answers.set()
        thread.join()
