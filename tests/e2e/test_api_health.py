"""Health, metrics and log say what is wrong while it is wrong, and stop saying so: on a real socket, store and log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.access import Tokens
from api.app import create_app
from api.faults import ALL
from api.pulse import Tempo, Waiting
from api.store import Store
from consumers.health import STATES, Health
from ledger.attribution.house import NO_RULES
from ledger.errors import BackendError
from ledger.logs.postgres import PostgresLog
from ledger.ports import CONTENTS, EVENTS, Bounds, Log, Opened, Outgoing, Tally
from ledger.store.migrations import migrate
from ledger.trust_file import WatchedBundle
from tests import waiting
from tests.e2e.test_api import app_for, serving
from tests.sealing import KEY, LEDGER, ROOT, bundle_of, key_statement
from tests.seeded import ACME, bundle_bytes, materialize, seed
from tests.services.databases import Databases

TEMPO = Tempo(seconds=0.05, behind_seconds=0.3)
until = partial(waiting.until, seconds=20)


class Server:
    """A served store of its own, whose parts can be taken away and given back."""

    def __init__(self, postgres: Databases, url: str, directory: Path) -> None:
        self._postgres = postgres
        self.url = url
        self.log_away = False
        self.bundle = directory / "trust.jsonl"
        self.bundle.write_bytes(bundle_bytes())

    def open_log(self) -> Log:
        if self.log_away:
            raise BackendError("the log cannot be reached")
        return PostgresLog(self.url)

    @contextmanager
    def renamed(self) -> Iterator[None]:
        """The store's database is not there inside the block."""
        name = urlsplit(self.url).path[1:]
        with psycopg.connect(self._postgres.url, autocommit=True) as admin:
            admin.execute(f"alter database {name} allow_connections false".encode())
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
            try:
                yield
            finally:
                admin.execute(f"alter database {name} allow_connections true".encode())

    def wrong(self, client: httpx.Client) -> list[str]:
        return [each["name"] for each in client.get("/v1/health").json()["wrong"]]


@pytest.fixture
def server(postgres: Databases, tmp_path: Path) -> Iterator[Server]:
    url = postgres.fresh(seed)
    yield Server(postgres, url, tmp_path)
    postgres.drop(url)


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    app = create_app(
        store=Store(server.url),
        ledger=LEDGER,
        tokens=Tokens(None, ACME),
        bundle=WatchedBundle(server.bundle, ROOT.public, LEDGER),
        open_log=server.open_log,
        tempo=TEMPO,
    )
    with serving(app) as made:
        until(lambda: made.get("/v1/health").json()["lag_records"] == 0)
        yield made


