"""A run: the stage is set, load begins, faults come by a seeded schedule, all is healed, and the checker judges."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any, Final, NamedTuple

from ledger.errors import BackendError
from ledger.format import ids
from ledger.logs import open_log
from ledger.ports import CONTENTS, EVENTS
from tests.chaos.checker import judge
from tests.chaos.faults import FAULTS, Fault, Trouble
from tests.chaos.parties import ALICE
from tests.chaos.sentinels import awaited
from tests.chaos.stage import STORES, Stage
from tests.chaos.task import LEFT_BEHIND, WORKERS, Promised, read_notes, settled
from tests.crash.positions import behind
from tests.seeded import ACME

TICK: Final = 0.1
TOGETHER: Final = 2
"""Faults at the same time."""
SAY_SECONDS: Final = 10.0
"""A trouble that lasts longer must be said by everybody who has it."""
WELL_SECONDS: Final = 180.0
"""After the last fault: until everything recorded is in both stores."""
ASK_SECONDS: Final = 10.0 + 12.0 + 1.0
"""What a question to the API may take at most, whatever is wrong: to connect to the store, and for it to answer (section 19 of
``docs/format.md``). While the server itself is stopped nothing counts."""
HANG_SECONDS: Final = ASK_SECONDS + 10.0
LOOK_SECONDS: Final = 0.5
"""Between the answers that the server gives about itself."""
ASKED: Final = 40
"""Events that are asked about when all is healed."""
LOSING: Final = "best-effort"
KEYS: Final = {"travel-agent": "service", "best-effort": "service", "newcomer": "newcomer"}
"""The services, and their keys."""

Tell = Callable[[str], None]


class Verdict(NamedTuple):
    """What a run came to. ``faults`` empty: every invariant held."""

    faults: list[str]
    counts: dict[str, int]
    events: int


class Active(NamedTuple):
    """A fault that lasts. ``said``: who has said what is wrong."""

    fault: Fault
    body: Iterator[Trouble]
    trouble: Trouble
    began: float
    until: float
    said: set[str]


def play(directory: Path, *, seed: int, seconds: float, only: Sequence[str] = (), tell: Tell = print) -> Verdict:
    """Runs for about ``seconds``, with the faults of these names, by default all."""
    directory.mkdir(parents=True, exist_ok=True)
    stage = Stage(directory, seed)
    try:
        stage.start()
        cast(stage)
        _await_load(stage)
        Schedule(stage, seed, only, tell).run(seconds)
        heal(stage, tell)
        found = stage.amiss + judge(stage)
        return Verdict(found, dict(sorted(stage.counts.items())), len(read_notes(directory).promised))
    finally:
        stage.close()


def cast(stage: Stage) -> None:
    """The processes: services that record in every mode, two groups of workers, two sentinels of one store, one server."""
    for number, mode in enumerate(("spool", "strict")):
        stage.add(stage.task(role="recorder", name=f"recorder-{number}", mode=mode))
    dropping = stage.task(role="recorder", name=LOSING, mode="best_effort", service="best-effort", spool_bytes=1 << 20)
    stage.add(dropping)
    stage.add(stage.task(role="recorder", name="newcomer", service="newcomer", key="newcomer"))
    for name in ("materializer-1", "materializer-2"):
        stage.add(stage.task(role="materializer", name=name))
    stage.add(stage.task(role="materializer", name="materializer-b", store="b", group="chaos-b", large=True))
    stage.add(stage.task(role="contents", name="contents"))
    for name in ("sentinel-1", "sentinel-2"):
        stage.add(stage.task(role="sentinel", name=name))
    stage.add(stage.task(role="api", name="api"))


def _await_load(stage: Stage) -> None:
    _until(lambda: len(read_notes(stage.directory).promised) > 50, WELL_SECONDS, "the load did not begin")


class Schedule:
    """Which fault comes when. Every fault comes once before one comes again; the same seed deals the same cards."""

    def __init__(self, stage: Stage, seed: int, only: Sequence[str], tell: Tell) -> None:
        self._stage, self._tell = stage, tell
        self._chance = Random(seed)
        self._names = [name for name, each in FAULTS.items() if (name in only if only else not each.long)]
        self._deck: list[str] = []
        self._active: list[Active] = []
        self._reader = Reader(stage, seed)

    def run(self, seconds: float) -> None:
        with self._reader:
            self._run(seconds)

    def _run(self, seconds: float) -> None:
        began = time.monotonic()
        sampled = pause = began
        while (now := time.monotonic()) < began + seconds:
            self._end_those_over(now)
            if len(self._active) < TOGETHER and now > pause:
                self._begin(now)
                pause = now + self._chance.uniform(0.5, 2.5)
            self._listen()
            self._stage.supervise()
            if now > sampled + 1:
                sampled = now
                self._stage.sample()
            time.sleep(TICK)
        self._end_those_over(float("inf"))

    def _begin(self, now: float) -> None:
        if not self._deck:
            self._deck = list(self._names)
            self._chance.shuffle(self._deck)
        taken = frozenset[str]().union(*(each.fault.takes for each in self._active))
        name = next((each for each in self._deck if not FAULTS[each].takes & taken), None)
        if name is None:
            return
        self._deck.remove(name)
        fault = FAULTS[name]
        if fault.disk and not self._stage.spools.mounted:
            self._stage.count("faults of disks left out: no tmpfs can be mounted here")
            return
        body = fault.body(self._stage, Random(self._chance.random()))
        trouble = next(body)
        self._stage.count("faults")
        self._tell(f"  {name}: {trouble.what}")
        now = time.monotonic()
        self._active.append(Active(fault, body, trouble, now, now + self._chance.uniform(*fault.seconds), set()))

    def _listen(self) -> None:
        for each in self._active:
            if each.trouble.concerned - each.said:
                each.said.update(each.trouble.saying())

    def _end_those_over(self, now: float) -> None:
        for each in [each for each in self._active if each.until < now]:
            self._active.remove(each)
            lasted = time.monotonic() - each.began
            self._stage.count(f"seconds of {each.fault.name}", round(lasted))
            if (silent := each.trouble.concerned - each.said) and lasted > SAY_SECONDS:
                self._stage.amiss.append(f"{each.trouble.what}, and {sorted(silent)} did not say so in {lasted:.1f} s")
            for _ in each.body:
                raise AssertionError(f"{each.fault.name} yields twice")


class Reader:
    """Asks the server who triggered what was recorded. A right answer or a typed problem is good, a hang or a lie is not.
    Beside that it asks for its health.

    In threads of its own: a question that the schedule waited for would keep the server stopped that it is asked of.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage, self._chance = stage, Random(seed)
        self._over = Event()
        self._threads = [Thread(target=each, name="reader", daemon=True) for each in (self._ask, self._look)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._stage.server_says = frozenset(each["name"] for each in _health(self._stage).get("wrong", ()))

    def _ask(self) -> None:
        while not self._over.wait(1):
            self.ask()

    def ask(self) -> None:
        port = self._stage.status("api").get("port")
        promised = settled(self._stage.directory)
        if port is None or not promised:
            return
        self.ask_about(port, self._chance.choice(promised))

    def ask_about(self, port: int, event: Promised) -> tuple[int, Any] | None:
        """Status and body of the answer; None where there was none."""
        asked = ids.text(event.event_id)
        began = time.monotonic() - self._stage.stopped("api")

        def waited() -> float:
            return time.monotonic() - self._stage.stopped("api") - began

        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)) as connection:
                connection.request("GET", f"/v1/events/{asked}/who-triggered")
                response = connection.getresponse()
                body = json.loads(response.read())
        except TimeoutError:
            if self._stage.parties["api"].process is not None and waited() > ASK_SECONDS:
                self._stage.amiss.append(
                    f"a question had no answer within {waited():.1f} s that the server was not stopped"
                )
            return None
        except (OSError, http.client.HTTPException):
            return None  # the server is down, or was killed
        self._stage.count(f"answers with status {response.status}")
        seconds = waited()
        if seconds > ASK_SECONDS:
            self._stage.amiss.append(f"a question was answered after {seconds:.1f} s, and the server was not stopped")
        slowest = int(seconds * 1000)
        self._stage.counts["ms of the slowest answer"] = max(
            self._stage.counts.get("ms of the slowest answer", 0), slowest
        )
        if (wrong := wrongly_answered(event, response.status, body)) is not None:
            self._stage.amiss.append(f"a question about {asked} of {event.recorder} was answered wrongly: {wrong}")
        return response.status, body


