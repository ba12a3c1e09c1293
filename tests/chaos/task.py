"""What a process of the stage is told, what it says about itself, and the notes it keeps of what it was promised."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

Role = Literal["recorder", "materializer", "contents", "api"]
STATUS_SECONDS: Final = 0.2
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

    ``o`` offered; ``r ID DIGEST`` recorded; ``s ID DIGEST TIME`` acknowledged by the log before TIME, µs UTC; ``d ID`` dropped,
    and counted; ``x ERROR`` refused to the caller.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, line: str) -> None:
        os.write(self._file, line.encode() + b"\n")


class Promised(NamedTuple):
    """An event whose ``record()`` returned; ``until`` where the log had acknowledged it by then."""

    event_id: bytes
    digest: bytes
    until: int | None


class Account(NamedTuple):
    """The notes of all recorders."""

    promised: list[Promised]
    offered: int
    lost: set[bytes]
    """The ids of what ``best_effort`` dropped: a later event may cite one."""
    refused: Counter[str]

    @property
    def dropped(self) -> int:
        return len(self.lost)


def read_notes(directory: Path) -> Account:
    promised: list[Promised] = []
    lost: set[bytes] = set()
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for path in sorted((directory / "notes").iterdir()):
        for line in path.read_text().splitlines():
            sort, *rest = line.split()
            counts[sort] += 1
            if sort in ("r", "s"):
                promised.append(_promised(rest))
            elif sort == "d":
                lost.add(bytes.fromhex(rest[0]))
            elif sort == "x":
                refused[rest[0]] += 1
    return Account(promised, counts["o"], lost, refused)


def settled(directory: Path) -> list[Promised]:
    """Events that were promised a while ago: the first half of each recorder's."""
    found: list[Promised] = []
    for path in sorted((directory / "notes").iterdir()):
        lines = [line.split() for line in path.read_text().splitlines() if line.startswith("r ")]
        found += [_promised(rest) for _, *rest in lines[: len(lines) // 2]]
    return found


def _promised(fields: list[str]) -> Promised:
    event_id, digest, *until = fields
    return Promised(bytes.fromhex(event_id), bytes.fromhex(digest), int(until[0]) if until else None)


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
