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
from api.sockets import bind
from api.store import Store
from benchmarks.generate import TENANT, bundle
from tests.services.forge import LEDGER


def main(url: str) -> None:
    trusted = bundle()
    app = create_app(store=Store(url), ledger=LEDGER, tokens=Tokens(None, TENANT), bundle=lambda: trusted)
    tune_collector()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        run(app, bound, lambda: print(port, flush=True), workers=len(os.sched_getaffinity(0)))


if __name__ == "__main__":
    main(*sys.argv[1:])
