"""Kafka by TLS, SASL and ACLs, on a real broker: each part with the rights that the page gives it, and without them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import pytest

from consumers.contents import contents_worker
from consumers.health import Health
from consumers.materializer import materializer
from ledger import Person, open_recorder
from ledger.cli.doctor.check import Here, Topics
from ledger.cli.doctor.placement import placed
from ledger.errors import AccessDenied, BackendError, ConfigurationError
from ledger.logs import open_log
from ledger.logs.kafka_access import KafkaAccess, Mechanism
from ledger.passwords import Password
from ledger.ports import CONTENTS, EVENTS, Log
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.settings import Settings, load_settings
from ledger.signers import Ed25519Signer, create_key
from ledger.store.contents import PostgresContents
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from ledger.wiring import open_log as wired
from ledger.wiring import open_log_to_append
from tests.contract.logs import TIMEOUT, event, from_start, poll_until, wrong
from tests.recording import bundle
from tests.services import Databases
from tests.services.kafka_secure import PLAIN_PASSWORD, PLAIN_USER, SecureKafka
from tests.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
ALICE = Person(issuer="https://login.example", subject="alice", name="Alice")


class Right(NamedTuple):
    operation: str
    resource: str
    name: str


def rights_of(part: str) -> list[Right]:
    """What the page's table gives a part of the ledger."""
    table = PAGE.partition("### Who needs which right\n")[2].partition("\n#")[0]
    (row,) = (line for line in table.splitlines() if line.startswith("|") and part in line.split("|")[1])
    _, _, events, contents, group, _ = (cell.strip() for cell in row.split("|"))
    found = [Right(each, "topic", EVENTS) for each in re.findall(r"\w+", events)]
    found += [Right(each, "topic", CONTENTS) for each in re.findall(r"\w+", contents)]
    return found + [Right(operation, "group", name) for operation, name in re.findall(r"(\w+) `(\S+)`", group)]


class Desk:
    """Makes users, their rights and their logs on topics of this test's own."""

    def __init__(self, kafka: SecureKafka, prefix: str, directory: Path) -> None:
        self.kafka, self.prefix, self._directory = kafka, prefix, directory
        self.url = f"kafka://{kafka.bootstrap}/{prefix}?partitions=2&tls=1"
        self._logs: list[Log] = []
        self._count = 0

    def user(self, *rights: Right) -> str:
        self._count += 1
        name = f"{self.prefix}user-{self._count}"
        self.kafka.user(name, f"secret-of-{name}")
        self.allow(name, *rights)
        return name

    def allow(self, user: str, *rights: Right) -> None:
        for operation, resource, name in rights:
            self.kafka.allow(user, [operation], resource, self.prefix + name)

    def settings(self, user: str) -> Settings:
        password = self._directory / f"{user}.password"
        password.write_text(f"secret-of-{user}\n")
        given = {
            "data_dir": self._directory / user,
            "ledger": "test",
            "tenant": "acme",
            "log_url": self.url,
            "kafka_ca_file": self.kafka.authority.file,
            "kafka_user": user,
            "kafka_password_file": password,
        }
        return load_settings(given)

    def log(self, user: str) -> Log:
        log = wired(self.settings(user))
        self._logs.append(log)
        return log

    def prepared(self) -> None:
        self.log(self.user(*rights_of("`migrate`"))).prepare()

    def close(self) -> None:
        for log in self._logs:
            log.close()


