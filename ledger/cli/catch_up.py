"""Bringing the store to the end of the log, for commands that end: by workers of our own, or by waiting for those that run."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, closing
from typing import Any, Final

from ledger import wiring
from ledger.cli.output import progress
from ledger.cli.workers import contents_worker, materializer
from ledger.ports import CONTENTS, EVENTS
from ledger.settings import Settings

_POLL_SECONDS: Final = 0.05


def catch_up(settings: Settings, *, alone: bool, timeout: float) -> bool:
    """Whether the store has, within ``timeout`` seconds, everything that the log has now.

    ``alone``: nobody else serves this store, so the workers run here until then.
    """
    stop = threading.Event()
    failures: list[BaseException] = []
    threads = [_run(worker, stop, failures) for worker in (materializer(settings), contents_worker(settings)) if alone]
    try:
        return _wait(settings, timeout, failures)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


def _run(worker: AbstractContextManager[Any], stop: threading.Event, failures: list[BaseException]) -> threading.Thread:
    def work() -> None:
        try:
            with worker as made:
                made.run(stop)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failures.append(error)

    thread = threading.Thread(target=work, name="answerable-catch-up")
    thread.start()
    return thread


def _wait(settings: Settings, timeout: float, failures: list[BaseException]) -> bool:
    from ledger.store import overview

    deadline = time.monotonic() + timeout
    with (
        closing(wiring.open_log(settings)) as log,
        wiring.reading(settings) as connection,
        progress("materializing") as bar,
    ):
        ends = {(topic, partition): b.end for topic in (EVENTS, CONTENTS) for partition, b in log.bounds(topic).items()}
        total = sum(ends.values())
        while True:
            reached = {(each.topic, each.partition): each.next_offset for each in overview.positions(connection)}
            missing = sum(max(0, end - reached.get(key, 0)) for key, end in ends.items())
            bar(total - missing, total)
            if missing == 0:
                return True
            if failures or time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
