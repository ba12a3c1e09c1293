"""The materializer over a real store: it resumes, stops clean, sets aside what kills it, and asks where the log lost records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from threading import Event, Thread

import psycopg
import pytest

from consumers.health import Health
from consumers.materializer import materializer
from consumers.running import run_opened
from consumers.worker import Pace, Worker
from ledger.errors import BackendError, ConfigurationError, PositionLost
from ledger.ports import EVENTS, Bounds, Outgoing, Record, Subscription, Tally
from ledger.schema_files import load_schemas
from ledger.store.connect import translated
from ledger.store.digest import state_digest
from ledger.store.migrations import migrate
from ledger.store.projection import Flush, PostgresProjection
from ledger.store.rebuild import rebuild
from tests.chaos.network import Mode, Network, through
from tests.services.forge import LEDGER, START, Forge, Trust, signer
from tests.services.memory_log import MemoryLog
from tests.waiting import until

WORKER = {"worker": "materializer"}
PACE = Pace(poll_records=4, poll_seconds=0.02, tend_seconds=0.1, retry_seconds=0.02)


class At:
    """A clock that stands."""

    def now(self) -> int:
        return START + 60_000


class Follow:
    """The subscription of a group's only member."""

    def __init__(self, log: OneMember, topic: str, assigned: Callable[[Sequence[int]], Mapping[int, int]]) -> None:
        self._log, self._topic, self._assigned = log, topic, assigned
        self._offsets: dict[int, int] | None = None

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        if self._offsets is None:
            self._offsets = dict(self._assigned(range(self._log.partitions(self._topic))))
        found: list[Record] = []
        for partition, offset in self._offsets.items():
            found += list(self._log.read(self._topic, partition, offset, offset + max_records))
        for record in found:
            self._offsets[record.partition] = record.offset + 1
        if not found:
            Event().wait(timeout)
        return found

    def assignment(self) -> frozenset[int]:
        return frozenset(self._offsets or ())

    def seek(self, partition: int, offset: int) -> None:
        if self._offsets is not None:
            self._offsets[partition] = offset

    def close(self) -> None:
        self._offsets = None


class OneMember(MemoryLog):
    """A log in memory that one member can follow; every one made is another topic. Retention took what is before ``first``."""

    first = 0

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        return {number: Bounds(self.first, each.end) for number, each in super().bounds(topic).items()}

    def identity(self, topic: str) -> str:
        return f"{topic}/{id(self)}"

    def subscribe(
        self,
        topic: str,
        group: str,  # noqa: ARG002 - one member, whatever the group
        assigned: Callable[[Sequence[int]], Mapping[int, int]],
    ) -> Subscription:
        return Follow(self, topic, assigned)


def projection(url: str, trust: Trust) -> PostgresProjection:
    return PostgresProjection(url, load_schemas(), LEDGER, trust.bundle, stuck=0.3)


def filled(forge: Forge, batches: int) -> OneMember:
    log = OneMember(At(), partitions=1)
    for _ in range(batches):
        log.append([Outgoing(EVENTS, 0, forge.chain_id, forge.seal(forge.make()).value)], timeout=1)
    return log


def run_until(worker: Worker[Flush], done: Callable[[], bool]) -> None:
    """Runs a worker until ``done``, then stops it and waits for its end."""
    stop = Event()
    raised: list[BaseException] = []

    def target() -> None:
        try:
            worker.run(stop)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    thread = Thread(target=target)
    thread.start()
    deadline = time.monotonic() + 60
    try:
        while not done() and thread.is_alive():
            assert time.monotonic() < deadline, worker.health.snapshot
            thread.join(0.01)
    finally:
        stop.set()
        thread.join()
    if raised:
        raise raised[0]


def worker_of(
    log: MemoryLog, to: PostgresProjection, trust: Trust, *, accept: bool = False, health: Health | None = None
) -> Worker[Flush]:
    return materializer(
        log=log, projection=to, trust=lambda: trust.bundle, clock=At(), pace=PACE, accept=accept, health=health
    )


def test_what_was_committed_is_not_read_again_after_a_stop(url: str, trust: Trust) -> None:
    forge = Forge()
    log, to = filled(forge, 10), projection(url, trust)
    first = worker_of(log, to, trust)
    run_until(first, lambda: first.health.snapshot.records == 10)
    log.append([Outgoing(EVENTS, 0, forge.chain_id, forge.seal(forge.make()).value)], timeout=1)
    second = worker_of(log, to, trust)
    run_until(second, lambda: second.health.snapshot.records == 1)
    assert (second.health.snapshot.events, second.health.snapshot.state) == (1, "stopped")
    assert state_digest(url).rows["seals"] == 11
    to.close()


