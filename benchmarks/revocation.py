"""The revocation cascade: a token from which ten thousand were derived, half of them and of their uses after it was revoked,
in a store of other runs. A question is whole: statements, ends, counts, and a page of fifty events decoded and verified.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import psycopg

from benchmarks.figures import EVENTS, RUNS, figure, percentile
from benchmarks.generate import BEHIND, ISSUER, TENANT, Generator, bundle
from benchmarks.services import Services
from ledger.attribution.tokens.values import Asked
from ledger.format.limits import EVENTS_PER_SEAL
from ledger.ports import EVENTS as TOPIC
from ledger.ports import Record
from ledger.schema_files import load_schemas
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from ledger.store.token_lineage import token_lineage
from tests.services.forge import LEDGER, Forge, Made, blank

DERIVED: Final = 10_000
USES: Final = 3_000
FAN_OUT: Final = 4
APART: Final = 50_000
"""µs from one event to the next: the tolerance of clocks is over long before the last."""
QUESTIONS: Final = 40
SERVICE: Final = "agent-0"


def measure(services: Services) -> None:
    url = services.database()
    _fill(url)
    times = [_ask(url) for _ in range(RUNS)]
    for percent in (50, 99):
        figure(f"revocation_cascade_10000_p{percent}", [percentile(run, percent) for run in times], "ms", 1)
    services.drop(url)


def _fill(url: str) -> None:
    with closing(PostgresProjection(url, load_schemas(), LEDGER, bundle())) as projection:
        projection.claim(TOPIC, "bench", [0])
        waiting: list[Record] = []
        for offset, record in enumerate(_records()):
            waiting.append(record._replace(offset=offset))
            if len(waiting) == 50:
                projection.commit(projection.prepare(waiting))
                waiting = []
        projection.commit(projection.prepare(waiting))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze events, causes, joins, rights, seals")


def _records() -> Iterator[Record]:
    """Other runs, then the tokens and their uses, by a chain of its own."""
    for out in Generator().batches(min(EVENTS // 10, 100_000)):
        assert out.value is not None
        yield Record(TOPIC, 0, 0, time.time_ns() // 1000, out.key, out.value)
    forge = Forge(name=SERVICE, service=SERVICE, now=time.time_ns() // 1000 - BEHIND)
    forge.chain_id = b"revocation-bench"
    made = [forge.open(), *_story(forge)]
    for start in range(0, len(made), EVENTS_PER_SEAL):
        yield forge.record(forge.seal(*made[start : start + EVENTS_PER_SEAL]), append_time=time.time_ns() // 1000)


def _story(forge: Forge) -> Iterator[Made]:
    yield _made(forge, "token_issuance", _issued(0) | {"subject_token": None})
    for number in range(1, DERIVED + 1):
        yield _made(forge, "token_issuance", _issued(number))
        if number % (DERIVED // USES) == 0:
            used = {"action_id": f"use-{number}", "phase": "completed", "operation": "POST /", "observer": "agent"}
            yield _made(forge, "api_action", used | {"token": _token(number)})
        if number == DERIVED // 2:
            revoked = {"extent": "token", "token": _token(0), "issuer": ISSUER, "derived_tokens": "kept"}
            yield _made(forge, "token_revocation", revoked)


def _issued(number: int) -> dict[str, Any]:
    source = _token((number - 1) // FAN_OUT)
    return {
        "status": "issued",
        "token": _token(number),
        "subject_token": source,
        "verification": "issuer",
        "observer": "issuer",
    }


def _token(number: int) -> dict[str, Any]:
    return {"issuer": ISSUER, "jti": f"derived-{number}", "digest": None}


def _made(forge: Forge, kind: str, payload: dict[str, Any]) -> Made:
    forge.now += APART
    return forge.make(kind, blank(kind) | payload)


def _ask(url: str) -> list[float]:
    """ms of each question; the first ones, which verify seals that later ones know, are not counted."""
    trusted = bundle()
    reading = Reading(load_schemas(), LEDGER, lambda: trusted)
    times = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set jit = off")
        for _ in range(QUESTIONS + 5):
            began = time.perf_counter()
            page = token_lineage(
                connection, reading, TENANT, Asked(ISSUER, "derived-0"), now=time.time_ns() // 1000, only_after=True
            )
            times.append((time.perf_counter() - began) * 1000)
            counted = page.lineage.counted
            assert counted.rights == DERIVED, counted
            assert 0 < counted.rights_after < DERIVED / 2, counted
            assert len(page.lineage.happenings) == 50
    return times[5:]
