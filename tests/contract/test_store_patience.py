"""A network that lets nothing through and ends nothing: neither a worker nor a question hangs on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from api.store import Store
from ledger.errors import BackendError
from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.store import patience
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from tests.chaos.network import Network, through
from tests.sealing import LEDGER
from tests.seeded import bundle
from tests.services.databases import Databases

SHORT = 0.5
SOON = 10.0


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


@pytest.fixture
def database(postgres: Databases) -> Iterator[str]:
    url = postgres.fresh(migrate)
    yield url
    postgres.drop(url)


def test_a_worker_gives_up_a_connection_that_says_nothing_and_works_again_by_another(
    network: Network, database: str
) -> None:
    link, url = through(network, database)
    projection = PostgresProjection(url, load_schemas(), LEDGER, bundle(), step_seconds=SHORT)
    with closing(projection):
        projection.claim(EVENTS, "one", [0])
        link.set("half_open")
        began = time.monotonic()
        with pytest.raises(BackendError):
            projection.release(EVENTS, [0])
        assert time.monotonic() - began < SOON
        link.set("open")
        assert projection.claim(EVENTS, "one", [0])[0].next_offset == 0


def test_a_commit_that_was_cut_off_has_twice_the_time_until_one_is_done(network: Network, database: str) -> None:
    link, url = through(network, database)
    with closing(PostgresProjection(url, load_schemas(), LEDGER, bundle(), step_seconds=SHORT)) as projection:
        projection.claim(EVENTS, "one", [0])
        record = Record(EVENTS, 0, 0, 1, b"key", b"no batch")
        prepared = projection.prepare([record])
        link.set("half_open")
        with pytest.raises(BackendError):
            projection.commit(prepared)
        assert projection._patience == 2 * SHORT
        link.set("open")
        projection.claim(EVENTS, "one", [0])
        assert projection._patience == 2 * SHORT, "what came between was another step"
        projection.commit(projection.prepare([record]))
        assert projection._patience == SHORT


def test_a_question_has_an_end_though_the_store_says_nothing(network: Network, database: str) -> None:
    link, url = through(network, database)
    store = Store(url, question=SHORT)
    store.open()
    with store.connection() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    link.set("half_open")
    began = time.monotonic()
    with pytest.raises(BackendError), store.connection() as connection:
        connection.execute("select 1")
    assert time.monotonic() - began < SOON
    link.set("open")
    deadline = time.monotonic() + SOON
    while True:
        try:
            with store.connection() as connection:
                assert connection.execute("select 1").fetchone() == (1,)
            break
        except BackendError:
            assert time.monotonic() < deadline
    store.close()


def test_a_block_in_time_is_left_alone(database: str) -> None:
    with psycopg.connect(database) as connection:
        with patience.within(SHORT, connection) as bound:
            connection.execute("select 1")
            assert not bound.expired
        deadline = time.monotonic() + 3 * SHORT
        while time.monotonic() < deadline:
            assert connection.execute("select 1").fetchone() == (1,)
