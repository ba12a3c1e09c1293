"""The same two services from a Docker engine, for a machine that has one and lacks Java or the wheel.

Thin, and not run where this was written: no Docker engine was there.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator

from tests.services.kafka_broker import HOST, free_port
from tests.services.kafka_jars import KAFKA


def docker_answers() -> bool:
    """Whether a Docker engine answers, not only its client."""
    program = shutil.which("docker")
    if program is None:
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run([program, "info"], capture_output=True, check=False, timeout=10).returncode == 0
    return False


@contextlib.contextmanager
def kafka_container() -> Iterator[str]:
    """The bootstrap address of ``apache/kafka``."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = free_port()
    variables = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{HOST}:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_LOG_CLEANER_BACKOFF_MS": "500",
    }
    container = DockerContainer(f"apache/kafka:{KAFKA}").with_bind_ports(9092, port)
    for name, value in variables.items():
        container = container.with_env(name, value)
    with container.waiting_for(LogMessageWaitStrategy("Kafka Server started")):
        yield f"{HOST}:{port}"


@contextlib.contextmanager
def postgres_container() -> Iterator[str]:
    """The URL of ``postgres:18``."""
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer("postgres:18", driver=None) as container:
        yield container.get_connection_url()
