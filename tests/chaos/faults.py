"""The faults: each begins, lasts as long as the schedule says, and is healed. ``takes`` names what two faults may not share.

A fault is a generator that yields once, while it lasts: a ``Trouble``, which says what was done and what somebody must say of
it meanwhile, or nothing where it cannot be done here.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from struct import Struct
from typing import Final, NamedTuple

import psycopg

from ledger.ports import EVENTS
from ledger.recorder.journal import FRAME, HEAD, MAGIC
from tests.chaos.network import MODES, Link
from tests.chaos.stage import Stage
from tests.chaos.task import CANNOT_START, CLOCKED, WORKERS
from tests.crash.tracing import ROOT, Place

DAY: Final = 86_400
_FRAME: Final = Struct("<IIQ")
_COPY_SECONDS: Final = 5.0
"""How long a COPY is waited for."""
_RECORDER: Final = (
    "acknowledgements", "adoption", "chains", "contents", "context", "encoding", "frames", "health", "inventory", "journal",
    "linking", "losses", "outlet", "process", "recorder", "sender", "spool", "syncer", "troubles",
)  # fmt: skip
_STORE: Final = (
    "chains", "connect", "copies", "dated", "decoded", "erasures", "findings", "kept", "met", "names", "owner", "partitions",
    "patience", "persons", "placement", "positions", "projection", "rows", "seals", "sighted", "standing",
)  # fmt: skip
_CONTENTS: Final = ("connect", "contents", "copies", "erasures", "findings", "names", "owner", "patience", "positions")
_SENTINEL: Final = ("criteria", "judging", "lineage", "nodes", "sentinel", "sweeping")


def _of(role: str, modules: Sequence[str]) -> list[str]:
    shared = [f"consumers/{name}.py" for name in (role, "health", "running", "worker")]
    return [*shared, *(f"ledger/store/{name}.py" for name in modules)]


_FILES: Final[dict[str, list[str]]] = {
    "recorder": [f"ledger/recorder/{name}.py" for name in _RECORDER],
    "materializer": _of("materializer", _STORE),
    "contents": _of("contents", _CONTENTS),
    "sentinel": _of("sentinel", _SENTINEL),
}
"""By role, where a process dies: in what it does under this load."""


class Trouble(NamedTuple):
    """What was done. ``concerned`` are the processes that must say meanwhile what is wrong, ``saying`` those that do now."""

    what: str
    concerned: frozenset[str] = frozenset()
    saying: Callable[[], frozenset[str]] = frozenset


Body = Callable[[Stage, Random], Iterator[Trouble]]


class Fault(NamedTuple):
    """``seconds``: least and most. ``takes``: parts of the stage that no other fault may touch meanwhile.

    ``disk``: it needs disks of its own. ``long``: played only where it is named, for it would be most of a run.
    """

    name: str
    body: Body
    takes: frozenset[str]
    seconds: tuple[float, float]
    disk: bool = False
    long: bool = False


FAULTS: Final[dict[str, Fault]] = {}


def fault(
    name: str, *takes: str, seconds: tuple[float, float] = (1, 4), disk: bool = False, long: bool = False
) -> Callable[[Body], Body]:
    def register(body: Body) -> Body:
        FAULTS[name] = Fault(name, body, frozenset(takes), seconds, disk, long)
        return body

    return register


@fault("nothing", "everything", seconds=(2, 4), long=True)
def _nothing(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """For a run without any fault, of which nothing at all may be found."""
    yield Trouble("nothing is done")


# -- processes


@fault("kill", "process", seconds=(0.2, 2))
def _kill(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """Any process of ours dies, and is started again at once."""
    name = chance.choice(sorted(stage.parties))
    stage.kill(name)
    yield Trouble(f"SIGKILL of {name}")


@fault("kill at a line", "process", seconds=(4, 8))
def _kill_at_line(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """A process is started again so that it dies at a line of the product; one that never comes there goes on."""
    name = chance.choice(stage.named("recorder", *WORKERS))
    file = chance.choice(_FILES[stage.parties[name].task.role])
    place = Place(file, chance.choice(executable_lines(file)), chance.randint(1, 12))
    stage.kill(name, hold=True)
    stage.launch(name, place=tuple(place))
    yield Trouble(f"{name} dies at {place}")
    stage.kill(name)  # without the tracing, which is slow


@fault("stop", "process", seconds=(1, 4))
def _stop(stage: Stage, chance: Random) -> Iterator[Trouble]:
    name = chance.choice(sorted(stage.parties))
    stage.signal(name, signal.SIGSTOP)
    yield Trouble(f"SIGSTOP of {name}")
    stage.signal(name, signal.SIGCONT)


@fault("zombie", "process", "materializers", seconds=(13, 15))
def _zombie(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """A materializer is stopped beyond its session, in the middle of a COPY, others take its partitions, and it wakes."""
    name = chance.choice(stage.named("materializer"))
    inside = _stop_in_copy(stage, name)
    stage.count("zombies")
    stage.count("zombies in the middle of a COPY", int(inside))
    yield Trouble(f"{name} stopped {'in the middle of a COPY, ' if inside else ''}beyond its session time-out")
    stage.signal(name, signal.SIGCONT)


@fault("fork", "process", seconds=(0.5, 1))
def _fork(stage: Stage, chance: Random) -> Iterator[Trouble]:
    name = chance.choice(stage.named("recorder"))
    if stage.status(name):  # it has set its handler up
        stage.signal(name, signal.SIGUSR1)
        stage.count("forks of live recorders")
    yield Trouble(f"{name} forks")


@fault("clock", "clock", seconds=(3, 6))
def _clock(stage: Stage, chance: Random) -> Iterator[Trouble]:
    name, days = chance.choice(stage.named(*CLOCKED)), chance.choice((-1, 1))
    path = stage.directory / "clocks" / name
    path.write_text(str(days * DAY))
    if stage.parties[name].task.role == "recorder":
        stage.jumped |= {stage.parties[name].task.service}
    stage.count("clock jumps")
    yield Trouble(f"the clock of {name} jumps by {days} day")
    path.write_text("0")


# -- brokers


@fault("leader", "kafka", seconds=(3, 7))
def _leader(stage: Stage, chance: Random) -> Iterator[Trouble]:
    broker = stage.brokers[stage.leader()]
    broker.kill()
    stage.count("brokers killed")
    yield Trouble(f"the leader, broker {broker.node.node_id}, is killed")
    broker.start()


@fault("broker stopped", "kafka", seconds=(3, 8))
def _broker_stopped(stage: Stage, chance: Random) -> Iterator[Trouble]:
    broker = chance.choice(stage.brokers)
    os.kill(broker.pid, signal.SIGSTOP)
    yield Trouble(f"SIGSTOP of broker {broker.node.node_id}")
    os.kill(broker.pid, signal.SIGCONT)


@fault("cluster away for minutes", "kafka", "process", seconds=(125, 130), long=True)
def _cluster_away_long(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """Longer than kafka-python's own delivery time-out (120 s)."""
    yield from _cluster_away(stage, chance)


