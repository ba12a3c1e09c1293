"""A real Kafka broker (KRaft, no ZooKeeper, no Docker) that ends with the process that started it.

    with KafkaBroker(directory) as broker:
        KafkaProducer(bootstrap_servers=broker.bootstrap)

It keeps its ports and data through ``stop``, ``kill`` and ``start``. Several brokers form a cluster when they are given
the same ``voters`` and ``cluster_id``: ``launch`` all of them, then ``wait`` for each; ``cluster`` does so.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ledger.embedded.child import Child
from tests.services.kafka_jars import jars, java

READY_SECONDS = 60.0
STOP_SECONDS = 15
HOST = "127.0.0.1"
READY = b"Kafka Server started"


class Node(NamedTuple):
    """A member of the quorum, as broker and as controller."""

    node_id: int
    port: int
    controller_port: int

    @property
    def voter(self) -> str:
        return f"{self.node_id}@{HOST}:{self.controller_port}"


class KafkaBroker:
    """One broker and controller in ``directory``. ``settings`` are broker properties that override ours.

    ``format_options`` go to Kafka's storage tool, which is where a first user may come from (``--add-scram``).
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        node: Node | None = None,
        voters: Sequence[str] = (),
        cluster_id: str = "",
        settings: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
        heap: str = "512m",
    ) -> None:
        self.directory = Path(directory).absolute()
        self.node = node or Node(1, free_port(), free_port())
        self._voters = list(voters) or [self.node.voter]
        self._cluster_id = cluster_id or new_cluster_id()
        self._settings = dict(settings or {})
        self._format_options = list(format_options)
        self._heap = heap
        self._child: Child | None = None
        self._log = self.directory / "broker.log"
        self._log_start = 0

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.node.port}"

    @property
    def pid(self) -> int:
        assert self._child is not None, "the broker is not running"
        return self._child.pid

    def start(self) -> KafkaBroker:
        """Starts the broker and returns when it serves."""
        self.launch()
        self.wait()
        return self

    def launch(self) -> None:
        """Starts the broker and does not wait."""
        assert self._child is None, "the broker is running"
        properties = self.directory / "server.properties"
        if not properties.exists():
            self._format(properties)
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        self._child = Child(
            [*self._java(f"-Xmx{self._heap}"), "kafka.Kafka", str(properties)],
            log=self._log,
            stop_signal=signal.SIGTERM,
            grace=STOP_SECONDS,
        )

    def wait(self) -> None:
        """Returns when the broker serves requests."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._serves():
            if self._child is None or not self._child.running or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"Kafka did not start: {self._printed()[-3000:].decode(errors='replace')}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Controlled shutdown. Safe to call twice."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def kill(self) -> None:
        """SIGKILL; ``start`` afterwards serves the same data on the same port."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def __enter__(self) -> KafkaBroker:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _serves(self) -> bool:
        if READY not in self._printed():
            return False
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.node.port), timeout=1):
            return True
        return False

    def _printed(self) -> bytes:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()

    def _java(self, *options: str) -> list[str]:
        levels = ["defaultLogLevel=warn", "log.kafka.server.KafkaRaftServer=info", "showDateTime=true"]
        logging = [f"-Dorg.slf4j.simpleLogger.{level}" for level in levels]
        return [java(), *options, *logging, "-cp", f"{jars()}/*"]

    def _format(self, properties: Path) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = (f"{name}={value}" for name, value in (self._properties() | self._settings).items())
        fresh = properties.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n")
        command = [
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={self._cluster_id}",
            "-c",
            str(fresh),
            *self._format_options,
        ]
        done = subprocess.run(
            [*self._java("-Xmx64m"), *command, *self._format_options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage cannot be formatted: {done.stderr or done.stdout}")
        fresh.rename(properties)

    def _properties(self) -> dict[str, str]:
        copies = str(min(3, len(self._voters)))
        in_step = str(min(2, len(self._voters)))
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.node.node_id),
            "controller.quorum.voters": ",".join(self._voters),
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{HOST}:{self.node.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": in_step,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_step,
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_step,
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "log.cleaner.backoff.ms": "500",
            # A broker that was killed may come back only when its old session has run out.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }


@contextlib.contextmanager
def cluster(directory: Path, count: int) -> Iterator[list[KafkaBroker]]:
    """``count`` brokers that are one cluster."""
    nodes = [Node(number, free_port(), free_port()) for number in range(1, count + 1)]
    voters, cluster_id = [node.voter for node in nodes], new_cluster_id()
    brokers = [KafkaBroker(directory / str(n.node_id), node=n, voters=voters, cluster_id=cluster_id) for n in nodes]
    try:
        for broker in brokers:
            broker.launch()
        for broker in brokers:
            broker.wait()
        yield brokers
    finally:
        for broker in brokers:
            broker.stop()


_GIVEN: set[int] = set()


def new_cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def free_port() -> int:
    """A port below the range of outgoing connections: one that nobody takes while its owner is down for a moment.

    None twice in a process, and seldom one of another process that looks at the same time: nothing listens there yet.
    """
    for _ in range(1000):
        port = random.SystemRandom().randrange(20000 + os.getpid() % 16, 32000, 16)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port
    raise RuntimeError("no free port between 20000 and 32000")
