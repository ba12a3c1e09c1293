"""What auditors and responders wait for: lineage down with ten thousand descendants; who triggered the end of a path of 200 steps
with three joins each; and a hundred clients at once, each asking over HTTP who triggered the end of a path of 21.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import psycopg

from api.server import tune_collector
from api.store import Store
from benchmarks.answer import served
from benchmarks.clients import ask_at_once
from benchmarks.figures import RUNS, figure, percentile
from benchmarks.generate import BEHIND, ISSUER, TENANT, Generator, bundle
from benchmarks.services import Services
from ledger.ask import lineage_of, who_triggered
from ledger.attribution.subgraph import Limits
from ledger.format.event import Cause
from ledger.format.limits import EVENTS_PER_SEAL
from ledger.ports import EVENTS as TOPIC
from ledger.ports import Record
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.store.lineage import PostgresLineage
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from tests.services.forge import LEDGER, Forge, Made, blank

DESCENDANTS: Final = 10_000
STEPS: Final = 200
CLIENTS: Final = 100
EACH: Final = 3
OTHERS: Final = 20_000
SERVICE: Final = "agent-0"


def measure(services: Services) -> None:
    url = services.database()
    generator = Generator()
    forge = Forge(name=SERVICE, service=SERVICE, now=time.time_ns() // 1000 - BEHIND)
    forge.chain_id = b"questions--bench"
    prompt = _made(forge, "prompt", {"trigger_kind": "human", "trust": "trusted"})
    path = list(_path(forge))
    _fill(url, generator, forge, [forge.open(), prompt, *_below(forge, prompt), *path])
    trusted = bundle()

    tune_collector()  # as whoever serves these questions does, and with its connections, kept open
    store = Store(url)
    store.open()
    wide = Limits(nodes=2 * DESCENDANTS)
    names = ("lineage_down_10000", "lineage_down_10000_cpu", "who_triggered_path_200_joins_3")
    times: dict[str, list[float]] = {f"{name}{when}": [] for name in names for when in ("_first", "")}
    for _ in range(RUNS + 1):  # each by a process that has read nothing, as far as it keeps anything; and once more
        lineage = PostgresLineage(store.connection, Reading(load_schemas(), LEDGER, lambda: trusted), SystemClock().now)
        for when in ("_first", ""):
            began, busy = time.perf_counter(), time.process_time()
            found = lineage_of(lineage, TENANT, prompt.event_id, "down", limits=wide)
            times[f"lineage_down_10000{when}"].append((time.perf_counter() - began) * 1000)
            times[f"lineage_down_10000_cpu{when}"].append((time.process_time() - busy) * 1000)
            assert len(found.nodes) > DESCENDANTS
            del found  # to let go of it is no part of the next question
        for when in ("_first", ""):
            began = time.perf_counter()
            answer = who_triggered(lineage, TENANT, path[-1].event_id)
            times[f"who_triggered_path_200_joins_3{when}"].append((time.perf_counter() - began) * 1000)
            assert len(answer.triggers) == 1, answer.reasons
    store.close()
    for name, each in times.items():
        figure(name, each[1:], "ms", 0)
    _concurrent(url, generator.asked)
    services.drop(url)


def _below(forge: Forge, prompt: Made) -> Iterator[Made]:
    """Steps below the prompt, a hundred to each of a hundred."""
    above: list[Made] = []
    for number in range(DESCENDANTS):
        cause = prompt if number < 100 else above[number % 100]
        made = _made(forge, "reasoning_step", {"status": "completed", "visibility": "withheld"}, cause)
        above.append(made)
        yield made


def _path(forge: Forge) -> Iterator[Made]:
    """A prompt, then steps that cite the one before and are joined to a token, a decision and an approval of their own."""
    last = _made(forge, "prompt", {"trigger_kind": "human", "trust": "trusted"})
    yield last
    for number in range(STEPS):
        token = {"issuer": ISSUER, "jti": f"path-{number}", "digest": None}
        yield _made(
            forge,
            "token_issuance",
            {"status": "issued", "token": token, "verification": "issuer", "observer": "issuer"},
        )
        yield _made(forge, "policy_decision", {"decision": "allow", "decision_id": f"path-{number}", "action": "go"})
        yield _made(forge, "oversight", {"oversight_id": f"path-{number}", "action": "approve", "binding": "reference"})
        acted = {"action_id": f"path-{number}", "phase": "completed", "operation": "go", "observer": "agent"}
        joined = {"token": token, "decision_id": f"path-{number}", "oversight_ids": [f"path-{number}"]}
        last = _made(forge, "api_action", acted | joined, last)
        yield last


def _made(forge: Forge, kind: str, payload: dict[str, Any], cause: Made | None = None) -> Made:
    forge.now += 1000
    causes = [] if cause is None else [Cause(cause.event_id, cause.digest, "started_by")]
    return forge.make(kind, blank(kind) | payload, causes=causes)


def _fill(url: str, generator: Generator, forge: Forge, made: list[Made]) -> None:
    with closing(PostgresProjection(url, load_schemas(), LEDGER, bundle())) as projection:
        projection.claim(TOPIC, "bench", [0])
        records = [Record(TOPIC, 0, 0, time.time_ns() // 1000, out.key, out.value) for out in generator.batches(OTHERS)]
        seals = (forge.seal(*made[start : start + EVENTS_PER_SEAL]) for start in range(0, len(made), EVENTS_PER_SEAL))
        records += [forge.record(sealed, append_time=time.time_ns() // 1000) for sealed in seals]
        records = [record._replace(offset=offset) for offset, record in enumerate(records)]
        for start in range(0, len(records), 50):
            projection.commit(projection.prepare(records[start : start + 50]))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze events, causes, joins, seals")


def _concurrent(url: str, asked: list[bytes]) -> None:
    """ms of each question while a hundred clients ask at once; any failure is one of the benchmark."""
    runs, taken = [], []
    with served(url) as port:
        ask_at_once(port, [asked[:1]] * 8)
        for run in range(RUNS):
            parts = [asked[(run * CLIENTS + i) * EACH % (len(asked) - EACH) :][:EACH] for i in range(CLIENTS)]
            busy = time.process_time()
            runs.append(ask_at_once(port, parts))
            taken.append((time.process_time() - busy) * 1000 / (CLIENTS * EACH))
    figure("who_triggered_100_clients_p95", [percentile(run, 95) for run in runs], "ms", 0)
    figure("who_triggered_100_clients_own_cpu", taken, "ms/question", 2)
