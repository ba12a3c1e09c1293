"""What a process of the stage is told, what it says about itself, and the notes it keeps of what it was promised."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

Role = Literal["recorder", "materializer", "contents", "sentinel", "api"]
WORKERS: Final[tuple[Role, ...]] = ("materializer", "contents", "sentinel")
CLOCKED: Final[tuple[Role, ...]] = ("recorder", *WORKERS)
"""Who has a ``JumpingClock``: the API is given none, its clock is the system's."""
STATUS_SECONDS: Final = 0.2
SEGMENT_BYTES: Final = 1 << 17
CANNOT_START: Final = 3
"""Exit status of a recorder that says that it cannot have its spool."""
LEFT_BEHIND: Final = 4
"""Exit status of a recorder that could not send everything in time: the next one adopts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One process. ``adopts``: a recorder that records nothing, and ends when what the dead left is in the log.

    ``place``: the line of the product at which the process dies, and the how-manieth time it is reached.
    """

    role: Role
    name: str
    directory: str
    log: str
    store: str
    seed: int = 0
    mode: str = "spool"
    service: str = "travel-agent"
    key: str = "service"
    spool_bytes: int = 64 << 20
    group: str = "chaos"
    large: bool = False
    adopts: bool = False
    place: tuple[str, int, int] | None = None

    @property
    def spool(self) -> Path:
        return Path(self.directory, "spool", self.service)

    @property
    def trust(self) -> Path:
        return Path(self.directory, "trust.jsonl")

    @property
    def clock(self) -> Path:
        return Path(self.directory, "clocks", self.name)

    @property
    def status(self) -> Path:
        return Path(self.directory, "status", self.name)

    @property
    def notes(self) -> Path:
        return Path(self.directory, "notes", self.name)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class JumpingClock:
    """The system's clock and as many seconds as the file says, read anew now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jump = 0
        self._until = 0.0

    def now(self) -> int:
        if time.monotonic() > self._until:
            self._until = time.monotonic() + 0.1
            try:
                self._jump = int(self._path.read_text() or 0) * 1_000_000
            except (OSError, ValueError):
                self._jump = 0
        return time.time_ns() // 1000 + self._jump


class Notes:
    """What a recorder was asked and answered, a line each, in a file that survives SIGKILL.

    ``o PID`` offered; ``r PID ID DIGEST TENANT`` recorded; ``s PID ID DIGEST TENANT TIME`` acknowledged by the log before TIME,
    µs UTC; ``d PID ID`` dropped, and counted; ``x PID ERROR`` refused to the caller. ``t PID N``: the log has the statements of
    the first N that a process dropped; ``q PID``: it calls no more, and ``e PID``: it ended with everything in the log.
    ``f PID CODE``: so ended the child of a fork. ``m SORT MS``: the longest call until then.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._longest: dict[str, float] = {}
        self.dropped = 0
        self.stated = 0
        """How many are noted as dropped, and how many of these as stated."""

    def write(self, line: str) -> None:
        os.write(self._file, line.encode() + b"\n")

    def took(self, sort: str, seconds: float) -> None:
        """How long a call took, where none took longer."""
        if seconds > self._longest.get(sort, 0.0):
            self._longest[sort] = seconds
            self.write(f"m {sort} {seconds * 1000:.0f}")


class Promised(NamedTuple):
    """An event whose ``record()`` returned, in a recorder's process; ``until`` where the log had acknowledged it by then."""

    recorder: str
    process: str
    event_id: bytes
    digest: bytes
    tenant: str
    until: int | None


class Account(NamedTuple):
    """The notes of all recorders."""

    promised: list[Promised]
    offered: int
    lost: set[bytes]
    """The ids of what ``best_effort`` dropped: a later event may cite one."""
    refused: Counter[str]
    unstated: int
    """Of what was dropped, what died with its process before it could be stated."""
    hands: Mapping[str, int]
    """By process, its calls without an answer."""
    quit: frozenset[str]
    """Processes whose calls had all returned when they ended; each thread of another may have had one in hand."""
    children: Mapping[str, int]
    """How the children of forks ended, by process."""
    longest: dict[str, int]
    """Milliseconds of the longest call, by sort."""

    @property
    def dropped(self) -> int:
        return len(self.lost)

    @property
    def in_hand(self) -> int:
        """Calls without an answer."""
        return sum(self.hands.values())


_CALLS: Final = {"o": 1, "r": -1, "s": -1, "d": -1, "x": -1}
"""What a line makes of the calls in hand."""


def read_notes(directory: Path) -> Account:
    promised: list[Promised] = []
    lost: set[bytes] = set()
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    owed, told, hands = Counter[str](), Counter[str](), Counter[str]()
    quit_, ended = set[str](), set[str]()
    children: dict[str, int] = {}
    longest: dict[str, int] = {}
    for path in sorted((directory / "notes").iterdir()):
        for line in path.read_text().splitlines():
            sort, of, *rest = line.split()
            counts[sort] += 1
            if sort in _CALLS:
                hands[of] += _CALLS[sort]
            if sort in ("r", "s"):
                promised.append(_promised(path.name, of, *rest))
            elif sort == "d":
                lost.add(bytes.fromhex(rest[0]))
                owed[of] += 1
            elif sort == "t":
                told[of] = int(rest[0])
            elif sort == "q":
                quit_.add(of)
            elif sort == "e":
                ended.add(of)
            elif sort == "x":
                refused[rest[0]] += 1
            elif sort == "f":
                children[of] = int(rest[0])
            elif sort == "m":
                longest[of] = max(longest.get(of, 0), int(rest[0]))
    unstated = sum((count - told[pid] for pid, count in owed.items() if pid not in ended), 0)
    return Account(promised, counts["o"], lost, refused, unstated, dict(hands), frozenset(quit_), children, longest)


def settled(directory: Path) -> list[Promised]:
    """Plain events that were promised a while ago: the first half of each recorder's."""
    found: list[Promised] = []
    for path in sorted((directory / "notes").iterdir()):
        lines = [line.split() for line in path.read_text().splitlines() if line.startswith("r ")]
        found += [_promised(path.name, *rest) for _, *rest in lines[: len(lines) // 2]]
    return found


def _promised(recorder: str, process: str, event_id: str, digest: str, tenant: str, until: str = "") -> Promised:
    return Promised(
        recorder, process, bytes.fromhex(event_id), bytes.fromhex(digest), tenant, int(until) if until else None
    )


def tell_status(path: Path, health: Callable[[], dict[str, Any]], stop: threading.Event) -> threading.Thread:
    """Writes what ``health`` says, and the memory in MB, until ``stop``; a reader sees one whole state or the next."""

    def tell() -> None:
        fresh = path.with_suffix(".new")
        while not stop.wait(STATUS_SECONDS):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            fresh.write_text(json.dumps({"pid": os.getpid(), "memory": pages * 4096 / 1e6, **health()}))
            fresh.replace(path)

    thread = threading.Thread(target=tell, name="status", daemon=True)
    thread.start()
    return thread


def read_status(path: Path) -> dict[str, Any]:
    """The last state told; empty where none was."""
    try:
        told: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return told