class _Fragile(PostgresProjection):
    """Fails on one record as if it were poison."""

    poison = -1
    when = "prepared"

    def prepare(self, records: Sequence[Record]) -> Flush:
        if self.when == "prepared":
            self._taste(records)
        return super().prepare(records)

    def commit(self, prepared: Flush) -> Tally:
        self._taste(prepared.records)
        return super().commit(prepared)

    def _taste(self, records: Sequence[Record]) -> None:
        if any(record.offset == self.poison for record in records):
            raise RecursionError("poison")


@pytest.mark.parametrize("when", ["prepared", "committed"])
def test_a_record_that_ends_two_attempts_is_set_aside_and_the_stream_goes_on(url: str, trust: Trust, when: str) -> None:
    log = filled(Forge(), 9)
    to = _Fragile(url, load_schemas(), LEDGER, trust.bundle, stuck=0.3)
    to.poison, to.when = 5, when
    worker = worker_of(log, to, trust)
    run_until(worker, lambda: worker.health.snapshot.records == 8)
    assert worker.health.snapshot.quarantined == 1
    assert state_digest(url).rows["quarantine"] == 1
    assert state_digest(url).rows["seals"] == 8
    to.close()


class _StoreGoes(_Fragile):
    """Its store goes away, again and again, whenever one record is committed, and cannot be told anything then."""

    away = 0

    def commit(self, prepared: Flush) -> Tally:
        if self.away and any(record.offset == self.poison for record in prepared.records):
            self.away -= 1
            self._commits.close()
            raise BackendError("the store went away")
        return super(_Fragile, self).commit(prepared)

    def prepare(self, records: Sequence[Record]) -> Flush:
        return super(_Fragile, self).prepare(records)


def test_a_record_that_was_worked_on_while_the_store_went_away_is_innocent(url: str, trust: Trust) -> None:
    log = filled(Forge(), 4)
    to = _StoreGoes(url, load_schemas(), LEDGER, trust.bundle, stuck=0.3)
    to.poison, to.away = 1, 5
    worker = worker_of(log, to, trust)
    run_until(worker, lambda: worker.health.snapshot.records == 4)
    assert (worker.health.snapshot.quarantined, state_digest(url).rows["quarantine"]) == (0, 0)
    to.close()


def test_an_attempt_from_before_the_servers_start_is_not_counted(url: str, trust: Trust) -> None:
    to = projection(url, trust)
    record = Record(EVENTS, 0, 7, 0, b"key", b"value")
    assert [to.attempt(record) for _ in range(3)] == [1, 2, 3]
    with psycopg.connect(url) as connection:
        connection.execute("update quarantine set attempted_at = pg_postmaster_start_time() - interval '1 s'")
    assert to.attempt(record) == 1
    to.close()


class _TooLarge(_Fragile):
    """What Postgres itself says of a value that is beyond its limits."""

    def _taste(self, records: Sequence[Record]) -> None:
        if any(record.offset == self.poison for record in records):
            with translated():
                self._looks.execute("select repeat('x', 2000000000)")


def test_a_record_beyond_the_limits_of_the_store_is_set_aside_too(url: str, trust: Trust) -> None:
    log = filled(Forge(), 4)
    to = _TooLarge(url, load_schemas(), LEDGER, trust.bundle, stuck=0.3)
    to.poison = 1
    worker = worker_of(log, to, trust)
    run_until(worker, lambda: worker.health.snapshot.records == 3)
    assert worker.health.snapshot.quarantined == 1
    to.close()


def test_a_store_whose_rights_or_tables_are_wrong_costs_no_record(url: str, trust: Trust) -> None:
    log, to = filled(Forge(), 3), projection(url, trust)
    worker = worker_of(log, to, trust)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter table seals rename to hidden")

        wrong = True

        def mended() -> bool:
            nonlocal wrong
            failures = worker.health.registry.get_sample_value("answerable_worker_failures_total", WORKER) or 0
            if wrong and failures > 3:
                assert "UndefinedTable" in worker.health.snapshot.detail
                connection.execute("alter table hidden rename to seals")
                wrong = False
            return worker.health.snapshot.records == 3

        run_until(worker, mended)
    assert worker.health.snapshot.quarantined == 0
    assert state_digest(url).rows["seals"] == 3
    to.close()


