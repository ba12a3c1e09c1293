"""Strict ``record()`` on Kafka, as a ratio to a bare acks=all send with the same linger; call by call, in turn."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

from kafka import KafkaProducer

from benchmarks.figures import RUNS, figure
from benchmarks.generate import TENANT
from benchmarks.services import Services
from ledger import Recorder
from ledger.ports import EVENTS
from tests.services.forge import LEDGER, signer

CALLS = 200
BYTES = 1000
"""About what a batch of one event has."""


def measure(services: Services) -> None:
    strict, bare, ratios = [], [], []
    for _ in range(RUNS):
        ours, theirs = _run(services)
        strict.append(ours)
        bare.append(theirs)
        ratios.append(ours / theirs)
    figure("strict_record_p50", strict, "ms", 2)
    figure("bare_send_p50", bare, "ms", 2)
    figure("strict_record_ratio", ratios, "ratio", 2)


def _run(services: Services) -> tuple[float, float]:
    """Median ms of each."""
    log, _ = services.log()
    other, bare_prefix = services.log()
    strict, bare = [], []
    producer = KafkaProducer(
        bootstrap_servers=services.bootstrap, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=0
    )
    with tempfile.TemporaryDirectory() as spool, closing(log), closing(other), closing(producer):
        recorder = Recorder(
            log=log,
            signer=signer("agent-0"),
            spool=Path(spool),
            ledger=LEDGER,
            tenant=TENANT,
            service="agent",
            mode="strict",
        )
        for _ in range(CALLS):
            began = perf_counter()
            recorder.prompt(trigger_kind="human", trust="trusted")
            between = perf_counter()
            producer.send(bare_prefix + EVENTS, value=bytes(BYTES), partition=0).get(10)
            strict.append(between - began)
            bare.append(perf_counter() - between)
        recorder.close()
    return median(strict[20:]) * 1000, median(bare[20:]) * 1000
