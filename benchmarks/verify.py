"""What ``answerable verify`` does with a log in Kafka: events/s, without and with the check that every encoding is the one."""

from __future__ import annotations

import time
from contextlib import closing

from benchmarks.figures import RATE_EVENTS, RUNS, figure
from benchmarks.generate import Generator, bundle
from benchmarks.services import Services, fill
from ledger.cli.verify import seldom_collecting
from ledger.ports import Log
from ledger.schema_files import load_schemas
from ledger.trust.verdict import Judge
from ledger.verification import verify_log
from tests.services.forge import LEDGER


def measure(services: Services) -> None:
    log, _ = services.log()
    rates: dict[bool, list[float]] = {False: [], True: []}
    with closing(log):
        fill(log, Generator().batches(RATE_EVENTS))
        for _ in range(RUNS):
            for canonical, values in rates.items():
                values.append(_run(log, canonical=canonical))
    figure("verify_chains", rates[False], "events/s", 0)
    figure("verify_chains_canonical", rates[True], "events/s", 0)


def _run(log: Log, *, canonical: bool) -> float:
    schemas = load_schemas()
    judge = Judge(schemas, LEDGER, bundle(), canonical=canonical)
    began = time.perf_counter()
    with seldom_collecting():
        report = verify_log(log, judge, schemas)
    assert not report.faults, report.faults
    return report.events / (time.perf_counter() - began)
