from __future__ import annotations

import psycopg
from kafka import KafkaAdminClient

from tests.services import Databases


def test_each_database_is_a_copy_of_what_was_prepared_once(postgres: Databases) -> None:
    calls = []

    def prepare(url: str) -> None:
        calls.append(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE prepared (n int)")

    urls = [postgres.fresh(prepare), postgres.fresh(prepare)]
    assert len(calls) == 1
    for url in urls:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM prepared").fetchone() == (0,)
        postgres.drop(url)


def test_the_broker_answers(kafka: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    assert len(admin.describe_cluster()["brokers"]) == 1
    admin.close()
