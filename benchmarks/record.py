"""``record()`` in spool mode: µs a call with a payload of 300 bytes, while the sender waits for the log and while it works.

    python -m benchmarks.record

How long a call holds an asyncio loop is measured while the sender works.

A JSON line a figure; the median of five interleaved runs, ``spread`` being the lowest and the highest.
"""

# ruff: noqa: ARG002 - the signatures are the port's

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from threading import Event
from time import perf_counter_ns

from ledger import Person, Recorder
from ledger.format.kinds import TokenReference
from ledger.ports import Outgoing
from ledger.signers import Ed25519Signer

RUNS = 5
EVENTS = 20_000
WARM = 500
TOKEN = TokenReference(issuer="https://as.example.com", jti="jti-00000001")


class Sink:
    """As much of a log as a recorder needs: takes everything after 3 ms, or holds the sender while it is shut."""

    def __init__(self, *, shut: bool) -> None:
        self.open = Event()
        self._pause = Event()
        if not shut:
            self.open.set()

    def partitions(self, topic: str) -> int:
        return len(topic)

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:
        self._pause.wait(0.003)
        self.open.wait()

    def close(self) -> None:
        self.open.set()


def run(*, shut: bool, loop: bool = False) -> list[float]:
    """µs of each call. The typed function is timed, in a context as a service has it; ``loop``: by a task of asyncio."""
    sink = Sink(shut=shut)
    with tempfile.TemporaryDirectory() as spool:
        recorder = Recorder(
            log=sink,  # type: ignore[arg-type]  # as much of one as a recorder uses
            signer=Ed25519Signer(bytes(32)),
            spool=Path(spool),
            ledger="bench",
            tenant="acme",
            service="agent",
        )
        alice = Person(issuer="https://login.example.com", subject="alice")
        with recorder.execution(agent_id="https://as.example.com#agent", principal=alice):
            recorder.prompt(trigger_kind="human", trust="trusted", text="Book a flight to NYC")
            calls = range(EVENTS + WARM)
            times = asyncio.run(_in_a_loop(recorder)) if loop else [_timed(recorder, number) for number in calls]
        sink.open.set()
        recorder.close()
    return times[WARM:]


async def _in_a_loop(recorder: Recorder) -> list[float]:
    """µs for which each call holds the loop, which turns once between two of them."""
    times = []
    for number in range(EVENTS + WARM):
        times.append(_timed(recorder, number))
        await asyncio.sleep(0)
    return times


def _timed(recorder: Recorder, number: int) -> float:
    start = perf_counter_ns()
    recorder.api_action(
        action_id=f"action-{number:08d}",
        phase="completed",
        operation="POST /v1/bookings/{id}/confirm",
        resource_type="booking",
        resource=f"https://flights.example.com/v1/bookings/{number:08d}",
        target_system="flights.example.com",
        domain="api",
        parameter_digest=bytes(32),
        token=TOKEN,
        outcome="success",
        effect="full",
        status="200",
        observer="agent",
    )
    return (perf_counter_ns() - start) / 1000


def main() -> None:
    figures: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for name, shut in (("idle", True), ("working", False)):
            cuts = quantiles(run(shut=shut), n=100)
            figures.setdefault(f"record_p50_sender_{name}", []).append(cuts[49])
            figures.setdefault(f"record_p99_sender_{name}", []).append(cuts[98])
        held = quantiles(run(shut=False, loop=True), n=100)
        figures.setdefault("record_p99_holds_a_loop", []).append(held[98])
    for name, values in figures.items():
        spread = [round(min(values), 1), round(max(values), 1)]
        print(json.dumps({"name": name, "value": round(median(values), 1), "unit": "us", "n": RUNS, "spread": spread}))


if __name__ == "__main__":
    main()
