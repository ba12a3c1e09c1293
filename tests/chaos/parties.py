"""The processes of the stage: services that record, workers, sentinels, the server. ``python -m tests.chaos.parties TASK``.

Made as a deployment makes them, with smaller batches and shorter patience, so that a short run meets every step many times.
SIGTERM ends each in its own order. What one sort alone needs is imported by it: a process that was killed is to be back soon.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from consumers.contents import contents_worker
from consumers.health import Health
from consumers.materializer import materializer
from consumers.running import run_opened, stop_on_signals
from consumers.worker import Pace
from ledger import Person
from ledger.errors import BackendError, LedgerError, SpoolFailed
from ledger.logs import open_log
from ledger.recorder.context import Recorded
from ledger.recorder.recorder import Recorder
from ledger.schema_files import load_schemas
from ledger.store.contents import PostgresContents
from ledger.store.projection import PostgresProjection
from ledger.trust.bundle import TrustBundle, read_bundle
from tests.chaos.task import CANNOT_START, LEFT_BEHIND, SEGMENT_BYTES, JumpingClock, Notes, Task, tell_status
from tests.crash.tracing import Place, kill_at
from tests.orphans import end_with_parent
from tests.sealing import LEDGER, ROOT, signer
from tests.seeded import ACME, OTHER

ALICE: Final = Person(issuer="https://issuer.example", subject="alice", name="Alice")
SMALL: Final = Pace(poll_records=24, flush_bytes=48 << 10, poll_seconds=0.05, tend_seconds=0.2, retry_seconds=0.2)
LARGE: Final = Pace(poll_records=64, flush_bytes=1 << 20, poll_seconds=0.2, tend_seconds=1.0, retry_seconds=0.5)
THREADS: Final = 2
PAUSE_SECONDS: Final = 0.1
EVERY_STRICT: Final = 20
STUCK_SECONDS: Final = 3.0
DRAIN_SECONDS: Final = 60.0
STRICT_SECONDS: Final = 10.0


def record(task: Task, stop: threading.Event) -> int:
    """Records from several threads and notes what each call came to."""
    clock = JumpingClock(task.clock)
    try:
        recorder = Recorder(
            log=lambda: open_log(task.log),
            signer=signer(task.key),
            spool=task.spool,
            ledger=LEDGER,
            tenant=ACME,
            service=task.service,
            clock=clock,
            mode="best_effort" if task.mode == "best_effort" else "spool",
            linger=0.005,
            heartbeat=1.0,
            append_timeout=5.0,
            strict_timeout=STRICT_SECONDS,
            spool_bytes=task.spool_bytes,
            segment_bytes=SEGMENT_BYTES,
        )
    except SpoolFailed as error:
        print(f"cannot start: {error}", flush=True)
        return CANNOT_START
    told = threading.Event()
    tell_status(task.status, lambda: asdict(recorder.health()) | {"well": recorder.health().well}, told)
    if task.adopts:
        settled = _settled(recorder, stop)
        return 0 if recorder.close(DRAIN_SECONDS) and settled else LEFT_BEHIND
    notes = Notes(task.notes)
    threads = [threading.Thread(target=_load, args=(task, recorder, notes, stop, number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    fork = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: fork.set())
    while not stop.wait(0.05):
        if fork.is_set():
            fork.clear()
            _fork(task, recorder, notes)
        _note_stated(recorder, notes)
    for thread in threads:
        thread.join()
    notes.write(f"q {os.getpid()}")
    closed = recorder.close(DRAIN_SECONDS)
    if closed:
        notes.write(f"e {os.getpid()}")
    told.set()
    return 0 if closed else LEFT_BEHIND


def _note_stated(recorder: Recorder, notes: Notes) -> None:
    """Notes how much of what was dropped the ledger knows of."""
    if notes.dropped == notes.stated:
        return
    count, health = notes.dropped, recorder.health()  # in this order: what is dropped meanwhile does not count
    if health.doing == "idle" and not any("were dropped" in each for each in health.problems):
        notes.stated = count
        notes.write(f"t {os.getpid()} {count}")


def _settled(recorder: Recorder, stop: threading.Event) -> bool:
    """Waits until nothing is left to adopt or to send."""
    for _ in range(int(DRAIN_SECONDS / 0.1)):
        health = recorder.health()
        if health.doing == "idle" and not health.waiting_events:
            return True
        if stop.wait(0.1):
            break
    return False


def _fork(task: Task, recorder: Recorder, notes: Notes) -> None:
    """A child of a live recorder records a little by the same object, and ends well."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        notes.write(f"f {child} {os.waitstatus_to_exitcode(status)}")
        return
    code = 1
    try:
        for number in range(3):
            with suppress(LedgerError):  # noted by the call that raised
                _run(recorder, ACME, f"fork-{os.getpid()}-{number}", notes)
        notes.write(f"q {os.getpid()}")
        if recorder.close(DRAIN_SECONDS):  # what it cannot send is adopted by the next process
            notes.write(f"e {os.getpid()}")
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def _load(task: Task, recorder: Recorder, notes: Notes, stop: threading.Event, thread: int) -> None:
    number = 0
    while not stop.wait(PAUSE_SECONDS):
        number += 1
        tenant = OTHER if number % 5 == 0 else ACME
        name = f"{task.name}-{os.getpid()}-{thread}-{number}"
        try:
            _run(recorder, tenant, name, notes)
        except LedgerError:
            continue  # noted by the call that raised
        if number % EVERY_STRICT == 0 and thread == 0 and task.mode == "strict":
            _strictly(recorder, notes)


