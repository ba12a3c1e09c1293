"""A sentinel over a store that a test laid down: swept to its end, and what it then holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ledger.schema_files import load_schemas
from ledger.store.judging import judge
from ledger.store.nodes import Reading
from ledger.store.sweeping import sweep
from ledger.trust.bundle import TrustBundle
from tests.services.forge import LEDGER

STEPS = 10_000


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def sentinel(url: str, bundle: TrustBundle, *, limit: int = 1000) -> int:
    """Sweeps and judges until nothing is left; returns how many judgements that took."""
    reading = Reading(load_schemas(), LEDGER, lambda: bundle)
    with connected(url) as connection:
        made = 0
        for _ in range(STEPS):
            swept = sweep(connection, load_schemas(), bundle)
            judged = judge(connection, reading, limit=limit)
            made += judged.judged
            if not swept.more and not judged.taken:
                return made
    raise AssertionError("the sentinel comes to no end")