def test_a_duty_that_fails_is_told_and_does_not_stop_the_stream(url: str, trust: Trust) -> None:
    log, to = filled(Forge(), 3), projection(url, trust)
    failing = True

    def tend() -> None:
        if failing:
            raise RecursionError("a statement nobody can sweep")

    health = Health("contents")
    worker = Worker(topic=EVENTS, group="g", log=log, projection=to, clock=At(), health=health, tend=tend, pace=PACE)

    def done() -> bool:
        nonlocal failing
        if health.snapshot.records == 3 and health.snapshot.duties:
            assert (health.snapshot.state, health.snapshot.duties) == ("running", "RecursionError")
            assert health.registry.get_sample_value("answerable_worker_duties_failing", {"worker": "contents"}) == 1
            failing = False
        return not failing and not health.snapshot.duties

    run_until(worker, done)
    assert health.registry.get_sample_value("answerable_worker_duties_failing", {"worker": "contents"}) == 0
    to.close()


@pytest.mark.parametrize("silence", ["cut", "half_open"])
def test_a_worker_that_has_nothing_to_do_says_within_seconds_that_its_store_is_away(
    url: str, trust: Trust, silence: Mode
) -> None:
    network = Network()
    link, by_link = through(network, url)
    to = PostgresProjection(by_link, load_schemas(), LEDGER, trust.bundle, step_seconds=1.0)
    worker = worker_of(OneMember(At(), partitions=1), to, trust)
    stop = Event()
    thread = Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        for mode, state in (("open", "running"), (silence, "waiting"), ("open", "running")):
            link.set(mode)
            until(lambda: worker.health.snapshot.state == state, 20)  # noqa: B023 - called at once
    finally:
        link.set("open")
        stop.set()
        thread.join()
        to.close()
        network.close()


class _Silent(Follow):
    """Joins its group for as long as brokers are silent."""

    answers = Event()

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        self.answers.wait()
        return super().poll(max_records, timeout)


