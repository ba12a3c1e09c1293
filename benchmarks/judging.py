"""A sentinel as a process, which judges until its input is closed and nothing is left. Started by ``benchmarks.sentinel``."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from threading import Event, Thread

from benchmarks.generate import bundle
from consumers.materializer import tune_collector
from consumers.sentinel import BUSY_SECONDS
from consumers.worker import Pace
from ledger.schema_files import load_schemas
from ledger.store.sentinel import PostgresSentinel
from ledger.store.sweeping import NotReady
from tests.services.forge import LEDGER


def main(url: str) -> None:
    trusted, last, events = bundle(), Event(), 0
    with closing(PostgresSentinel(url, load_schemas(), LEDGER, lambda: trusted)) as sentinel:
        tune_collector()
        Thread(target=_listen, args=(last,), daemon=True).start()
        print("ready", flush=True)
        began, cpu = time.monotonic(), time.process_time()
        while True:
            told = last.is_set()
            try:
                step = sentinel.step()
            except NotReady:  # until the materializer has begun
                if told:
                    raise
                last.wait(Pace().poll_seconds)
                continue
            events += step.swept
            if not step.more:
                if told and not step.busy:
                    break
                if step.busy:
                    time.sleep(BUSY_SECONDS)
                else:
                    last.wait(Pace().poll_seconds)
    ended = time.monotonic()
    report = {"events": events, "seconds": ended - began, "ended": ended, "cpu": time.process_time() - cpu}
    print(json.dumps(report), flush=True)


def _listen(last: Event) -> None:
    sys.stdin.read()
    last.set()


if __name__ == "__main__":
    main(*sys.argv[1:])
