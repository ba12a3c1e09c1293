"""The HTTP application over one store, in as many processes as there are cores, which prints its port. Started by
``benchmarks.answer``.
"""

from __future__ import annotations

import os
import signal
import sys

from api.access import Tokens
from api.app import create_app
from api.server import run, tune_collector
from api.sockets import listen, share
from api.store import Store
from api.workers import run_workers
from benchmarks.generate import TENANT, bundle
from tests.services.forge import LEDGER


def main(url: str) -> None:
    trusted = bundle()
    app = create_app(store=Store(url), ledger=LEDGER, tokens=Tokens(None, TENANT), bundle=lambda: trusted)
    tune_collector()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    sockets = share(listen("127.0.0.1", 0), len(os.sched_getaffinity(0)))
    print(sockets[0].getsockname()[1], flush=True)
    run_workers(len(sockets), lambda number: run(app, sockets[number]), 10)


if __name__ == "__main__":
    main(*sys.argv[1:])