def wrongly_answered(event: Promised, status: int, body: Any, *, healed: bool = False) -> str | None:
    """What is wrong with an answer. Once all is ``healed`` every event of the tenant that asks is there, and who began it is
    known but where ``best_effort`` may have lost it."""
    if status in (404, 503):
        away = healed and (status == 503 or event.tenant == ACME)
        return f"status {status} when all was healed" if away else None
    if status != 200:
        return f"status {status}: {body}"
    if event.tenant != ACME:
        return "it is another tenant's"
    people = [each["who"] and each["who"]["subject"] for each in body["triggers"]]
    if body["asked"] != ids.text(event.event_id) or len(people) > 1 or set(people) - {ALICE.subject, None}:
        return f"{people} triggered {body['asked']}"
    if healed and people != [ALICE.subject] and (people or event.recorder != LOSING):
        return f"{people} triggered it"
    return None


def heal(stage: Stage, tell: Tell) -> None:
    """Everything works again; recorders end in order, what they left is adopted, and workers come to the end of the log."""
    stage.network.heal()
    stage.trust_newcomer()
    deadline = time.monotonic() + WELL_SECONDS
    stage.supervise()
    _until(
        lambda: not _unwell(stage),
        WELL_SECONDS,
        "not everybody says again that all is well: ",
        lambda: str(_unwell(stage)),
    )
    for name, code in stage.stop_all(stage.named("recorder")).items():
        if code not in (0, LEFT_BEHIND):
            stage.amiss.append(f"{name} ended with {code}")
    adopters = [
        stage.task(role="recorder", name=f"adopter of {each}", service=each, key=KEYS[each], adopts=True)
        for each in KEYS
    ]
    for task in adopters:
        stage.add(task)
    for name in (task.name for task in adopters):
        party = stage.parties[name]
        assert party.process is not None
        if (code := party.process.wait(WELL_SECONDS)) != 0:
            stage.amiss.append(f"{name} ended with {code}: see logs/{name}.log")
        party.held, party.process = True, None
    _until(lambda: not _behind(stage), max(10.0, deadline - time.monotonic()), "the stores do not reach the log's end")
    stage.counts["seconds until all was well"] = int(WELL_SECONDS - (deadline - time.monotonic()))
    if rest := _behind(stage):
        stage.amiss.append(f"the stores stand at {rest}")
    _until(lambda: _serves(stage), ASK_SECONDS, "the server says of itself: ", lambda: str(_health(stage)))
    _ask_many(stage)
    for name, code in stage.stop_all(stage.named(*WORKERS), 30).items():
        if code != 0:
            stage.amiss.append(f"{name} ended with {code}")
    tell("  healed")


