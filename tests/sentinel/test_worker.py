"""The sentinel as a worker: what its metrics say while it works, when it has caught up, and while it may not go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

import psycopg
import pytest

from consumers.health import Health
from consumers.sentinel import Sentinel
from consumers.worker import Pace
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.store.criteria import adopt, criteria_of
from ledger.store.projection import PostgresProjection
from ledger.store.sentinel import PostgresSentinel
from ledger.trust.bundle import TrustBundle
from tests.attribution.scenario import read_scenario, scenario_files
from tests.attribution.stored import store, trust_of
from tests.sentinel.sweeping import connected
from tests.services.databases import Databases
from tests.services.forge import LEDGER, signer
from tests.waiting import until

WORKER = {"worker": "sentinel"}


@pytest.fixture
def told(postgres: Databases) -> Iterator[tuple[str, TrustBundle]]:
    url = postgres.fresh()
    (path,) = [each for each in scenario_files() if each.stem == "rule_revoked_token"]
    yield url, store(url, read_scenario(path.read_text(), path.stem))
    postgres.drop(url)


@contextmanager
def working(
    url: str, bundle: TrustBundle, house: HouseRules = NO_RULES, poll_seconds: float = 0.05
) -> Iterator[Health]:
    stop = Event()
    with closing(PostgresSentinel(url, load_schemas(), LEDGER, lambda: bundle, house)) as opened:
        sentinel = Sentinel(opened, SystemClock(), pace=Pace(poll_seconds=poll_seconds, retry_seconds=0.05))
        thread = Thread(target=sentinel.run, args=(stop,))
        thread.start()
        try:
            yield sentinel.health
        finally:
            stop.set()
            thread.join(20)
    assert not thread.is_alive()


def test_its_metrics_say_what_was_judged_that_nothing_waits_and_what_is_open(told: tuple[str, TrustBundle]) -> None:
    url, bundle = told
    with working(url, bundle) as health:
        value = health.registry.get_sample_value
        with connected(url) as connection:
            of_consequence = "select count(*) from events e join names k on k.id = e.kind where k.name = any(%s)"
            kinds = ["api_action", "token_issuance", "handoff", "memory"]
            ((wanted,),) = connection.execute(of_consequence, [kinds])
            until(lambda: connection.execute("select count(*) from judgements").fetchone() == (wanted,))
        until(lambda: value("answerable_worker_lag_records", WORKER) == 0)
        until(lambda: (value("answerable_worker_events_total", WORKER) or 0) >= wanted)
        assert value("answerable_worker_lag_seconds", WORKER) == 0
        assert value("answerable_worker_state", {**WORKER, "state": "running"}) == 1
    with working(url, bundle) as health:  # it counts when it begins
        value = health.registry.get_sample_value
        until(lambda: value("answerable_contradictions_open", {"severity": "critical"}) is not None)
        with connected(url) as connection:
            open_ = "select count(*) from contradictions where closed_at is null and severity = 'critical'"
            ((critical,),) = connection.execute(open_)
        assert value("answerable_contradictions_open", {"severity": "critical"}) == critical > 0
        assert value("answerable_contradictions_open", {"severity": "low"}) is not None


def test_while_another_sweeps_it_soon_looks_again_and_takes_its_part(told: tuple[str, TrustBundle]) -> None:
    url, bundle = told
    with psycopg.connect(url) as other, connected(url) as connection:
        adopt(connection, criteria_of(NO_RULES), first=True)  # as the other one has
        other.execute("select from sentinel for update")
        with working(url, bundle, poll_seconds=60.0) as health:
            until(lambda: health.snapshot.state == "running")
            assert connection.execute("select count(*) from judgements").fetchone() == (0,)
            other.rollback()
            until(lambda: connection.execute("select count(*) from judgements").fetchone() != (0,))


def test_while_another_with_other_house_rules_judges_it_waits_and_says_so_in_state_and_detail(
    told: tuple[str, TrustBundle],
) -> None:
    url, bundle = told
    with working(url, bundle) as earlier:
        until(lambda: earlier.snapshot.state == "running")
        with working(url, bundle, HouseRules(consequence=("mail:*",))) as later:
            until(lambda: earlier.snapshot.state == "waiting")
            assert "ANSWERABLE_RULES" in earlier.snapshot.detail
            assert earlier.registry.get_sample_value("answerable_worker_state", {**WORKER, "state": "waiting"}) == 1
            until(lambda: later.snapshot.state == "running")


def test_while_the_store_stands_under_another_bundle_it_waits_and_says_so_until_a_materializer_has_judged(
    told: tuple[str, TrustBundle],
) -> None:
    url, _ = told
    (path,) = [each for each in scenario_files() if each.stem == "rule_revoked_token"]
    longer = trust_of(read_scenario(path.read_text(), path.stem)).key(signer("another")).bundle
    with working(url, longer) as health:
        until(lambda: health.snapshot.state == "waiting")
        assert "another trust bundle" in health.snapshot.detail
        PostgresProjection(url, load_schemas(), LEDGER, longer).close()
        until(lambda: health.snapshot.state == "running")
