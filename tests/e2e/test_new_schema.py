"""A new schema comes while events flow, as docs/operations.md says: to readers first, then workers, then publishers; and the
other way round. One service records by the old schema all the time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from consumers.health import Health
from consumers.materializer import materializer
from consumers.worker import Pace
from ledger.errors import InvalidEvent
from ledger.format.codec import Schemas
from ledger.format.kinds import Prompt
from ledger.logs.postgres import PostgresLog
from ledger.recorder.clock import SystemClock
from ledger.recorder.recorder import Recorder
from ledger.schema_files import directory, load_schemas, read_locked
from ledger.store.lineage import above_one
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from tests.recording import recorder_on
from tests.sentinel.sweeping import connected
from tests.services import Databases
from tests.services.forge import LEDGER, Trust, signer
from tests.services.memory_log import MemoryLog
from tests.services.stand import migrated
from tests.waiting import until

Work = Callable[[Event], None]
ADDED = b', {"name": "mood", "type": ["null", "string"], "default": null, "doc": "Added."}]'
ORDERS = {
    "readers first": ("reader", "worker", "publisher"),
    "the other way round": ("publisher", "worker", "reader"),
}


def newer() -> Schemas:
    """Those of the next release: it writes another prompt."""
    texts = read_locked(directory())
    first = next(text for text in texts if b'"name": "prompt"' in text)
    before, _, after = first.rpartition(b"]")
    return Schemas([*texts, before + ADDED + after])


@dataclass(frozen=True, slots=True, kw_only=True)
class Moody(Prompt):
    """The next release's prompt."""

    mood: str | None = None


class Part:
    """Something that goes on until it is ended, and has not failed."""

    def __init__(self, work: Work) -> None:
        self._work, self._stop, self._failed = work, Event(), list[BaseException]()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except BaseException as error:  # noqa: BLE001 - told by whoever ends it
            self._failed.append(error)

    def end(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self._failed == []


class Flow:
    """A ledger in one Postgres, what was recorded, and what a reader could not read."""

    def __init__(self, url: str, spools: Path) -> None:
        self._url, self._spools = url, spools
        self._bundle = Trust().key(signer("alpha")).bundle
        self.recorded: list[bytes] = []
        self.unread: list[tuple[str, ...]] = []
        self.asked = 0
        with closing(PostgresLog(url)) as log:
            log.prepare()

    def publisher(self, service: str, schemas: Schemas, stop: Event) -> None:
        old = schemas is load_schemas()
        prompt = (Prompt if old else functools.partial(Moody, mood="calm"))(trigger_kind="human", trust="trusted")
        with Recorder(
            log=lambda: PostgresLog(self._url),
            signer=signer("alpha"),
            spool=self._spools / service,
            ledger=LEDGER,
            tenant="acme",
            service=service,
            clock=SystemClock(),
            linger=0.005,
            schemas=schemas,
        ) as recorder:
            while not stop.wait(0.005):
                self.recorded.append(recorder.record(prompt).event_id)

    def worker(self, schemas: Schemas, stop: Event) -> None:
        with (
            closing(PostgresLog(self._url, session_seconds=1.5)) as log,
            closing(PostgresProjection(self._url, schemas, LEDGER, self._bundle)) as projection,
        ):
            materializer(
                log=log,
                projection=projection,
                trust=lambda: self._bundle,
                clock=SystemClock(),
                health=Health("materializer"),
                pace=Pace(poll_seconds=0.05, tend_seconds=0.2, retry_seconds=0.1),
            ).run(stop)

    def reader(self, schemas: Schemas, stop: Event) -> None:
        """Asks about the last prompt, again and again."""
        reading = Reading(schemas, LEDGER, lambda: self._bundle)
        with connected(self._url) as connection:
            while not stop.wait(0.02):
                for (event_id,) in connection.execute(_LAST).fetchall():
                    (node,) = above_one(connection, reading, "acme", event_id.bytes).nodes
                    if node.payload is None or node.findings:
                        self.unread.append(node.findings)
                self.asked += 1

    def rows(self, query: bytes, *given: Any) -> list[tuple[Any, ...]]:
        with connected(self._url) as connection:
            return connection.execute(query, given).fetchall()

    def goes_on(self) -> None:
        """Whatever is recorded within the next moments is in the store, each event once."""
        mark = len(self.recorded) + 30
        until(lambda: len(self.recorded) > mark)
        until(functools.partial(self.all_there, list(self.recorded)))

    def all_there(self, recorded: list[bytes] | None = None) -> bool:
        """Whether the store has all that was ``recorded``, by default all until now, and each event once."""
        stored = [row[0].bytes for row in self.rows(b"select event_id from events")]
        assert len(stored) == len(set(stored))
        return set(self.recorded if recorded is None else recorded) <= set(stored)


_LAST = b"""
select e.event_id from events e join names k on k.id = e.kind where k.name = 'prompt' order by e.event_id desc limit 1"""
_WRONG = b"select name from findings where closed_at is null union all select reason from rejected"
_BY_SCHEMA = b"select count(*) from events where substr(payload, 1, 10) = %s"


@pytest.fixture
def flow(postgres: Databases, tmp_path: Path) -> Iterator[Flow]:
    url = postgres.fresh(migrated)
    yield Flow(url, tmp_path)
    postgres.drop(url)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_new_schema_comes_while_events_flow_and_each_is_materialized_once_and_none_refused(
    flow: Flow, order: tuple[str, ...]
) -> None:
    old, new = load_schemas(), newer()
    makes: dict[str, Callable[[Schemas, Event], None]] = {
        "reader": flow.reader,
        "worker": flow.worker,
        "publisher": functools.partial(flow.publisher, "upgraded"),
    }
    steady = Part(functools.partial(flow.publisher, "steady", old))
    parts = {name: Part(functools.partial(make, old)) for name, make in makes.items()}
    flow.goes_on()
    for name in order:
        parts[name].end()
        parts[name] = Part(functools.partial(makes[name], new))
        flow.goes_on()
        if name == order[0] == "publisher":
            until(lambda: bool(flow.unread))
    until(lambda: flow.rows(_BY_SCHEMA, new.by_name["prompt"].frame)[0][0] > 10)
    for each in (steady, parts["publisher"]):
        each.end()
    until(flow.all_there)
    until(lambda: flow.rows(_WRONG) == [])
    unread, asked = len(flow.unread), flow.asked
    until(lambda: flow.asked > asked + 3)
    for each in (parts["reader"], parts["worker"]):
        each.end()
    assert len(flow.unread) == unread
    assert bool(unread) == (order[0] == "publisher")
    assert flow.rows(_BY_SCHEMA, old.by_name["prompt"].frame)[0][0] > 30


def test_a_release_that_does_not_write_the_newest_schema_signs_nothing_by_it(tmp_path: Path) -> None:
    log = MemoryLog(SystemClock())
    with recorder_on(log, tmp_path, schemas=newer()) as recorder:
        with pytest.raises(InvalidEvent, match="install the one that came with it"):
            recorder.prompt(trigger_kind="human", trust="trusted")
        recorder.record(Moody(trigger_kind="human", trust="trusted", mood="calm"))
    assert newer().by_name["prompt"].frame in b"".join(each.value or b"" for each in log.events)
