"""One prompt that thousands of events say they come from, in one run: every question about any of them is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from time import perf_counter

import psycopg
import pytest

from ledger.ask import lineage_of, who_triggered
from ledger.attribution.graph import graph_of
from ledger.attribution.subgraph import Limits
from ledger.errors import BackendError
from ledger.format.event import Cause
from ledger.ports import EVENTS
from ledger.schema_files import load_schemas
from ledger.store.downwards import FEW
from ledger.store.lineage import PostgresLineage
from ledger.store.migrations import migrate
from ledger.store.nodes import Opened, Reading, Row
from ledger.store.projection import PostgresProjection
from tests.attribution.stored import lineage, trusts
from tests.services.databases import Databases
from tests.services.forge import LEDGER, Forge, Made, Trust, blank

EFFECTS = 20_000
SECONDS = 5
TENANT = "acme"


class Crowd:
    """A prompt; events that cite it, each by its digest; and, of the same run, events and prompts that cite nothing."""

    def __init__(self, url: str) -> None:
        self.url = url
        forge = Forge()
        run = bytes(6) + b"\x40" + bytes(1) + b"\x80" + bytes(7)
        self.prompt = forge.make(execution_id=run)
        step = blank("reasoning_step") | {"status": "completed", "visibility": "withheld"}
        action = blank("api_action") | {"action_id": "x", "phase": "completed", "operation": "b", "observer": "agent"}
        because = [Cause(self.prompt.event_id, self.prompt.digest, "started_by")]
        self.effects = [forge.make("reasoning_step", step, causes=because, execution_id=run) for _ in range(EFFECTS)]
        self.others = [forge.make(execution_id=run) for _ in range(500)]
        self.last = forge.make("api_action", action, execution_id=run)
        self._store(forge, [self.prompt, *self.effects, *self.others, self.last])

    def _store(self, forge: Forge, made: list[Made]) -> None:
        migrate(self.url)
        bundle = self.bundle = Trust().key(forge.signer).bundle
        trusts(self.url, bundle)
        records = [forge.record(forge.seal(*made[at : at + 200]), offset=at) for at in range(0, len(made), 200)]
        with closing(PostgresProjection(self.url, load_schemas(), LEDGER, bundle)) as projection:
            projection.claim(EVENTS, "topic", [0])
            for at in range(0, len(records), 50):
                projection.commit(projection.prepare(records[at : at + 50]))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("analyze")


@pytest.fixture(scope="module")
def crowd(postgres: Databases) -> Crowd:
    return Crowd(postgres.fresh())


@pytest.fixture(autouse=True)
def bounded(crowd: Crowd) -> Iterator[None]:
    began = perf_counter()
    yield
    assert perf_counter() - began < SECONDS


def test_all_of_them_are_kept(crowd: Crowd) -> None:
    with psycopg.connect(crowd.url) as connection:
        counted = connection.execute("select count(*) from causes where cause = %s", [crowd.prompt.event_id.hex()])
        assert counted.fetchone() == (EFFECTS,)


def test_what_came_of_the_prompt_is_cut_and_says_so(crowd: Crowd) -> None:
    below = lineage_of(lineage(crowd.url), TENANT, crowd.prompt.event_id, "down")
    assert len(below.nodes) == below.limits.nodes
    assert below.cut
    assert graph_of(below).graph["truncated"]


def test_many_are_read_while_they_arrive_and_are_the_same_events(crowd: Crowd) -> None:
    asked = crowd.prompt.event_id
    many = lineage_of(lineage(crowd.url), TENANT, asked, "down", limits=Limits(nodes=3 * FEW))
    assert len({node.ref for node in many.nodes}) == len(many.nodes) == 3 * FEW
    assert all(node.effective and not node.findings for node in many.nodes)
    assert many.cut
    few = lineage_of(lineage(crowd.url), TENANT, asked, "down", limits=Limits(nodes=FEW))
    assert list(few.nodes) == list(many.nodes[:FEW])


def test_a_question_that_is_cancelled_while_events_arrive_gives_no_shorter_answer(crowd: Crowd) -> None:
    gone = Interrupted(load_schemas(), LEDGER, lambda: crowd.bundle)
    gone.url = crowd.url
    port = PostgresLineage(lambda: psycopg.connect(crowd.url, autocommit=True), gone, lambda: 0)
    with pytest.raises(BackendError):
        port.below(TENANT, crowd.prompt.event_id, limits=Limits(nodes=EFFECTS))


class Interrupted(Reading):
    """Cancels what any other connection to the database asks when the first row has come."""

    url: str

    def opened(self, tenant: str, rows: Iterable[Row]) -> Opened:
        arriving = iter(rows)
        first = next(arriving)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "select pg_cancel_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        return super().opened(tenant, chain([first], arriving))


def test_who_triggered_one_of_them_is_answered_in_full(crowd: Crowd) -> None:
    answer = who_triggered(lineage(crowd.url), TENANT, crowd.effects[-1].event_id)
    assert [each.event_id for each in answer.triggers] == [crowd.prompt.event_id]
    assert answer.coverage.truncated == ()


def test_who_triggered_one_that_the_run_alone_joins_to_hundreds_is_no_choice(crowd: Crowd) -> None:
    answer = who_triggered(lineage(crowd.url), TENANT, crowd.last.event_id)
    assert answer.class_ == "unattributed"
    assert "candidates" in answer.coverage.truncated
    assert len(answer.triggers) == answer.coverage.limits.candidates + 1
