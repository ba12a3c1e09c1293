"""The HTTP application over one store, as a process that prints its port. Started by ``benchmarks.answer``."""

from __future__ import annotations

import sys

import uvicorn

from api.access import Tokens
from api.app import create_app
from api.server import listen
from api.store import Store
from benchmarks.generate import TENANT, bundle
from tests.services.forge import LEDGER


def main(url: str) -> None:
    trusted = bundle()
    app = create_app(store=Store(url), ledger=LEDGER, tokens=Tokens(None, TENANT), bundle=lambda: trusted)
    with listen("127.0.0.1", 0) as listening:
        listening.listen()
        print(listening.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none")).run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
