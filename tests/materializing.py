"""A materializer of a store and a log in Postgres, in a process of its own: ``python -m tests.materializing STORE LOG KEY``.

It trusts the key of the forge that is called KEY, and has less patience than one in production, in the same proportion.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from consumers.health import Health
from consumers.materializer import materializer
from consumers.running import run_opened, stop_on_signals
from ledger.cli.lines import write_lines
from ledger.logs.postgres import PostgresLog
from ledger.schema_files import load_schemas
from ledger.store.projection import PostgresProjection
from ledger.wiring import CLOCK
from tests.services.forge import LEDGER, Trust, signer

SESSION_SECONDS: Final = 1.5
STUCK_SECONDS: Final = 1.0


def main(store: str, log: str, key: str) -> None:
    write_lines()
    stop, health, bundle = stop_on_signals(), Health("materializer"), Trust().key(signer(key)).bundle

    @contextmanager
    def opened() -> Iterator[Any]:
        with (
            closing(PostgresLog(log, session_seconds=SESSION_SECONDS)) as records,
            closing(PostgresProjection(store, load_schemas(), LEDGER, bundle, stuck=STUCK_SECONDS)) as rows,
        ):
            yield materializer(log=records, projection=rows, trust=lambda: bundle, clock=CLOCK, health=health)

    run_opened(opened, health, stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
