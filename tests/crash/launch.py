"""The processes that are killed: a service that records, a materializer, a contents worker.

``python -m tests.crash.launch TASK``, a ``Task`` in JSON. They are made as a deployment makes them, with smaller batches, so
that a short run goes through every step many times.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from consumers.contents import contents_worker
from consumers.materializer import materializer
from consumers.worker import Pace
from ledger import Person
from ledger.errors import BackendError
from ledger.logs import open_log
from ledger.ports import CONTENTS, EVENTS
from ledger.recorder.clock import SystemClock
from ledger.recorder.context import Recorded
from ledger.recorder.recorder import Recorder
from ledger.schema_files import load_schemas
from ledger.store.contents import PostgresContents
from ledger.store.projection import PostgresProjection
from tests.crash.positions import behind
from tests.crash.tracing import Place, count_lines, kill_at
from tests.orphans import end_with_parent
from tests.sealing import KEY, LEDGER
from tests.seeded import ACME, OTHER, bundle

SERVICE = "travel-agent"
ALICE = Person(issuer="https://issuer.example", subject="alice", name="Alice")
PACE = Pace(poll_records=8, flush_bytes=16 << 10, poll_seconds=0.05, tend_seconds=0.2, retry_seconds=0.1)
RECORDERS = 2
"""Threads that record at the same time."""
EVERY_STRICT = 25
"""One of the threads waits for the log after so many runs; the other goes on whatever becomes of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process does. ``count``: runs to record, 0 for as many as fit until ``until`` exists."""

    role: Literal["recorder", "materializer", "contents"]
    log: str
    store: str
    spool: str
    returned: str
    until: str
    count: int = 0
    dies: bool = False
    place: tuple[str, int, int] | None = None
    trace: list[str] | None = None
    lines: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def raised_of(returned: Path) -> Path:
    """Where a line stands for each call that raised, though its event is in the spool."""
    return returned.with_suffix(".raised")


def record(task: Task) -> None:
    """Records, and notes each event whose ``record()`` returned, in a file that survives a SIGKILL."""
    notes = os.open(task.returned, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def returned(recorded: Recorded) -> Recorded:
        os.write(notes, f"{recorded.event_id.hex()} {recorded.digest.hex()}\n".encode())
        return recorded

    recorder = Recorder(
        log=lambda: open_log(task.log),
        signer=KEY,
        spool=Path(task.spool),
        ledger=LEDGER,
        tenant=ACME,
        service=SERVICE,
        linger=0.002,
        heartbeat=0.5,
        append_timeout=5.0,
        segment_bytes=1 << 20,
    )
    threads = [threading.Thread(target=_runs, args=(task, recorder, number, returned)) for number in range(RECORDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if task.dies:
        os.kill(os.getpid(), signal.SIGKILL)
    if not recorder.close(60):
        raise SystemExit(f"the recorder could not send everything: {recorder.health()}")


def _runs(task: Task, recorder: Recorder, thread: int, returned: Callable[[Recorded], Recorded]) -> None:
    number = 0
    while number < task.count or (task.count == 0 and not Path(task.until).exists()):
        number += 1
        _run(recorder, OTHER if number % 5 == 0 else ACME, f"{os.getpid()}/{thread}/{number}", returned)
        if number % EVERY_STRICT == 0 and thread == 0 and not task.dies:
            try:
                returned(recorder.prompt(trigger_kind="human", trust="trusted", strict=True))
            except BackendError:  # not acknowledged in time: nothing was promised, and it goes on being sent
                with raised_of(Path(task.returned)).open("ab") as notes:
                    notes.write(b"\n")
        if task.count == 0:
            threading.Event().wait(0.02)


def _run(recorder: Recorder, tenant: str, name: str, returned: Callable[[Recorded], Recorded]) -> None:
    with recorder.execution(principal=ALICE, tenant=tenant):
        text = f"Book a flight, {name}"
        prompt = returned(recorder.prompt(trigger_kind="human", channel="chat", trust="untrusted", text=text))
        with recorder.caused_by(prompt):
            step = returned(recorder.reasoning_step(status="completed", visibility="full", reasoning=f"search {name}"))
        with recorder.caused_by(step):
            action = recorder.api_action(
                action_id=name, phase="intended", operation="POST /bookings", resource="flight", observer="agent"
            )
            returned(action)


def work(task: Task) -> None:
    """Materializes until the file ``until`` is there and all of the log is in the store."""
    stop = threading.Event()
    with ExitStack() as stack:
        log = stack.enter_context(closing(open_log(task.log)))
        ended = threading.Thread(target=_stop_when_done, args=(task, stop), daemon=True)
        ended.start()
        if task.role == "materializer":
            events = stack.enter_context(closing(PostgresProjection(task.store, load_schemas(), LEDGER, bundle())))
            materializer(log=log, projection=events, trust=bundle, clock=SystemClock(), pace=PACE).run(stop)
        else:
            contents = stack.enter_context(closing(PostgresContents(task.store, load_schemas())))
            contents_worker(log=log, projection=contents, clock=SystemClock(), pace=PACE).run(stop)


def _stop_when_done(task: Task, stop: threading.Event) -> None:
    topic = EVENTS if task.role == "materializer" else CONTENTS
    pause = threading.Event()
    while not stop.is_set():
        pause.wait(0.1)
        if Path(task.until).exists():
            try:
                with closing(open_log(task.log)) as log:
                    if not behind(log, task.store, topic):
                        stop.set()
            except BackendError:
                continue


def main(task: Task) -> None:
    end_with_parent()
    if task.place is not None:
        kill_at(Place(*task.place))
    counts: Counter[tuple[str, int]] = count_lines(task.trace) if task.trace else Counter()
    (record if task.role == "recorder" else work)(task)
    if task.lines:
        sys.settrace(None)
        found = [[file, line, count] for (file, line), count in counts.copy().items()]
        Path(task.lines).write_text(json.dumps(found))


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])))
