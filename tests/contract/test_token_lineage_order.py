"""The lineage of tokens does not depend on the order in which events arrive, nor on how they are committed together."""

from __future__ import annotations

import random

import psycopg
import pytest

from ledger.attribution.json_form import to_json
from ledger.attribution.tokens.values import Asked
from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.store.migrations import migrate
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from ledger.store.token_lineage import token_lineage
from ledger.trust.bundle import TrustBundle
from tests.attribution.scenario import SECOND, Story, read_scenario
from tests.attribution.stored import records_of
from tests.services.databases import Databases
from tests.services.forge import LEDGER, NAMED, START, Trust

ISSUED = "token_issuance status=issued verification=issuer observer=issuer"
STORY = f"""
person alice Alice
drawn at
g0 consent grant grant_id=G action=give grantor=alice method=explicit at=0
t1 issuer {ISSUED} token=j1 subject=alice grant_id=G at=1
t1b client token_issuance status=issued token=j1 subject=alice scopes=x verification=none observer=client at=2
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1 at=3
t3 broker {ISSUED} token=@d3 subject=alice subject_token=j2 actor_token=j1 at=4
t4 broker {ISSUED} token=j1 subject=alice subject_token=@d3 at=5
r1 issuer {ISSUED} token=j9 subject=alice grant_id=G grant_type=refresh_token subject_token=j1 at=6
x1 issuer token_revocation extent=token token=j1 issuer=as derived_tokens=unknown at=500
a1 agent api_action phase=completed operation=b observer=agent action_id=x token=@d3 at=600
a2 agent api_action phase=completed operation=b observer=agent action_id=y token=j2 at=10
"""
ASKED = [Asked("as", "j1"), Asked("as", "j2"), Asked("as", "j9"), Asked(grant_id="G")]


def told(url: str, bundle: TrustBundle) -> list[object]:
    """What is said of each token and grant, without append times: nothing in a lineage has one."""
    reading = Reading(load_schemas(), LEDGER, lambda: bundle)
    with psycopg.connect(url, autocommit=True) as connection:
        return [
            to_json(token_lineage(connection, reading, "acme", asked, now=START + 9000 * SECOND).lineage)
            for asked in ASKED
        ]


def laid(url: str, records: list[Record], bundle: TrustBundle, sizes: random.Random) -> None:
    migrate(url)
    projection = PostgresProjection(url, load_schemas(), LEDGER, bundle)
    try:
        projection.claim(EVENTS, "topic", [0])
        place = 0
        numbered = [replace_offset(record, offset) for offset, record in enumerate(records)]
        while place < len(numbered):
            size = sizes.randint(1, 5)
            projection.commit(projection.prepare(numbered[place : place + size]))
            place += size
    finally:
        projection.close()


def replace_offset(record: Record, offset: int) -> Record:
    """The record where it lies in this log, later than all before it."""
    return record._replace(offset=offset, append_time=START + 10_000 * SECOND + offset * 1000)


def trust_of(story: Story) -> TrustBundle:
    trust = Trust()
    for service, forge in story.forges.items():
        trust.key(forge.signer, services=[service], kinds=["*", *NAMED])
    return trust.bundle


@pytest.fixture(scope="module")
def story() -> Story:
    return read_scenario(STORY)


@pytest.fixture(scope="module")
def in_order(postgres: Databases, story: Story) -> list[object]:
    url = postgres.fresh()
    laid(url, list(records_of(story)), trust_of(story), random.Random(0))
    return told(url, trust_of(story))


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_arrival_and_any_partition_into_commits_tell_the_same(
    postgres: Databases, in_order: list[object], seed: int
) -> None:
    story = read_scenario(STORY)
    records = list(records_of(story))
    order = random.Random(seed)
    order.shuffle(records)
    records += order.sample(records, 3)
    url = postgres.fresh()
    laid(url, records, trust_of(story), order)
    assert told(url, trust_of(story)) == in_order
    postgres.drop(url)