def test_a_worker_that_hangs_in_its_log_says_so_while_it_does(
    url: str, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.health.SLOW_SECONDS", 0.5)
    monkeypatch.setattr("tests.contract.test_materializer.Follow", _Silent)
    monkeypatch.setattr(_Silent, "answers", answers := Event())
    answers.set()
    to, log = projection(url, trust), filled(Forge(), 3)
    worker, stop = worker_of(log, to, trust), Event()
    thread = Thread(target=worker.run, args=(stop,))
    thread.start()

    def state() -> float | None:
        waiting = {**WORKER, "state": "waiting"}
        return worker.health.registry.get_sample_value("answerable_worker_state", waiting)

    try:
        until(lambda: worker.health.snapshot.state == "running")
        answers.clear()
        until(lambda: worker.health.snapshot.state == "waiting")
        assert "has not answered" in worker.health.snapshot.detail
        assert state() == 1
        answers.set()
        until(lambda: worker.health.snapshot.state == "running")
        assert (worker.health.snapshot.detail, state()) == ("", 0)
    finally:
        answers.set()
        stop.set()
        thread.join()
        to.close()


class _Unexpected(OneMember):
    """Fails in a way that no adapter should."""

    left = 3

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        if self.left:
            self.left -= 1
            raise ZeroDivisionError("nobody thought of it")
        return super().bounds(topic)


def test_whatever_else_fails_is_told_and_tried_again(url: str, trust: Trust) -> None:
    forge, to = Forge(), projection(url, trust)
    log = _Unexpected(At(), partitions=1)
    log.left = 0
    log.append([Outgoing(EVENTS, 0, forge.chain_id, forge.seal(forge.make()).value)], timeout=1)
    log.left = 3
    worker = worker_of(log, to, trust)
    told: set[str] = set()

    def done() -> bool:
        told.add(worker.health.snapshot.detail)
        return worker.health.snapshot.records == 1

    run_until(worker, done)
    assert "ZeroDivisionError" in told
    assert worker.health.snapshot.detail == ""
    to.close()


def test_a_worker_is_opened_as_soon_as_its_store_is_there(url: str, trust: Trust) -> None:
    log, health, stop = filled(Forge(), 3), Health("materializer"), Event()
    tried = 0

    @contextmanager
    def opened() -> Iterator[Worker[Flush]]:
        nonlocal tried
        tried += 1
        where = url if tried > 3 else "postgresql://127.0.0.1:1/nothing?connect_timeout=2"
        with closing(projection(where, trust)) as to:
            yield materializer(log=log, projection=to, trust=lambda: trust.bundle, clock=At(), health=health, pace=PACE)

    thread = Thread(target=run_opened, args=(opened, health, stop, 0.05))
    thread.start()
    seen: set[tuple[str, bool]] = set()
    deadline = time.monotonic() + 60
    while health.snapshot.records < 3 and thread.is_alive() and time.monotonic() < deadline:
        now = health.snapshot
        seen.add((now.state, "cannot be reached" in now.detail))
        thread.join(0.01)
    stop.set()
    thread.join()
    assert seen >= {("waiting", True)}
    assert ("waiting", False) not in seen
    assert (tried, health.snapshot.state) == (4, "stopped")


def test_a_mistake_in_the_configuration_ends_it_at_once(trust: Trust) -> None:
    health, stop = Health("materializer"), Event()

    @contextmanager
    def opened() -> Iterator[Worker[Flush]]:
        with closing(projection("postgresql://127.0.0.1/ledger?no_such_option=1", trust)):
            yield pytest.fail("it was opened")

    with pytest.raises(ConfigurationError, match="STORE_URL"):
        run_opened(opened, health, stop)
    assert health.snapshot.state == "decision needed"


def test_a_log_made_anew_stops_the_worker_until_a_person_accepts_it(url: str, trust: Trust) -> None:
    to = projection(url, trust)
    first = worker_of(filled(Forge(), 5), to, trust)
    run_until(first, lambda: first.health.snapshot.records == 5)
    other = Forge(name="alpha", service="another")
    anew = filled(other, 7)
    with pytest.raises(PositionLost, match="accept"):
        run_until(worker_of(anew, to, trust), lambda: False)
    accepting = worker_of(anew, to, trust, accept=True)
    run_until(accepting, lambda: accepting.health.snapshot.records == 7)
    assert state_digest(url).rows["seals"] == 12
    to.close()


def _retention(log: OneMember) -> None:
    log.first = 7


def _lose_the_end(log: OneMember) -> None:
    del log.records[3:]


def _replace_the_last_read(log: OneMember) -> None:
    log.records[4] = log.records[4]._replace(value=b"another")


@pytest.mark.parametrize(
    ("harm", "said", "lost", "goes_on"),
    [
        (_retention, "retention ate records 5 to 6", (5, 6), 7),
        (_lose_the_end, "the log ends at 3, before position 5", (5, 5), 3),
        (_replace_the_last_read, "record 4 is not the one that was read", (5, 5), 0),
    ],
)
def test_a_log_that_lost_records_stops_the_worker_until_a_person_accepts_it(
    url: str, trust: Trust, harm: Callable[[OneMember], None], said: str, lost: tuple[int, int], goes_on: int
) -> None:
    with closing(projection(url, trust)) as to:
        forge = Forge()
        log = filled(forge, 5)
        first = worker_of(log, to, trust)
        run_until(first, lambda: first.health.snapshot.records == 5)
        log.records += filled(forge, 9).records[5:]
        harm(log)
        with pytest.raises(PositionLost, match=rf"{said}; .* go on at {goes_on} with --accept-loss"):
            run_until(worker_of(log, to, trust), lambda: False)
        accepting = worker_of(log, to, trust, accept=True)
        left = log.bounds(EVENTS)[0].end - goes_on
        run_until(
            accepting, lambda: accepting.health.snapshot.records == left and bool(accepting.health.snapshot.partitions)
        )
        with psycopg.connect(url) as connection:
            found = connection.execute("select name, number, until, detail from findings").fetchall()
            assert ("lost_to_retention", *lost, f"ledger.events/0: {said}") in found
            position = connection.execute("select next_offset from positions").fetchone()
            assert position == (log.bounds(EVENTS)[0].end,)


def test_a_bundle_that_grows_while_it_runs_is_adopted(url: str, trust: Trust) -> None:
    to = projection(url, trust)
    log = filled(Forge(name="beta"), 3)
    worker = worker_of(log, to, trust)
    run_until(worker, lambda: worker.health.snapshot.records == 3)
    assert state_digest(url).rows["rejected"] == 3
    trust.key(signer("beta"))
    again = worker_of(log, to, trust)
    run_until(again, lambda: len(to.bundle.lines) == 2)
    assert (state_digest(url).rows["rejected"], state_digest(url).rows["seals"]) == (0, 3)
    to.close()


def test_a_store_rebuilt_from_the_log_has_the_same_digest_and_its_worker_goes_on(database: str, trust: Trust) -> None:
    migrate(database)
    forge = Forge()
    log, to = filled(forge, 6), projection(database, trust)
    log.append([Outgoing(EVENTS, 0, forge.chain_id, b"junk")], timeout=1)
    worker = worker_of(log, to, trust)
    run_until(worker, lambda: worker.health.snapshot.records == 7)
    before = state_digest(database)
    assert rebuild(database, [log], load_schemas(), LEDGER, trust.bundle).digest == before.digest
    assert state_digest(database) == before
    log.append([Outgoing(EVENTS, 0, forge.chain_id, forge.seal(forge.make()).value)], timeout=1)
    again = worker_of(log, to, trust)
    run_until(again, lambda: again.health.snapshot.records == 1)
    assert state_digest(database).rows["seals"] == 7
    to.close()