def metrics(client: httpx.Client) -> dict[str, float]:
    text = client.get("/metrics").text
    return {
        f"{sample.name}{''.join(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_when_nothing_is_wrong_it_says_so(client: httpx.Client) -> None:
    body = client.get("/v1/health").raise_for_status().json()
    assert (body["status"], body["ready"], body["wrong"]) == ("ok", True, [])
    assert (body["lag_records"], body["lag_seconds"], body["bundle_judged"]) == (0, 0, "current")
    assert client.get("/v1/health/live").json() == {"status": "live"}
    assert client.get("/v1/health/ready").json() == {"status": "ready", "wrong": []}
    shown = metrics(client)
    assert {shown[f"answerable_api_fault{each.name}"] for each in ALL} == {0.0}
    assert (shown["answerable_api_ready"], shown["answerable_api_lag_records"]) == (1.0, 0.0)


def test_while_the_store_is_away_it_lives_is_not_ready_and_says_why_until_the_store_is_back(
    client: httpx.Client, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with server.renamed(), caplog.at_level(logging.WARNING, "answerable.api"):
        until(lambda: client.get("/v1/health/ready").status_code == 503)
        assert client.get("/v1/health/ready").json()["wrong"][0]["name"] == "store_away"
        assert client.get("/v1/health/live").status_code == 200
        body = client.get("/v1/health")
        assert (body.status_code, body.json()["status"]) == (503, "down")
        until(lambda: metrics(client)["answerable_api_faultstore_away"] == 1.0)
        assert metrics(client)["answerable_api_ready"] == 0.0
        until(lambda: "wrong: store_away" in caplog.text)
    until(lambda: client.get("/v1/health").json()["status"] == "ok")
    assert client.get("/v1/health/ready").status_code == 200
    until(lambda: "no longer wrong: store_away" in caplog.text)
    assert caplog.text.count(" wrong: store_away") <= 4, "told when it begins and when it ends, not at every look"


def test_a_store_without_tables_is_not_ready_until_they_are_made(database: str) -> None:
    with serving(app_for(database)) as client:
        response = client.get("/v1/health/ready")
        assert (response.status_code, response.json()["wrong"][0]["name"]) == (503, "store_not_migrated")
        assert "answerable migrate" in response.json()["wrong"][0]["remedy"]
        migrate(database)
        assert client.get("/v1/health/ready").status_code == 200


def test_while_the_log_is_away_it_answers_and_says_that_the_lag_is_not_known(
    postgres: Databases, server: Server
) -> None:
    server.log_away = True
    app = create_app(
        store=Store(server.url),
        ledger=LEDGER,
        tokens=Tokens(None, ACME),
        bundle=WatchedBundle(server.bundle, ROOT.public, LEDGER),
        open_log=server.open_log,
        tempo=TEMPO,
    )
    with serving(app) as client:
        until(lambda: server.wrong(client) == ["log_away"])
        body = client.get("/v1/health").raise_for_status().json()
        assert (body["status"], body["ready"], body["lag_records"]) == ("degraded", True, None)
        assert client.get("/v1/findings").json()["truncated"] == ["log"]
        assert "answerable_api_lag_records" not in metrics(client)
        server.log_away = False
        until(lambda: server.wrong(client) == [])
        assert client.get("/v1/findings").json()["truncated"] == []


def test_a_materializer_that_is_behind_is_told_until_it_has_caught_up(client: httpx.Client, server: Server) -> None:
    log = PostgresLog(server.url)
    log.append([Outgoing(EVENTS, 0, bytes(16), b"no batch")], timeout=10)
    until(lambda: client.get("/v1/health").json()["lag_records"] == 1)
    until(lambda: server.wrong(client) == ["materializer_behind"])
    body = client.get("/v1/health").raise_for_status().json()
    assert (body["status"], body["lag_records"]) == ("degraded", 1)
    assert body["lag_seconds"] > 0.3
    assert metrics(client)["answerable_api_faultmaterializer_behind"] == 1.0
    materialize(server.url, log)
    log.close()
    until(lambda: server.wrong(client) == [])
    assert client.get("/v1/health").json()["rejected"] == {"malformed": 1}


@pytest.mark.parametrize("data", [b"", bundle_bytes()[:-1], b"{}\n", b"\xff\n"])
def test_a_bundle_that_cannot_be_read_is_told_and_the_last_good_one_stands(
    client: httpx.Client, server: Server, data: bytes
) -> None:
    before = client.get("/v1/health").json()["bundle_digest"]
    if data:
        server.bundle.write_bytes(data)
    else:
        server.bundle.unlink()
    until(lambda: server.wrong(client) == ["bundle_unreadable"])
    body = client.get("/v1/health").raise_for_status().json()
    assert (body["bundle_digest"], body["bundle_judged"]) == (before, "current")
    server.bundle.write_bytes(bundle_bytes())
    until(lambda: server.wrong(client) == [])


def test_a_bundle_that_does_not_extend_the_stores_is_told(client: httpx.Client, server: Server) -> None:
    server.bundle.write_bytes(bundle_of(key_statement(KEY, tenants=["elsewhere"])))
    until(lambda: server.wrong(client) == ["bundle_different"])
    server.bundle.write_bytes(bundle_bytes())
    until(lambda: server.wrong(client) == [])


def test_a_sentinel_that_judges_by_other_house_rules_is_told_and_one_by_the_same_is_not(
    client: httpx.Client, server: Server
) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("update sentinel set house = sha256('other rules')")
        until(lambda: server.wrong(client) == ["rules_different"])
        until(lambda: metrics(client)["answerable_api_faultrules_different"] == 1.0)
        connection.execute("update sentinel set house = %s", [NO_RULES.digest])
    until(lambda: server.wrong(client) == [])


def test_contents_that_nobody_reads_are_told_until_they_are_read(client: httpx.Client, server: Server) -> None:
    with closing(PostgresLog(server.url)) as log:
        log.append([Outgoing(CONTENTS, 0, b"acme\0" + bytes(32), b"any")], timeout=5)
        end = log.bounds(CONTENTS)[0].end  # a person's content may stand there too
    until(lambda: server.wrong(client) == ["contents_behind"])
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            "insert into positions (topic, partition, identity, next_offset) values ('ledger.contents', 0, '', %(end)s)"
            " on conflict (topic, partition) do update set next_offset = %(end)s",
            {"end": end},
        )
    until(lambda: server.wrong(client) == [])


def test_an_erasure_that_takes_no_effect_is_told_until_it_does(client: httpx.Client, server: Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            "insert into erasures select id, '\\x01', gen_random_uuid(), '\\x02', 1, false, false from names limit 1"
        )
        until(lambda: server.wrong(client) == ["erasures_waiting"])
        until(lambda: metrics(client)["answerable_api_faulterasures_waiting"] == 1.0)
        connection.execute("update erasures set swept = true")
    until(lambda: server.wrong(client) == [])


def test_a_log_that_was_made_anew_is_told(client: httpx.Client, server: Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("update positions set identity = 'another' || identity")
        until(lambda: server.wrong(client) == ["log_replaced"])
        connection.execute("update positions set identity = substr(identity, 8)")
    until(lambda: server.wrong(client) == [])


def test_what_retention_ate_unread_is_told_and_is_a_computed_finding(client: httpx.Client, server: Server) -> None:
    log = PostgresLog(server.url)
    (part, before), *_ = log.bounds(EVENTS).items()
    log.append([Outgoing(EVENTS, part, bytes(16), b"no batch")] * 3, timeout=10)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            "update answerable_log.partitions p set first_offset = next_offset from answerable_log.topics t"
            " where t.number = p.topic and t.topic = %s and p.partition = %s",
            [EVENTS, part],
        )
    until(lambda: "records_lost" in server.wrong(client))
    (found,) = client.get("/v1/findings", params={"name": "lost_to_retention"}).json()["items"]
    assert (found["origin"], found["number"], found["until"]) == ("computed", before.end, before.end + 2)
    log.close()


def test_how_long_a_record_waits_is_told_by_the_ends_seen_before() -> None:
    waiting = Waiting()
    assert waiting.observe({0: Bounds(0, 0), 1: Bounds(0, 5)}, {1: 5}, 100.0) == 0
    assert waiting.observe({0: Bounds(0, 2), 1: Bounds(0, 5)}, {1: 5}, 105.0) == 0, "just seen"
    assert waiting.observe({0: Bounds(0, 4), 1: Bounds(0, 5)}, {1: 5}, 110.0) == 5
    assert waiting.observe({0: Bounds(0, 4), 1: Bounds(0, 5)}, {0: 2, 1: 5}, 120.0) == 10, "the later ones came at 110"
    assert waiting.observe({0: Bounds(0, 4), 1: Bounds(0, 6)}, {0: 4, 1: 5}, 130.0) == 0
    assert waiting.observe({0: Bounds(0, 4), 1: Bounds(0, 6)}, {0: 4, 1: 6}, 140.0) == 0


UNITS = ("seconds", "bytes", "records", "ratio", "info")


def conventional(text: str) -> list[str]:
    """What breaks the naming conventions of Prometheus in an exposition; and it must parse."""
    faults = []
    families = list(text_string_to_metric_families(text))
    assert families
    for family in families:
        name = family.name
        if not re.fullmatch(r"answerable_[a-z][a-z0-9_]*[a-z0-9]", name):
            faults.append(f"{name}: not in snake case under our prefix")
        if not family.documentation or family.documentation.endswith("."):
            faults.append(f"{name}: no help")
        if re.search(r"milli|micro|minutes|hours|kilo|mega|percent|_ms\b|_us\b|_kb\b", name):
            faults.append(f"{name}: not in base units")
        if family.type in ("gauge", "histogram") and name.endswith(("_total", "_count", "_sum", "_bucket")):
            faults.append(f"{name}: a {family.type} with the suffix of another type")
        if family.type == "histogram" and not name.endswith(UNITS):
            faults.append(f"{name}: a histogram without its unit")
        if family.type == "counter":
            faults += [
                f"{each.name}: a counter without _total"
                for each in family.samples
                if not each.name.endswith(("_total", "_created"))
            ]
        faults += [
            f"{name}: label {label}"
            for each in family.samples
            for label in each.labels
            if not re.fullmatch(r"[a-z][a-z_]*", label) and label != "le"
        ]
    return faults


def test_every_metric_of_the_server_is_named_by_the_conventions(client: httpx.Client) -> None:
    client.get("/v1/chains")
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert conventional(response.text) == []
    families = text_string_to_metric_families(response.text)
    names = {family.name for family in families if not family.name.endswith("_created")}  # the client library's own
    assert names == {
        "answerable_api_fault",
        "answerable_api_lag_records",
        "answerable_api_lag_seconds",
        "answerable_api_ready",
        "answerable_api_workers_replaced",
        "answerable_http_request_duration_seconds",
        "answerable_http_requests",
    }


@pytest.mark.parametrize("worker", ["materializer", "contents"])
def test_every_metric_of_a_worker_is_named_by_the_conventions(worker: str) -> None:
    registry = CollectorRegistry()
    health = Health(worker, registry)
    health.done(Tally(3, 9, 1, {"malformed": 1}, opened=[Opened("gap", 0, 0)]), 0)
    health.lag(4, 1.5)
    health.failed("the store is away")
    text = generate_latest(registry).decode()
    assert conventional(text) == []
    states = {
        sample.labels["state"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name == "answerable_worker_state"
    }
    assert states == {each.replace(" ", "_"): float(each == "waiting") for each in STATES}


@pytest.mark.parametrize(
    "text",
    [
        "# HELP answerable_x_ms Time\n# TYPE answerable_x_ms gauge\nanswerable_x_ms 1\n",
        "# HELP answerable_x Time\n# TYPE answerable_x histogram\nanswerable_x_count 1\nanswerable_x_sum 1\n",
        "# HELP requests Requests\n# TYPE requests gauge\nrequests 1\n",
        "# HELP answerable_x_total X\n# TYPE answerable_x_total gauge\nanswerable_x_total 1\n",
    ],
)
def test_a_badly_named_metric_is_seen(text: str) -> None:
    assert conventional(text)
