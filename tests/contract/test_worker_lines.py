"""What a worker writes to its log: where and of which chain and seal something is wrong, a line of JSON each, and no content."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
from structlog.testing import capture_logs

from consumers.health import Health
from consumers.worker import TOLD, Worker
from ledger.cli.lines import trace
from ledger.errors import LedgerError
from ledger.ports import EVENTS, Bounds, Outgoing, Record
from ledger.schema_files import load_schemas
from ledger.store.projection import Flush, PostgresProjection
from tests.contract.test_materializer import PACE, At, OneMember, filled, run_until
from tests.services.forge import EMPTY, LEDGER, Forge, Trust, signer
from tests.waiting import until

TEXT = "what no log should repeat"
"""Of characters that no rendering escapes: else it could stand there and not be found."""
PAYLOAD = {**EMPTY["prompt"], "channel": TEXT, "origin": TEXT}


ERRORS = structlog.processors.ExceptionRenderer(trace)


class Broken(PostgresProjection):
    """Fails of what a record says, and repeats it."""

    def prepare(self, records: Sequence[Record]) -> Flush:  # noqa: ARG002
        raise ValueError(f"cannot make sense of {TEXT!r}")


def lines_of(log: OneMember, to: PostgresProjection, done: int, **given: Any) -> list[dict[str, Any]]:
    """What a worker says until it has read ``done`` records; an error with where it came from, as a process tells it."""
    health = Health("materializer")
    worker = Worker(topic=EVENTS, group="g", log=log, projection=to, clock=At(), health=health, pace=PACE, **given)
    with capture_logs(processors=[ERRORS]) as lines:
        run_until(worker, lambda: health.snapshot.records + health.snapshot.quarantined >= done)
    assert TEXT not in shown(asdict(health.snapshot))
    return [dict(line) for line in lines]


def shown(said: object) -> str:
    """As a line of the log has it."""
    return json.dumps(said, default=str, ensure_ascii=False)


def projection(url: str, kind: type[PostgresProjection] = PostgresProjection) -> PostgresProjection:
    return kind(url, load_schemas(), LEDGER, Trust().key(signer("alpha"), tenants=["acme"]).bundle)


def test_a_refused_record_is_told_with_its_place_its_chain_and_its_seal(url: str) -> None:
    forge, log = Forge(), filled(Forge(), 0)
    first, second = forge.seal(forge.make(payload=PAYLOAD)), forge.seal(forge.make(payload=PAYLOAD))
    tampered = second.value.replace(TEXT.encode(), TEXT.encode().upper())
    for value in (first.value, tampered, b"garbage " + TEXT.encode(), second.value):
        log.append([Outgoing(EVENTS, 0, forge.chain_id, value)], timeout=1)
    with closing(projection(url)) as to:
        lines = lines_of(log, to, 4)
    refused = [line for line in lines if line["event"] == "record refused"]
    assert [(line["reason"], line["partition"], line["offset"]) for line in refused] == [
        ("bad_payload", 0, 1),
        ("malformed", 0, 2),
    ]
    assert (refused[0]["service"], refused[0]["chain"], refused[0]["seal"]) == ("agent", forge.chain_id.hex(), 1)
    assert (refused[1]["service"], refused[1]["chain"], refused[1]["seal"]) == (None, None, None)
    assert TEXT.lower() not in shown(lines).lower()


def test_a_finding_is_told_with_its_chain_its_seal_and_the_record_that_showed_it(url: str) -> None:
    forge, log = Forge(), filled(Forge(), 0)
    seals = [forge.seal(forge.make(payload=PAYLOAD)) for _ in range(3)]
    for sealed in (seals[0], seals[2]):
        log.append([Outgoing(EVENTS, 0, forge.chain_id, sealed.value)], timeout=1)
    with closing(projection(url)) as to:
        lines = lines_of(log, to, 2)
    (found,) = [line for line in lines if line["event"] == "finding opened"]
    assert (found["finding"], found["chain"], found["seal"]) == ("gap", forge.chain_id.hex(), 1)
    assert (found["service"], found["partition"], found["offset"]) == ("agent", 0, 1)
    assert TEXT not in shown(lines)


def test_a_fork_is_told_with_its_chain_and_its_seal(url: str) -> None:
    forge, log = Forge(), filled(Forge(), 0)
    first = forge.seal(forge.make(payload=PAYLOAD))
    other = copy.deepcopy(forge)
    for sealed in (first, forge.seal(forge.make()), other.seal(other.make(payload=PAYLOAD))):
        log.append([Outgoing(EVENTS, 0, forge.chain_id, sealed.value)], timeout=1)
    with closing(projection(url)) as to:
        lines = lines_of(log, to, 3)
    found = [line for line in lines if line["event"] == "finding opened"]
    assert found, "nothing was told"
    for line in found:  # of both branches
        assert (line["finding"], line["chain"], line["seal"]) == ("fork", forge.chain_id.hex(), 1)
        assert (line["partition"], line["offset"]) == (0, 2)


def test_a_flood_of_findings_is_told_in_few_lines(url: str) -> None:
    log = filled(Forge(), 0)
    for number in range(2 * TOLD):
        forge = Forge(service=f"s{number}")
        forge.seal(forge.make())
        log.append([Outgoing(EVENTS, 0, forge.chain_id, forge.seal(forge.make()).value)], timeout=1)
    health = Health("materializer")
    pace = type(PACE)(poll_records=4 * TOLD, poll_seconds=0.02, tend_seconds=0.1, retry_seconds=0.02)
    with closing(projection(url)) as to, capture_logs() as lines:
        worker = Worker(topic=EVENTS, group="g", log=log, projection=to, clock=At(), health=health, pace=pace)
        run_until(worker, lambda: health.snapshot.records == 2 * TOLD)
    assert sum(line["event"] == "finding opened" for line in lines) == TOLD
    assert sum(line.get("gap", 0) for line in lines if line["event"] == "more findings opened") == TOLD


def test_a_flood_of_refused_records_is_told_in_few_lines(url: str) -> None:
    log = filled(Forge(), 0)
    log.append([Outgoing(EVENTS, 0, b"k", b"%d" % n) for n in range(4 * TOLD)], timeout=1)
    health = Health("materializer")
    pace = type(PACE)(poll_records=4 * TOLD, poll_seconds=0.02, tend_seconds=0.1, retry_seconds=0.02)
    with closing(projection(url)) as to, capture_logs() as lines:
        worker = Worker(topic=EVENTS, group="g", log=log, projection=to, clock=At(), health=health, pace=pace)
        run_until(worker, lambda: health.snapshot.records == 4 * TOLD)
    told = sum(line["event"] == "record refused" for line in lines)
    more = sum(line["records"] for line in lines if line["event"] == "more records refused")
    assert (told, more) == (TOLD, 3 * TOLD)


def test_a_record_that_is_set_aside_is_told_with_its_place_and_without_what_it_says(url: str) -> None:
    forge, log = Forge(), filled(Forge(), 0)
    log.append([Outgoing(EVENTS, 0, forge.chain_id, forge.seal(forge.make(payload=PAYLOAD)).value)], timeout=1)
    with closing(projection(url, Broken)) as to:
        lines = lines_of(log, to, 1)
    (aside,) = (line for line in lines if line["event"] == "record set aside")
    assert (aside["partition"], aside["offset"], aside["error"]) == (0, 0, "ValueError")
    assert TEXT not in shown(lines)


def test_a_duty_that_fails_of_a_record_is_told_without_what_it_says(url: str) -> None:
    def refused() -> None:
        raise LedgerError(f"the store refused {TEXT!r}") from ValueError(TEXT)

    log = filled(Forge(), 1)
    with closing(projection(url)) as to:
        lines = lines_of(log, to, 1, tend=refused)
    assert "LedgerError from ValueError" in [line["error"] for line in lines if line["event"] == "a duty failed"]
    assert TEXT not in shown(lines)


def test_a_step_that_fails_of_a_record_is_told_with_where_it_failed_and_without_what_it_says(url: str) -> None:
    class Confused(OneMember):
        confused = False

        def bounds(self, topic: str) -> Mapping[int, Bounds]:
            if self.confused:
                self.confused = False
                raise ValueError(f"cannot make sense of {TEXT!r}")
            return super().bounds(topic)

    log = Confused(At(), partitions=1)
    forge = Forge()
    log.append([Outgoing(EVENTS, 0, forge.chain_id, forge.seal(forge.make()).value)], timeout=1)
    log.confused = True
    with closing(projection(url)) as to:
        lines = lines_of(log, to, 1)
    (again,) = (line for line in lines if line["event"] == "will try again")
    assert again["error"] == "ValueError"
    assert "in bounds" in again["exception"]
    assert TEXT not in shown(lines)


def test_every_line_of_a_process_is_json_with_time_and_level(tmp_path: Path) -> None:
    given = {
        "ANSWERABLE_DATA_DIR": str(tmp_path),
        "ANSWERABLE_LEDGER": LEDGER,
        "ANSWERABLE_STORE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "ANSWERABLE_LOG_URL": "kafka://127.0.0.1:1/p",
    }
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    with (tmp_path / "lines").open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "ledger.cli", "contents"], env=plain | given, stderr=output)
    until(lambda: b"will try again" in (tmp_path / "lines").read_bytes(), 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert lines
    assert all(line["level"] and line["timestamp"].endswith("Z") and line["event"] for line in lines)