def _ask_many(stage: Stage) -> None:
    """When everything is in the stores: each event is there, and each answer right."""
    reader, chance = Reader(stage, stage.seed), Random(stage.seed)
    port, promised = stage.status("api")["port"], settled(stage.directory)
    for event in chance.sample(promised, min(ASKED, len(promised))):
        answer = reader.ask_about(port, event)
        wrong = "no answer" if answer is None else wrongly_answered(event, *answer, healed=True)
        if wrong is not None:
            stage.amiss.append(
                f"asked about {ids.text(event.event_id)} of {event.recorder} when all was healed: {wrong}"
            )
        stage.count("questions asked when all was healed")


def _health(stage: Stage) -> dict[str, Any]:
    """What the server says of itself; empty where it says nothing."""
    with suppress(OSError, http.client.HTTPException, ValueError):
        port = stage.status("api").get("port", 0)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)) as connection:
            connection.request("GET", "/v1/health")
            told: dict[str, Any] = json.loads(connection.getresponse().read())
            return told
    return {}


def _serves(stage: Stage) -> bool:
    return _health(stage).get("status") == "ok"


def _unwell(stage: Stage) -> dict[str, Any]:
    """Who says yet that something is wrong, or says nothing."""
    stage.supervise()
    recorders = {name: stage.status(name) for name in stage.named("recorder")}
    workers = {name: stage.status(name) for name in stage.named(*WORKERS)}
    unwell = {
        name: told
        for name, told in recorders.items()
        if told.get("doing") not in ("idle", "sending") or told.get("error") or not told.get("well")
    }
    return unwell | {
        name: told
        for name, told in workers.items()
        if told.get("state") != "running" or told.get("detail") or told.get("duties")
    }


def _behind(stage: Stage) -> dict[str, object]:
    try:
        with closing(open_log(stage.log)) as log:
            found = {f"{EVENTS} in {name}": behind(log, stage.store(name), EVENTS) for name in STORES}
            found[CONTENTS] = behind(log, stage.store("a"), CONTENTS)
            found["the sentinels"] = awaited(stage.store("a"))
    except BackendError as error:
        return {"the log or store": str(error)}
    return {name: where for name, where in found.items() if where}


def _until(holds: Callable[[], bool], seconds: float, otherwise: str, more: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Stuck(otherwise + more())
        time.sleep(TICK)


class Stuck(AssertionError):
    """Something did not come about in its time."""
