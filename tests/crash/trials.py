"""A trial: one process dies at one place under load, what it was is started again, and the checker looks at the whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final, Literal

from ledger.logs import open_log
from ledger.store.migrations import migrate
from tests.crash.checker import faults, materialize
from tests.crash.launch import Task
from tests.crash.tracing import ROOT, Place

Victim = Literal["recorder", "materializer", "contents"]


def _modules(*packages: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for package in packages for path in (ROOT / package).glob("*.py"))


FILES: Final[dict[Victim, list[str]]] = {
    "recorder": _modules("ledger/recorder"),
    "materializer": _modules("consumers", "ledger/store"),
    "contents": _modules("consumers", "ledger/store"),
}
"""Where a victim may die: at any line there that a first run of it executes."""
VICTIMS: Final[tuple[Victim, ...]] = ("recorder", "materializer", "recorder", "materializer", "contents")
"""In turn: two of five are recorders with their senders, two materializers, one a contents worker."""
OTHERS: Final = 4
"""Of five, those that are no contents worker."""
LEFT, LOAD, LAST = 12, 30, 4
"""Runs that each recording thread records: before a death that leaves a spool, in the trial, after the restart."""
PATIENCE: Final = 90
"""Seconds after which a process that has not ended is a failure."""
EARLY: Final = 40
"""A line that is reached more often than this is not counted to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A log, a store and a directory, all of this trial's own."""

    directory: Path
    log: str
    store: str

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        log = open_log(self.log)
        try:
            log.prepare()
        finally:
            log.close()
        migrate(self.store)

    def task(self, role: Victim, count: int = 0) -> Task:
        return Task(
            role=role,
            log=self.log,
            store=self.store,
            spool=str(self.directory / "spool"),
            returned=str(self.directory / "returned"),
            until=str(self.directory / ("enough" if role == "recorder" else "recorded")),
            count=count,
        )

    @property
    def returned(self) -> Path:
        return self.directory / "returned"

    def enough(self) -> None:
        """Tells a recorder without a count to end."""
        (self.directory / "enough").touch()

    def recorded(self) -> None:
        """Tells the workers that nothing more will come."""
        (self.directory / "recorded").touch()

    def start(self, task: Task, name: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.crash.launch", task.to_json()], cwd=ROOT, stdout=output, stderr=output
            )

    def run(self, task: Task, name: str) -> int:
        return self.end(self.start(task, name), name)

    def end(self, process: subprocess.Popen[bytes], name: str, *, dies: bool = False) -> int:
        """The exit code: 0, or that of a death by SIGKILL where one was meant; raises where it is anything else."""
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{name} did not end in {PATIENCE} s: see {self.directory}/{name}.log") from None
        allowed = {0, -signal.SIGKILL} if dies else {0}
        assert code in allowed, f"{name} ended with {code}: see {self.directory}/{name}.log"
        return code


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``killed``: whether the process came to the place. ``lines``: what a traced process executed. ``faults``: none is good."""

    killed: bool
    events: int
    faults: list[str]
    lines: list[tuple[str, int, int]]


def trial(scene: Scene, victim: Victim, place: Place | None) -> Outcome:
    """Plays a trial; without ``place`` nobody dies at one, and the lines executed are counted instead."""
    scene.prepare()
    first = scene.start(replace(scene.task("recorder", LEFT), dies=True), "left")
    assert first.wait(PATIENCE) == -signal.SIGKILL, f"the first recorder did not die: {scene.directory}/left.log"
    left = len(scene.returned.read_text().splitlines())
    lines = scene.directory / "lines.json"
    traced = replace(
        scene.task(victim, LOAD if victim == "recorder" else 0),
        place=place,
        trace=None if place else FILES[victim],
        lines="" if place else str(lines),
    )
    killed = _recorder_dies(scene, traced) if victim == "recorder" else _worker_dies(scene, traced)
    adopter_died = victim == "recorder" and killed
    found = faults(scene.log, scene.store, scene.returned, deaths=1 + adopter_died, adopted=left if adopter_died else 0)
    counted = [(file, line, count) for file, line, count in json.loads(lines.read_text())] if lines.exists() else []
    return Outcome(killed=killed, events=len(scene.returned.read_text().splitlines()), faults=found, lines=counted)


def _recorder_dies(scene: Scene, traced: Task) -> bool:
    code = scene.end(scene.start(traced, "victim"), "victim", dies=traced.place is not None)
    scene.run(scene.task("recorder", LAST), "restarted")
    materialize(scene.log, scene.store)
    return code != 0


def _worker_dies(scene: Scene, traced: Task) -> bool:
    """The other worker comes after it, in this process: the two share nothing but the log."""
    load = scene.start(scene.task("recorder", LOAD), "load")
    worker = scene.start(traced, "victim")
    try:
        scene.end(load, "load")
        scene.recorded()
    finally:
        if load.poll() is None:
            load.kill()
        code = scene.end(worker, "victim", dies=traced.place is not None)
    if code != 0:
        scene.run(scene.task(traced.role), "restarted")
    materialize(scene.log, scene.store)
    return code != 0


def choose(lines: list[tuple[str, int, int]], seed: str) -> Place:
    """A place among the lines that a first run executed, the same for the same seed and lines."""
    chance = Random(seed)
    file, line, count = chance.choice(sorted(lines))
    return Place(file, line, chance.randint(1, min(max(1, count // 2), EARLY)))


def seed_of(default: int = 1) -> int:
    return int(os.environ.get("CRASH_SEED", default))
