"""The stage: three brokers, a Postgres and the processes of the ledger, with a link that can be cut before each server."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import psycopg
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from ledger.embedded import EmbeddedPostgres
from ledger.errors import BackendError
from ledger.logs import open_log
from ledger.ports import EVENTS
from ledger.recorder.spool import SEALED_SEGMENT
from ledger.store.migrations import migrate
from tests.chaos.disks import Disk
from tests.chaos.network import Link, Network
from tests.chaos.task import CANNOT_START, SEGMENT_BYTES, Task, read_status
from tests.crash.tracing import ROOT
from tests.sealing import KEY, bundle_of, key_statement, signer
from tests.seeded import ACME, KINDS, OTHER
from tests.services.kafka_broker import HOST, KafkaBroker, Node, free_port, new_cluster_id

PREFIX: Final = "chaos."
BROKERS: Final = 3
STORES: Final = ("a", "b")
"""Two groups materialize the same log: ``b`` with other batches and other partitions a member."""
NEWCOMER: Final = signer("newcomer")
"""A key whose trust statement comes after its first batches."""
READY_SECONDS: Final = 60.0
SEALED_SEGMENTS: Final = 4
"""Those of sealed batches that a spool may hold, whatever waits: it seals no further ahead than it sends."""
MEMORY_MB: Final = 300
"""No process of ours may have more."""


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@dataclass(slots=True)
class Party:
    """A process that is to run. ``lives``: how often it was started; ``held``: a fault keeps it down."""

    task: Task
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0
    held: bool = False
    expected: set[int] = field(default_factory=set)
    """Exit codes that the present faults allow."""
    excused: subprocess.Popen[bytes] | None = None
    """One that may still end because of a fault that is over."""


class Stage:
    """All of it, in ``directory``. ``amiss`` collects what must not happen while it runs."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.seed = directory, seed
        self.amiss: list[str] = []
        self.counts: dict[str, int] = {}
        self.jumped: frozenset[str] = frozenset()
        """Services whose clock jumped."""
        self.server_says: frozenset[str] = frozenset()
        """What the server's health names as wrong, as of the last look."""
        self.longest_stop = 0.0
        self._stopped: dict[str, tuple[float, float | None]] = {}
        self.parties: dict[str, Party] = {}
        self.network = Network()
        for name in ("clocks", "status", "notes", "logs"):
            (directory / name).mkdir()
        self.spools = Disk(directory / "spool", 192)
        self.disks = {"postgres": Disk(directory / "postgres", 1500)}
        self.disks |= {f"kafka-{n}": Disk(directory / f"kafka-{n}", 700) for n in range(1, BROKERS + 1)}
        self.postgres = EmbeddedPostgres(self.disks["postgres"].path / "server")
        self._frozen: list[int] = []
        """Postgres' processes while they are stopped."""
        self.brokers: list[KafkaBroker] = []
        self.to_brokers: list[Link] = []
        self.between: list[Link] = []
        self.to_postgres: Link | None = None
        self.trust = [key_statement(KEY, tenants=[ACME, OTHER], kinds=KINDS)]
        self.write_trust()

    # -- servers

    def start(self) -> None:
        """Starts the servers, makes topics and databases."""
        nodes = [Node(n, free_port(), free_port()) for n in range(1, BROKERS + 1)]
        internal = [free_port() for _ in nodes]
        self.to_brokers = [self.network.link((HOST, node.port)) for node in nodes]
        self.between = [self.network.link((HOST, port)) for port in internal]
        cluster_id = new_cluster_id()
        for node, port, outside, inside in zip(nodes, internal, self.to_brokers, self.between, strict=True):
            broker = KafkaBroker(
                self.disks[f"kafka-{node.node_id}"].path / "server",
                node=node,
                voters=[each.voter for each in nodes],
                cluster_id=cluster_id,
                settings=_listeners(node, port, outside.port, inside.port),
                heap="320m",
            )
            self.brokers.append(broker)
            broker.launch()
        self.postgres.start()
        self.to_postgres = self.network.link(self._socket())
        for broker in self.brokers:
            broker.wait()
        with closing(open_log(self.log)) as log:
            self._insist(log.prepare)
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            for name in STORES:
                connection.execute(f"create database {name}".encode())
        for name in STORES:
            migrate(self.store(name))

    @property
    def log(self) -> str:
        hosts = ",".join(f"{HOST}:{link.port}" for link in self.to_brokers)
        return f"kafka://{hosts}/{PREFIX}?partitions=4&replication=3&session_seconds=6"

    def store(self, name: str) -> str:
        assert self.to_postgres is not None
        return f"postgresql://postgres@{HOST}:{self.to_postgres.port}/{name}"

    def database(self, name: str) -> str:
        """The database of a process's store."""
        return urlsplit(self.parties[name].task.store).path.removeprefix("/")

    def start_postgres(self) -> None:
        self.postgres.start()
        assert self.to_postgres is not None
        self.to_postgres.upstream = self._socket()

    def freeze_postgres(self) -> None:
        """SIGSTOP of the server and of everything that it started."""
        first = int((self.postgres.directory / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGSTOP)  # it starts no more
        self._frozen = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
        self._signal_frozen(signal.SIGSTOP)

    def thaw_postgres(self) -> None:
        self._signal_frozen(signal.SIGCONT)
        self._frozen = []

    def _signal_frozen(self, number: signal.Signals) -> None:
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _socket(self) -> str:
        where = parse_qs(urlsplit(self.postgres.url).query)["host"][0]
        return f"{where}/.s.PGSQL.5432"

    def leader(self) -> int:
        """Index of the broker that leads the first partition of events; of the first one while nobody can say."""
        described = self._ask(lambda admin: admin.describe_topics([PREFIX + EVENTS]))
        return max(0, int(described[0]["partitions"][0]["leader_id"]) - 1) if described else 0

    def add_partition(self) -> bool:
        """One more; whether the brokers did it."""

        def add(admin: KafkaAdminClient) -> bool:
            count = len(admin.describe_topics([PREFIX + EVENTS])[0]["partitions"])
            admin.create_partitions({PREFIX + EVENTS: count + 1})
            return True

        return bool(self._ask(add))

    def _ask(self, question: Callable[[KafkaAdminClient], Any]) -> Any:
        """What the brokers answer, past all links; None while they cannot: some of them may be away."""
        bootstrap = [link.upstream_host for link in self.to_brokers]
        for _ in range(3):
            try:
                with closing(KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=5000)) as admin:
                    return question(admin)
            except KafkaError:
                time.sleep(1)
        return None

    @property
    def trust_path(self) -> Path:
        return self.directory / "trust.jsonl"

    def write_trust(self) -> None:
        """The bundle as it is now, put in the place of the one before whole."""
        path = self.trust_path
        fresh = path.with_suffix(".new")
        fresh.write_bytes(bundle_of(*self.trust))
        fresh.replace(path)

    def trust_newcomer(self) -> bool:
        """Extends the bundle by the newcomer's key; whether that was new."""
        if len(self.trust) > 1:
            return False
        self.trust.append(key_statement(NEWCOMER, tenants=[ACME, OTHER], kinds=KINDS))
        self.write_trust()
        return True

    # -- processes

    def add(self, task: Task) -> None:
        self.parties[task.name] = Party(task)
        self.launch(task.name)

    def task(self, **given: Any) -> Task:
        store = given.pop("store", "a")
        return Task(directory=str(self.directory), log=self.log, store=self.store(store), seed=self.seed, **given)

    def named(self, *roles: str) -> list[str]:
        return sorted(name for name, party in self.parties.items() if party.task.role in roles)

    def launch(self, name: str, **changes: Any) -> None:
        party = self.parties[name]
        party.lives += 1
        self.count("processes started")
        party.held = False
        task = replace(party.task, **changes)
        (self.directory / "status" / name).unlink(missing_ok=True)
        with (self.directory / "logs" / f"{name}.log").open("ab") as output:
            party.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.parties", task.to_json()],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it calls the kernel and nothing else
            )

    def kill(self, name: str, *, hold: bool = False) -> None:
        """SIGKILL; started again by ``supervise``, or where held by whoever held it."""
        party = self.parties[name]
        if party.process is not None and party.process.poll() is None:
            party.process.kill()
            party.process.wait()
            self.count("processes killed")
        party.process, party.held = None, hold

    def signal(self, name: str, number: signal.Signals) -> None:
        process = self.parties[name].process
        if process is not None and process.poll() is None:
            process.send_signal(number)
        total, since = self._stopped.get(name, (0.0, None))
        if number == signal.SIGSTOP and since is None:
            self._stopped[name] = total, time.monotonic()
        elif number == signal.SIGCONT and since is not None:
            lasted = time.monotonic() - since
            if self.parties[name].task.role == "recorder":
                self.longest_stop = max(self.longest_stop, lasted)
            self._stopped[name] = total + lasted, None

    def stopped(self, name: str) -> float:
        """For how many seconds a process was stopped so far."""
        total, since = self._stopped.get(name, (0.0, None))
        return total if since is None else total + time.monotonic() - since

    def stop(self, name: str, patience: float = 90.0) -> int | None:
        """SIGTERM; the exit code, None where it had ended or did not end in time, which is amiss."""
        return self.stop_all([name], patience)[name]

    def stop_all(self, names: Sequence[str], patience: float = 90.0) -> dict[str, int | None]:
        """SIGTERM to several at once."""
        ending = {name: self.parties[name].process for name in names}
        for name, process in ending.items():
            self.parties[name].process, self.parties[name].held = None, True
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        return {name: self._ended(name, process, patience) for name, process in ending.items()}

    def _ended(self, name: str, process: subprocess.Popen[bytes] | None, patience: float) -> int | None:
        if process is None:
            return None
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.amiss.append(f"{name} did not end within {patience:g} s of SIGTERM")
            return None

    def supervise(self) -> None:
        """Starts again what has ended, and notes what ended by itself."""
        for name, party in self.parties.items():
            if party.held:
                continue
            code = None if party.process is None else party.process.poll()
            if party.process is not None and code is None:
                continue
            excused = code == CANNOT_START and party.process is party.excused
            if code is not None and not excused and code not in party.expected | {-signal.SIGKILL}:
                self.amiss.append(f"{name} ended by itself with {code}: see logs/{name}.log")
            if code != CANNOT_START or time.monotonic() % 1 < 0.3:  # not in a tight loop
                self.launch(name)

    def status(self, name: str) -> Mapping[str, Any]:
        return read_status(self.directory / "status" / name)

    def count(self, what: str, more: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + more

    def sample(self) -> None:
        """Keeps the most memory that each role was seen with, and of the disk of the spools; notes what goes beyond bounds."""
        for name, party in self.parties.items():
            memory = int(self.status(name).get("memory", 0))
            self._most(f"MB of memory, {party.task.role}", memory)
            if memory > MEMORY_MB:
                self.amiss.append(f"{name} has {memory} MB of memory")
            if party.task.role == "recorder":
                self._measure(party.task)
        if not self.spools.filled:
            self._most("MB of spools", self.spools.used >> 20)

    def _measure(self, task: Task) -> None:
        """No spool takes more of events and contents than it may, but for the segment in hand and the one made ahead."""
        most = max(
            [
                task.spool_bytes,
                *(each.task.spool_bytes for each in self.parties.values() if each.task.service == task.service),
            ]
        )
        bounds = {"events": most + 2 * SEGMENT_BYTES, "sealed": SEALED_SEGMENTS * SEALED_SEGMENT}
        for spool in task.spool.glob("*-*"):
            for journal, bound in bounds.items():
                with suppress(FileNotFoundError):  # it is in the log, and goes
                    size = sum(path.stat().st_blocks * 512 for path in spool.glob(f"{journal}-*.seg"))
                    self._most(f"KB of the largest journal of {journal}, {task.service}", size >> 10)
                    if size > bound:
                        self.amiss.append(
                            f"the {journal} in the spool {spool.name} of {task.service} take {size} bytes of {bound}"
                        )

    def _most(self, what: str, now: int) -> None:
        self.counts[what] = max(self.counts.get(what, 0), now)

    def close(self) -> None:
        for name in self.parties:
            self.signal(name, signal.SIGCONT)
            self.kill(name)
        self.network.close()
        for broker in self.brokers:
            with suppress(ProcessLookupError):
                broker.kill()
        self.thaw_postgres()  # one that is stopped does not see that its server was killed
        self.postgres.kill()
        for disk in (self.spools, *self.disks.values()):
            disk.close()

    def forget(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def _insist(attempt: Callable[[], None]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                attempt()
            except BackendError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return


def _listeners(node: Node, internal: int, outside: int, inside: int) -> dict[str, str]:
    """Others come by the links: clients by one, brokers by another."""
    listeners = (
        f"PLAINTEXT://{HOST}:{node.port},INTERNAL://{HOST}:{internal},CONTROLLER://{HOST}:{node.controller_port}"
    )
    return {
        "listeners": listeners,
        "advertised.listeners": f"PLAINTEXT://{HOST}:{outside},INTERNAL://{HOST}:{inside}",
        "inter.broker.listener.name": "INTERNAL",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "replica.lag.time.max.ms": "4000",
    }