@pytest.fixture
def desk(
    secure_kafka: SecureKafka, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    made = Desk(secure_kafka, topic_prefix, tmp_path)
    yield made
    made.close()


def test_each_part_does_its_work_with_no_more_than_the_page_gives_it(desk: Desk, postgres: Databases) -> None:
    desk.prepared()
    publisher = desk.settings(desk.user(*rights_of("a service that records")))
    key = made_key(publisher)
    url = postgres.fresh(migrate)
    with open_recorder(publisher, "agent") as recorder:
        prompt = recorder.prompt(trigger_kind="human", trust="trusted", channel="chat", text="Book", principal=ALICE)
        assert recorder.flush(TIMEOUT), recorder.health()
    reading = desk.log(desk.user(*rights_of("`materialize`")))
    keeping = desk.log(desk.user(*rights_of("`contents`")))
    trust = bundle(key)
    with (
        closing(PostgresProjection(url, load_schemas(), "test", trust)) as events,
        closing(PostgresContents(url, load_schemas())) as contents,
    ):
        health, kept = Health("materializer"), Health("contents")
        stop = Event()
        running = (
            materializer(log=reading, projection=events, trust=lambda: trust, clock=SystemClock(), health=health),
            contents_worker(log=keeping, projection=contents, clock=SystemClock(), health=kept),
        )
        workers = [Thread(target=each.run, args=[stop]) for each in running]
        for worker in workers:
            worker.start()
        until(lambda: health.snapshot.events >= 3 and kept.snapshot.records == 2)
        stop.set()
        for worker in workers:
            worker.join()
    assert prompt.event_id
    auditor = desk.log(desk.user(*rights_of("`verify`")))
    assert sum(len(list(auditor.read(t, n, 0, 99))) for t in (EVENTS, CONTENTS) for n in range(2)) >= 3
    assert sum(b.end for b in desk.log(desk.user(*rights_of("`api`"))).bounds(EVENTS).values()) >= 1
    looking = desk.log(desk.user(*rights_of("`doctor`")))
    assert wrong(looking) == []
    here = Here(settings=load_settings({}), clock=SystemClock(), bundle=None)
    assert [each.status for each in placed(Topics(here=here, log=looking, reached=None))] == ["ok"]
    assert [each.status for each in placed(Topics(here=here, log=desk.log(desk.user()), reached=None))] == ["note"]
    postgres.drop(url)


def made_key(settings: Settings) -> Ed25519Signer:
    return create_key(settings.key_path("agent"))


def subscribed(log: Log) -> object:
    with closing(log.subscribe(EVENTS, "answerable-materializer", from_start)) as subscription:
        return poll_until(subscription, 1, 5)


ACTS: dict[str, tuple[str, Callable[[Log], object]]] = {
    "append": ("Write on topic {}ledger.events", lambda log: log.append([event(0)], timeout=TIMEOUT)),
    "read": ("Read on topic {}ledger.events", lambda log: list(log.read(EVENTS, 0, 0, 1))),
    "subscribe": ("Read on group {}answerable-materializer", subscribed),
    "bounds": ("Describe on topic {}ledger.events", lambda log: log.bounds(EVENTS)),
    "identity": ("Describe on topic {}ledger.events", lambda log: log.identity(EVENTS)),
}
WRITE, READ = Right("Write", "topic", EVENTS), Right("Read", "topic", EVENTS)
DESCRIBE = Right("Describe", "topic", EVENTS)


@pytest.mark.parametrize(
    ("act", "rights"),
    [
        ("append", [DESCRIBE]),
        ("append", [READ]),
        ("append", [DESCRIBE, Right("Write", "topic", CONTENTS)]),
        ("read", [WRITE]),
        ("subscribe", [READ]),
        ("bounds", []),
        ("identity", []),
    ],
)
def test_a_right_that_is_missing_is_named_and_nothing_else_is_tried(desk: Desk, act: str, rights: list[Right]) -> None:
    desk.prepared()
    filled = desk.log(desk.user(WRITE))
    filled.append([event(0)], timeout=TIMEOUT)
    user = desk.user(*rights)
    missing, attempt = ACTS[act]
    with pytest.raises(AccessDenied) as caught:
        attempt(desk.log(user))
    assert caught.value.missing == missing.format(desk.prefix)
    assert f"--allow-principal User:{user} --operation" in str(caught.value)


def test_whoever_may_not_make_topics_is_told_so_and_whoever_may_not_look_says_so(desk: Desk) -> None:
    with pytest.raises(AccessDenied, match=f"Create on topic {desk.prefix}ledger.events"):
        desk.log(desk.user(DESCRIBE, Right("Describe", "topic", CONTENTS))).prepare()
    desk.prepared()
    reader = desk.log(desk.user(READ, Right("Read", "topic", CONTENTS)))
    assert [problem.kind for problem in wrong(reader)] == ["unseen", "unseen"]
    assert "DescribeConfigs on topic" in wrong(reader)[0].text
    stranger = desk.log(desk.user())
    assert all("Describe on topic" in problem.text for problem in stranger.problems())
    with pytest.raises(AccessDenied, match="DescribeConfigs"):
        reader.prepare()


def test_a_recorder_without_the_right_keeps_its_events_and_sends_them_when_it_has_it(desk: Desk) -> None:
    desk.prepared()
    user = desk.user(DESCRIBE, Right("Describe", "topic", CONTENTS))
    settings = desk.settings(user)
    made_key(settings)
    with open_recorder(settings, "agent") as recorder:
        recorder.prompt(trigger_kind="human", trust="trusted", channel="chat")
        until(lambda: "AccessDenied" in (recorder.health().error or ""))
        assert f"Write on topic {desk.prefix}ledger.events" in (recorder.health().error or "")
        desk.allow(user, WRITE, Right("Write", "topic", CONTENTS))
        assert recorder.flush(TIMEOUT)
        assert recorder.health().error is None


def test_a_wrong_password_is_told_from_a_broker_that_is_away(desk: Desk) -> None:
    user = desk.user()
    wrong = desk.settings(user)
    assert wrong.kafka_password_file is not None
    wrong.kafka_password_file.write_text("not-the-secret")
    told: list[str] = []

    def refused() -> bool:
        try:
            with closing(open_log_to_append(wrong)) as log:
                log.append([event(0)], timeout=1.0)
        except AccessDenied as error:
            told.append(f"{error.missing}: {error}")
        except BackendError:  # the machine is busy, and the broker did not answer in time
            return False
        return True

    until(refused, 60)
    assert told[0].startswith("authentication: ")
    assert f"the password of {user}" in told[0]
    assert "not-the-secret" not in told[0]


@pytest.mark.parametrize(
    ("url", "access", "told"),
    [
        ("kafka://{users}/p?tls=1", {}, "certificate verify failed.*ANSWERABLE_KAFKA_CA_FILE"),
        ("kafka://{users}/p", {}, r"add \?tls=1"),
        ("kafka://{certificates}/p?tls=1", {"ca_file": "authority"}, "no Kafka broker answers"),
    ],
)
def test_what_keeps_a_client_out_is_said(desk: Desk, url: str, access: dict[str, str], told: str) -> None:
    given = {"ca_file": desk.kafka.authority.file} if access else {}
    where = url.format(users=desk.kafka.bootstrap, certificates=desk.kafka.certificates)
    with closing(open_log(where, KafkaAccess(**given))) as log, pytest.raises(BackendError, match=f"(?s){told}"):
        log.append([event(0)], timeout=1.0)


def test_a_certificate_is_a_user_too_and_its_key_may_be_locked(desk: Desk) -> None:
    desk.prepared()
    pair = desk.kafka.authority.issue(f"{desk.prefix}service", password="locked")
    desk.kafka.allow(f"CN={desk.prefix}service", ["Write"], "topic", desk.prefix + EVENTS)
    given = {
        "ca_file": desk.kafka.authority.file,
        "certificate_file": pair.certificate,
        "key_file": pair.key,
        "key_password": "locked",
    }
    url = f"kafka://{desk.kafka.certificates}/{desk.prefix}?tls=1"
    with closing(open_log(url, KafkaAccess(**given))) as log:
        log.append([event(0)], timeout=TIMEOUT)
    for another in ("other", None):
        with pytest.raises(ConfigurationError, match="ANSWERABLE_KAFKA_CERT_FILE") as caught:
            open_log(url, KafkaAccess(**given | {"key_password": another}))
        assert "locked by" in str(caught.value)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_no_password_is_in_what_kafka_s_client_logs(
    desk: Desk, caplog: pytest.LogCaptureFixture, mechanism: Mechanism
) -> None:
    desk.prepared()
    user = desk.user()
    who = (user, f"secret-of-{user}") if mechanism != "PLAIN" else (PLAIN_USER, PLAIN_PASSWORD)
    desk.allow(who[0], WRITE, READ)
    access = KafkaAccess(ca_file=desk.kafka.authority.file, mechanism=mechanism, user=who[0], password=Password(who[1]))
    with caplog.at_level(logging.DEBUG), closing(open_log(desk.url, access)) as log:
        log.append([event(0)], timeout=TIMEOUT)
        list(log.read(EVENTS, 0, 0, 1))
    assert "KafkaAdminClient with configuration" in caplog.text
    assert who[1] not in caplog.text
    assert who[1] not in repr(access)
