"""Broker and Postgres killed again and again while a service records and workers materialize."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, Protocol

from tests.crash.checker import faults
from tests.crash.positions import workers
from tests.crash.trials import PATIENCE, Scene, Victim

SOME: Final = 30
"""Events that are recorded between two kills, at least."""


class Server(Protocol):
    """A server that keeps its data and address through ``kill`` and ``start``."""

    def start(self) -> object: ...
    def kill(self) -> None: ...


def kill_repeatedly(scene: Scene, server: Server, *, kills: int, seed: str) -> tuple[int, list[str]]:
    """Kills ``server`` under load and starts it again, ``kills`` times; returns how many events were recorded, and the faults."""
    chance = Random(seed)
    scene.prepare()
    scene.returned.touch()
    load = scene.start(scene.task("recorder"), "load")
    roles: tuple[Victim, ...] = ("materializer", "contents")
    running = {"load": load} | {role: scene.start(scene.task(role), role) for role in roles}
    try:
        _until(lambda: workers(scene.store) == len(roles))  # one that starts while there is no store ends, and says so
        for _ in range(kills):
            _until_recorded(scene.returned, recorded(scene.returned) + SOME)
            # Not a condition that is waited for: the moment of death is what is chosen.
            time.sleep(chance.uniform(0, 0.3))
            server.kill()
            _until_recorded(scene.returned, recorded(scene.returned) + 1)  # the spool goes on
            server.start()
        assert all(each.poll() is None for each in running.values()), (
            f"a process ended before its time: {scene.directory}"
        )
        scene.enough()
        scene.end(load, "load")
        scene.recorded()
        for name, each in running.items():
            scene.end(each, name)
    finally:
        for each in running.values():
            if each.poll() is None:
                each.kill()
                each.wait()
    return recorded(scene.returned), faults(scene.log, scene.store, scene.returned, deaths=0)


def recorded(returned: Path) -> int:
    return returned.read_bytes().count(b"\n")


def _until_recorded(returned: Path, count: int) -> None:
    _until(lambda: recorded(returned) >= count)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "the load or the workers stand still"
        time.sleep(0.01)