@fault("cluster away", "kafka", "process", seconds=(16, 20))
def _cluster_away(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """Longer than an append waits: producers are given up."""
    for broker in stage.brokers:
        broker.kill()
    stage.count("brokers killed", len(stage.brokers))
    stage.count("outages of the whole cluster")
    yield Trouble("the whole cluster is away", frozenset(stage.named("recorder", "api")), lambda: _troubled(stage))
    for broker in stage.brokers:
        broker.launch()
    for broker in stage.brokers:
        broker.wait()


# -- Postgres


@fault("postgres killed", "postgres", "process", seconds=(1, 14))
def _postgres_killed(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """At a moment when a COPY runs, if one comes soon."""
    during = _await_copy(stage)
    stage.postgres.kill()
    stage.count("kills of Postgres")
    stage.count("kills of Postgres during a COPY", int(during))
    yield Trouble("Postgres is killed", frozenset(stage.named(*WORKERS, "api")), lambda: _waiting(stage))
    stage.start_postgres()


@fault("postgres stopped", "postgres", "process", seconds=(1, 14))
def _postgres_stopped(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """The server with all its sessions, in whatever they do: nothing ends, and nothing answers."""
    stage.freeze_postgres()
    stage.count("stops of Postgres")
    yield Trouble("Postgres is stopped", frozenset(stage.named(*WORKERS)), lambda: _waiting(stage))
    stage.thaw_postgres()


@fault("postgres backup", "postgres", seconds=(0.5, 1))
def _postgres_backup(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """Taken cold, and put back one or two faults later, over whatever was committed since."""
    data, backup = stage.postgres.directory / "data", stage.postgres.directory / "backup"
    if backup.exists():
        stage.postgres.kill()
        shutil.rmtree(data)
        backup.rename(data)
        stage.count("restorations of Postgres from a backup")
        what = "Postgres is restored from an older backup"
    else:
        stage.postgres.stop()
        shutil.copytree(data, backup, copy_function=_copy)
        _own(backup, data)
        what = "Postgres is backed up"
    stage.start_postgres()
    yield Trouble(what)


# -- network


@fault("network to a broker", "kafka", seconds=(3, 8))
def _network_broker(stage: Stage, chance: Random) -> Iterator[Trouble]:
    yield from _link(stage, chance, stage.to_brokers, "between clients and broker")


@fault("network between brokers", "kafka", seconds=(3, 8))
def _network_between(stage: Stage, chance: Random) -> Iterator[Trouble]:
    yield from _link(stage, chance, stage.between, "between brokers and broker")


@fault("network to Postgres", "postgres", seconds=(2, 9))
def _network_postgres(stage: Stage, chance: Random) -> Iterator[Trouble]:
    assert stage.to_postgres is not None
    yield from _link(stage, chance, [stage.to_postgres], "to Postgres")


def _link(stage: Stage, chance: Random, links: list[Link], where: str) -> Iterator[Trouble]:
    number, mode = chance.randrange(len(links)), chance.choice(MODES)
    links[number].set(mode)
    stage.count(f"links {mode}")
    yield Trouble(f"the network {where} {number + 1} is {mode}")
    links[number].set("open")


# -- disks


@fault("disk of the spools full", "spool", seconds=(2, 5), disk=True)
def _spool_full(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """Running recorders use what they have; those that start cannot."""
    stage.spools.fill()
    name = chance.choice(stage.named("recorder"))
    for each in stage.named("recorder"):
        stage.parties[each].expected.add(CANNOT_START)
    stage.kill(name)
    stage.count("full disks")
    yield Trouble(f"the disk of the spools is full, and {name} starts")
    stage.spools.empty()
    _expect_no_more(stage)


@fault("spool read-only", "spool", "process", seconds=(2, 4), disk=True)
def _spool_read_only(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """A recorder starts where it may not write. The mount of a disk that is mapped cannot be changed: the others are stopped."""
    names = stage.named("recorder")
    for each in names:
        stage.parties[each].expected.add(CANNOT_START)
        stage.kill(each, hold=True)
    done = stage.spools.read_only(True)
    for each in names:
        stage.parties[each].held = False
    stage.count("read-only disks", int(done))
    yield Trouble("the disk of the spools is read-only, and all recorders start")
    stage.spools.read_only(False)
    _expect_no_more(stage)


@fault("disk of Postgres full", "postgres", seconds=(3, 6), disk=True)
def _postgres_full(stage: Stage, chance: Random) -> Iterator[Trouble]:
    disk = stage.disks["postgres"]
    disk.fill()
    stage.count("full disks")
    yield Trouble("the disk of Postgres is full")
    disk.empty()
    stage.postgres.kill()  # it may have gone down by itself; what it is after a full disk, it is after a start
    stage.start_postgres()


@fault("disk of a broker full", "kafka", seconds=(3, 6), disk=True)
def _broker_full(stage: Stage, chance: Random) -> Iterator[Trouble]:
    broker = chance.choice(stage.brokers)
    disk = stage.disks[f"kafka-{broker.node.node_id}"]
    disk.fill()
    stage.count("full disks")
    yield Trouble(f"the disk of broker {broker.node.node_id} is full")
    disk.empty()
    broker.kill()
    broker.start()


# -- spools


@fault("torn tail", "spool", "process", seconds=(0.5, 1))
def _torn(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """A recorder dies, and behind its last frame stand the first bytes of one that was never complete."""
    name = chance.choice(stage.named("recorder"))
    spool = _spool_of(stage, name)
    stage.kill(name, hold=True)
    torn = sum(tear(path, chance) for path in _last_segment(spool)) if spool else 0
    stage.parties[name].held = False
    stage.count("torn tails", torn)
    yield Trouble(f"{name} is killed and its last bytes are torn")


@fault("spool of yesterday", "spool", "process", seconds=(4, 8))
def _yesterday(stage: Stage, chance: Random) -> Iterator[Trouble]:
    """A copy of a live spool comes back after its process ended well: all in it is in the log already."""
    name = chance.choice(stage.named("recorder"))
    spool = _spool_of(stage, name)
    if spool is None:
        yield Trouble(f"{name} has only just started")
        return
    copy = stage.directory / "yesterday"
    stage.signal(name, signal.SIGSTOP)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(spool, copy)
    stage.signal(name, signal.SIGCONT)
    yield Trouble(f"the spool of {name} is kept")
    if stage.stop(name) == 0:
        shutil.copytree(copy, spool)
        stage.count("spools restored from yesterday")
    stage.parties[name].held = False


# -- what the operator does


@fault("partition added", "kafka", seconds=(2, 4))
def _partition(stage: Stage, chance: Random) -> Iterator[Trouble]:
    if stage.counts.get("partitions added", 0) < 3:
        stage.count("partitions added", int(stage.add_partition()))
    yield Trouble("a partition is added under load")


@fault("trust arrives", "trust", seconds=(1, 2))
def _trust(stage: Stage, chance: Random) -> Iterator[Trouble]:
    stage.count("trust statements after their batches", int(stage.trust_newcomer()))
    yield Trouble("a key is trusted after its first batches came")


def executable_lines(file: str) -> list[int]:
    """The lines of functions in a file of the product."""
    path = ROOT / file
    codes = [compile(path.read_bytes(), str(path), "exec")]
    lines: set[int] = set()
    while codes:
        code = codes.pop()
        inner = [each for each in code.co_consts if hasattr(each, "co_code")]
        codes += inner
        if code.co_flags & 0x1:  # CO_OPTIMIZED: a function's
            lines.update(line for _, _, line in code.co_lines() if line and line > code.co_firstlineno)
    return sorted(lines)


def tear(path: Path, chance: Random) -> int:
    """Writes the beginning of a frame behind the last whole one; whether there was room."""
    data = path.read_bytes()
    at, number = HEAD, int.from_bytes(data[8:HEAD], "little")
    while at + FRAME <= len(data):
        length, _, stated = _FRAME.unpack_from(data, at)
        if not length or stated != number or at + FRAME + length > len(data):
            break
        at, number = at + FRAME + length, number + 1
    if at + FRAME + 64 > len(data):
        return 0
    with path.open("r+b") as file:
        file.seek(at)
        file.write(_FRAME.pack(400, chance.getrandbits(32), number) + chance.randbytes(chance.randint(1, 40)))
    return 1


def _last_segment(spool: Path) -> list[Path]:
    found = [path for path in sorted(spool.glob("events-*.seg")) if path.read_bytes()[: len(MAGIC)] == MAGIC]
    return found[-1:]


def _spool_of(stage: Stage, name: str) -> Path | None:
    pid = stage.status(name).get("pid")
    found = sorted(stage.parties[name].task.spool.glob(f"{pid}-*")) if pid else []
    return found[0] if found else None


def _await_copy(stage: Stage) -> bool:
    """Waits a little for a backend that is in the middle of a COPY."""
    deadline = time.monotonic() + 2
    with psycopg.connect(stage.postgres.url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = connection.execute("select count(*) from pg_stat_progress_copy").fetchone()
            if row and row[0]:
                return True
    return False


def _stop_in_copy(stage: Stage, name: str) -> bool:
    """SIGSTOP of a materializer, in the middle of a COPY of its own if that comes about soon; whether it did."""
    deadline = time.monotonic() + _COPY_SECONDS
    try:
        with psycopg.connect(stage.postgres.url, dbname=stage.database(name), autocommit=True) as connection:
            while time.monotonic() < deadline:
                held = list(stage.status(name).get("partitions", ()))
                if not any(_copies(connection, held) for _ in range(100)):
                    continue
                stage.signal(name, signal.SIGSTOP)
                time.sleep(0.05)  # what is on its way arrives
                if _copies(connection, held):
                    return True
                stage.signal(name, signal.SIGCONT)
    except psycopg.OperationalError:
        pass  # Postgres is away as well
    stage.signal(name, signal.SIGSTOP)
    return False


def _copies(connection: psycopg.Connection, held: list[int]) -> bool:
    """Whether the session that owns these partitions is in a COPY now."""
    time.sleep(0.0002)
    return connection.execute(_COPIES, [EVENTS, held]).fetchone() is not None


_COPIES: Final = """
select from positions p join pg_stat_progress_copy c on c.pid = p.owner_pid
 where p.topic = %s and p.partition = any(%s) limit 1"""


def _waiting(stage: Stage) -> frozenset[str]:
    """The workers that say that they wait, and for what, and the server if it says that it cannot answer."""
    told = {name: stage.status(name) for name in stage.named(*WORKERS)}
    waiting = frozenset(
        name
        for name, each in told.items()
        if (each.get("state") == "waiting" and each.get("detail")) or each.get("duties")
    )
    return waiting | _server(stage, "store_away")


def _troubled(stage: Stage) -> frozenset[str]:
    """The recorders that say that something is wrong, and what, and the server if it says that the log is away."""
    troubled = frozenset(name for name in stage.named("recorder") if stage.status(name).get("problems"))
    return troubled | _server(stage, "log_away")


def _server(stage: Stage, fault: str) -> frozenset[str]:
    return frozenset(stage.named("api")) if fault in stage.server_says else frozenset()


def _expect_no_more(stage: Stage) -> None:
    """Of those that start from now on; one that runs may have met the fault and not have said so yet."""
    for name in stage.named("recorder"):
        party = stage.parties[name]
        party.excused = party.process
        party.expected.discard(CANNOT_START)


def _copy(source: str, target: str) -> object:
    return shutil.copy2(source, target)


def _own(tree: Path, like: Path) -> None:
    """Copies belong to whom the originals belong to."""
    owner = like.stat()
    for path in (tree, *tree.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    tree.chmod(owner.st_mode & 0o777)
