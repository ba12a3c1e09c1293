"""Recorder → one broker → one materializer → Postgres, all on the same cores: events/s from the first call to the last commit."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.figures import RATE_EVENTS, RUNS, figure
from benchmarks.generate import ISSUER, TENANT
from benchmarks.materialize import materialize
from benchmarks.services import Services
from ledger import Person, Recorder
from ledger.format.kinds import TokenReference
from ledger.logs.kafka import KafkaLog
from tests.services.forge import LEDGER, signer


def measure(services: Services) -> None:
    figure("end_to_end", [_run(services, RATE_EVENTS // 2) for _ in range(RUNS)], "events/s", 0)


def _run(services: Services, events: int) -> float:
    log, prefix = services.log()
    url = services.database()
    began = 0.0

    def record() -> None:
        nonlocal began
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as spool:
            recorder = Recorder(
                log=KafkaLog(services.bootstrap, prefix),
                signer=signer("agent-0"),
                spool=Path(spool),
                ledger=LEDGER,
                tenant=TENANT,
                service="agent",
            )
            tell(recorder, events)
            assert recorder.close(120)

    with closing(log):
        work = materialize(services, log, prefix, url, meanwhile=record)
    seconds = time.monotonic() - began
    services.drop(url)
    assert work.events >= events // 21 * 21
    return work.events / seconds


def tell(recorder: Recorder, events: int) -> None:
    """Runs of twenty-one events each, by the typed functions."""
    alice = Person(issuer=ISSUER, subject="alice", name="Alice")
    for number in range(events // 21):
        token = TokenReference(issuer=ISSUER, jti=f"token-{number}")
        with recorder.execution(agent_id=f"{ISSUER}#agent", principal=alice):
            recorder.prompt(trigger_kind="human", channel="web", trust="trusted")
            for turn in range(5):
                name = f"{number}-{turn}"
                step = recorder.reasoning_step(status="completed", visibility="withheld")
                with recorder.caused_by(step):
                    decision = recorder.policy_decision(
                        decision="allow", decision_id=name, action="book", engine="cedar"
                    )
                with recorder.caused_by(decision):
                    action = recorder.api_action(
                        action_id=name, phase="intended", operation="POST /bookings", observer="agent", token=token
                    )
                with recorder.caused_by(action):
                    recorder.api_action(
                        action_id=name,
                        phase="completed",
                        operation="POST /bookings",
                        observer="agent",
                        outcome="success",
                        token=token,
                    )
