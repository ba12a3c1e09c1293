"""A store that an earlier release filled, after ``migrate``: it holds what one of this release does, and goes on as it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from ledger.schema_files import load_schemas
from ledger.store.digest import digest_of, state_digest
from ledger.store.migrations import migrate
from ledger.store.natural import ROWS
from ledger.store.rebuild import rebuild
from tests.contract.test_store_compare import LOGS, known, prepared
from tests.older import make_older
from tests.services import Databases
from tests.services.forge import LEDGER, Forge
from tests.services.stand import Stand

REBUILT = ("rights",)
"""Rows that only `answerable rebuild` makes of events stored before there were such; doctor and answers say so."""
KEPT = tuple(each for each in ROWS if each.table not in REBUILT)
SWAPPED = """
with other as (
    select distinct on (event_id, digest) * from sightings order by event_id, digest, seal desc, at
), put as (
    insert into sightings select event_id, digest, e.seal, e.at, e.effective from events e join other using (event_id, digest)
), gone as (
    delete from sightings s using other o where (s.event_id, s.digest, s.seal, s.at) = (o.event_id, o.digest, o.seal, o.at)
)
update events e set seal = o.seal, at = o.at from other o where (e.event_id, e.digest) = (o.event_id, o.digest)"""
"""As an earlier release had it that took the seals in another order."""
STANDING = """
select event_id, e.digest, s.digest, e.at, e.effective, array_agg((o.digest, g.at, g.effective)::text order by o.digest, g.at)
  from events e join sightings g using (event_id, digest) join seals s on s.id = e.seal join seals o on o.id = g.seal
 group by event_id, e.digest, s.digest, e.at, e.effective order by 1, 2"""
LEAVES = "select digest, leaves, octet_length(leaves) / 32 = event_count from seals order by digest"


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    made = postgres.fresh(prepared)
    yield made
    postgres.drop(made)


@pytest.fixture(params=["0004", "0006", "0008"])
def older(request: pytest.FixtureRequest, url: str, postgres: Databases) -> Iterator[str]:
    """The same rows in the tables of an earlier release."""
    made = postgres.fresh()
    left = make_older(made, url, request.param)
    assert len(left) >= 3
    yield made
    postgres.drop(made)


def test_a_migrated_store_has_the_state_of_one_that_was_never_older(older: str, url: str) -> None:
    migrate(older)
    assert digest_of(older, KEPT) == digest_of(url, KEPT)
    with psycopg.connect(older) as migrated, psycopg.connect(url) as other:
        leaves = migrated.execute(LEAVES).fetchall()
        assert leaves == other.execute(LEAVES).fetchall()
        assert all(whole for *_, whole in leaves), "of events sighted again, refused alone, and erased too"
        assert migrated.execute("select count(*) from rejected where at >= 0").fetchone() != (0,)
        assert migrated.execute("select count(*) from sightings").fetchone() != (0,)


def test_an_event_that_stood_under_another_of_its_seals_stands_under_the_first(older: str, url: str) -> None:
    with psycopg.connect(older) as connection:
        assert connection.execute(SWAPPED).rowcount > 0
    migrate(older)
    with psycopg.connect(older) as migrated, psycopg.connect(url) as other:
        assert migrated.execute(STANDING).fetchall() == other.execute(STANDING).fetchall() != []
    assert digest_of(older, KEPT) == digest_of(url, KEPT)


def test_it_goes_on_as_one_that_was_never_older(older: str, url: str) -> None:
    migrate(older)
    forge = Forge(name="beta", tenant="other")
    later = [forge.record(forge.seal(forge.make())) for _ in range(2)]
    for each in (older, url):
        with closing(Stand(each, known().bundle)) as stand:
            stand.take(*(record._replace(partition=2) for record in later))
    assert digest_of(older, KEPT) == digest_of(url, KEPT)


def test_a_rebuilt_one_has_the_whole_state(older: str, url: str, postgres: Databases) -> None:
    migrate(older)
    rebuild(older, [LOGS["log"]], load_schemas(), LEDGER, known().bundle)
    assert state_digest(older) == state_digest(url)