def _run(recorder: Recorder, tenant: str, name: str, notes: Notes) -> None:
    noted = partial(_noted, notes, tenant)
    with recorder.execution(principal=ALICE, tenant=tenant):
        text = f"Book a flight, {name}"
        prompt = noted(lambda: recorder.prompt(trigger_kind="human", channel="chat", trust="untrusted", text=text))
        with recorder.caused_by(prompt):
            step = noted(
                lambda: recorder.reasoning_step(status="completed", visibility="full", reasoning=f"search {name}")
            )
        with recorder.caused_by(step):
            noted(
                lambda: recorder.api_action(
                    action_id=name, phase="intended", operation="POST /bookings", resource="flight", observer="agent"
                )
            )


def _noted(notes: Notes, tenant: str, call: Callable[[], Recorded]) -> Recorded:
    me = os.getpid()
    notes.write(f"o {me}")
    began = time.monotonic()
    try:
        recorded = call()
    except LedgerError as error:
        notes.write(f"x {me} {type(error).__name__}")
        raise
    finally:
        notes.took("plain", time.monotonic() - began)
    if recorded.number:
        notes.write(f"r {me} {recorded.event_id.hex()} {recorded.digest.hex()} {tenant}")
    else:
        notes.write(f"d {me} {recorded.event_id.hex()}")
        notes.dropped += 1
    return recorded


def _strictly(recorder: Recorder, notes: Notes) -> None:
    """An event that is in the log when the call returns; one that raised was not promised, though it may come."""
    me = os.getpid()
    notes.write(f"o {me}")
    began = time.monotonic()
    try:
        recorded = recorder.prompt(trigger_kind="human", trust="trusted", strict=True)
    except LedgerError as error:
        notes.write(f"x {me} {type(error).__name__}{'InSpool' if isinstance(error, BackendError) else ''}")
        return
    finally:
        notes.took("strict", time.monotonic() - began)
    notes.write(f"s {me} {recorded.event_id.hex()} {recorded.digest.hex()} {ACME} {time.time_ns() // 1000}")


class _Trust:
    """The bundle of the file, read anew when it grew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = -1
        self._bundle = self()

    def __call__(self) -> TrustBundle:
        size = self._path.stat().st_size
        if size != self._size:
            self._bundle, self._size = read_bundle(self._path.read_bytes(), ROOT.public, LEDGER), size
        return self._bundle


def work(task: Task, stop: threading.Event) -> int:
    """A materializer or a contents worker, until SIGTERM."""
    pace = LARGE if task.large or task.role == "contents" else SMALL
    health = Health(task.role)
    told = threading.Event()
    tell_status(task.status, lambda: asdict(health.snapshot), told)
    schemas, clock, trust = load_schemas(), JumpingClock(task.clock), _Trust(task.trust)
    with ExitStack() as stack:
        log = stack.enter_context(closing(open_log(task.log)))
        if task.role == "materializer":
            events = stack.enter_context(
                closing(
                    _when_there(
                        lambda: PostgresProjection(task.store, schemas, LEDGER, trust(), stuck=STUCK_SECONDS),
                        health,
                        stop,
                    )
                )
            )
            materializer(
                log=log, projection=events, trust=trust, clock=clock, health=health, group=task.group, pace=pace
            ).run(stop)
        else:
            contents = stack.enter_context(
                closing(_when_there(lambda: PostgresContents(task.store, schemas, stuck=STUCK_SECONDS), health, stop))
            )
            contents_worker(
                log=log, projection=contents, clock=clock, health=health, group=f"{task.group}-contents", pace=pace
            ).run(stop)
    told.set()
    return 0


def _when_there(connect: Callable[[], Any], health: Health, stop: threading.Event) -> Any:
    while True:
        try:
            return connect()
        except BackendError as error:
            health.failed(str(error))
            if stop.wait(SMALL.retry_seconds):
                raise SystemExit(0) from error


def watch(task: Task, stop: threading.Event) -> int:
    """A sentinel, until SIGTERM."""
    from consumers.sentinel import Sentinel
    from ledger.store.sentinel import PostgresSentinel

    health = Health(task.role)
    told = threading.Event()
    tell_status(task.status, lambda: asdict(health.snapshot), told)
    schemas, clock, trust = load_schemas(), JumpingClock(task.clock), _Trust(task.trust)

    @contextmanager
    def opened() -> Iterator[Sentinel]:
        with closing(PostgresSentinel(task.store, schemas, LEDGER, trust)) as store:
            yield Sentinel(store, clock, health=health, pace=LARGE)

    run_opened(opened, health, stop, LARGE.retry_seconds)
    told.set()
    return 0


def serve(task: Task, stop: threading.Event) -> int:
    """The HTTP server; its port stands in its status."""
    import uvicorn

    from api.access import Tokens
    from api.app import create_app
    from api.sockets import bind
    from api.store import Store

    trust = _Trust(task.trust)
    app = create_app(
        store=Store(task.store),
        ledger=LEDGER,
        tokens=Tokens(None, ACME),
        bundle=trust,
        open_log=lambda: open_log(task.log),
    )
    told = threading.Event()
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        tell_status(task.status, lambda: {"port": port}, told)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=5, server_header=False
        )
        uvicorn.Server(config).run(sockets=[listening])
    told.set()
    return 0


def main(told: str) -> int:
    end_with_parent()
    given = json.loads(told)
    place = given.pop("place")
    task = Task(**given, place=tuple(place) if place else None)
    if task.role == "api":
        return serve(task, threading.Event())
    records = task.role == "recorder"
    stop = stop_on_signals(DRAIN_SECONDS + 20) if records else stop_on_signals()
    if task.place is not None:
        kill_at(Place(*task.place))
    if records:
        return record(task, stop)
    return watch(task, stop) if task.role == "sentinel" else work(task, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
