"""Nobody is accused who did nothing wrong, and everything is attributed."""

from __future__ import annotations

from contextlib import closing

import pytest

from ledger.ports import EVENTS
from ledger.schema_files import load_schemas
from ledger.store.coverage import coverage
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from tests.attribution.scenario import Story
from tests.attribution.stored import add_people
from tests.sentinel.honest import EXECUTIONS, FIRST, PIECE, honest
from tests.sentinel.sweeping import connected, sentinel
from tests.services.databases import Databases
from tests.services.forge import LEDGER, NAMED, Trust, signer

SERVICES = ("platform", "portal", "issuer", "travel", "policy", "desk", "flights", "payer", "bank")
JUDGED = 9
"""Events of consequence of one execution."""
ACTIONS = 5
"""What they are accounts of: a try that failed and one that did not, a payment, and two tokens."""


PROVED = range(FIRST, FIRST + EXECUTIONS)
PIECES = [PROVED[start : start + PIECE] for start in range(0, EXECUTIONS, PIECE)]
SWEPT = 50
"""Commits after which the sentinel sweeps and judges: never all at once."""


@pytest.mark.parametrize(
    "executions",
    [
        range(1000),
        *(pytest.param(piece, marks=[pytest.mark.prove, pytest.mark.timeout(7200)]) for piece in PIECES),
    ],
    ids=lambda each: f"{each.start}-{each.stop}",
)
def test_an_honest_load_yields_no_finding_and_each_event_is_attributed(postgres: Databases, executions: range) -> None:
    url = postgres.fresh(migrate)
    trust = Trust()
    for name in SERVICES:
        trust.key(signer(name), services=[name], kinds=["*", *NAMED])
    story = Story()
    offset = made = 0
    with (
        closing(PostgresProjection(url, load_schemas(), LEDGER, trust.bundle)) as projection,
        connected(url) as connection,
    ):
        projection.claim(EVENTS, "topic", [0])
        for number, part in enumerate(honest(story, executions)):
            records = [each._replace(offset=offset + n) for n, each in enumerate(part)]
            offset += len(records)
            projection.commit(projection.prepare(records))
            if number == 0:
                add_people(connection, story)
            if number % SWEPT == SWEPT - 1:
                projection.analyze()
                made += sentinel(url, trust.bundle)
        made += sentinel(url, trust.bundle)
        accused = connection.execute(
            "select rule, detail, count(*) from contradictions group by 1, 2 limit 20"
        ).fetchall()
        stored = connection.execute("select name, count(*) from findings group by 1").fetchall()
        refused = connection.execute("select reason, detail from rejected limit 5").fetchall()
        found = coverage(connection, story.tenant)
    assert (accused, stored, refused) == ([], [], [])
    assert (found.accounts, found.not_judged, found.stale) == (JUDGED * len(executions), 0, 0)
    assert found.actions == ACTIONS * len(executions)
    assert {each.class_ for each in found.counts} == {"attributed"}
    assert made < 1.1 * JUDGED * len(
        executions
    )  # what is not swept yet is judged when it is, whatever makes it stale before
    postgres.drop(url)
