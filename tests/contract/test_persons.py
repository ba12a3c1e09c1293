"""Whom a list of events names: a service that knew a person by subject alone shows the name that others state."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from ledger import Person
from ledger.attribution.subgraph import KnownPerson
from ledger.schema_files import load_schemas
from ledger.store.migrations import migrate
from ledger.store.nodes import Reading
from ledger.store.persons import persons_listed, persons_named
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import add_all_people
from tests.sealing import LEDGER
from tests.services.databases import Databases


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    made = postgres.fresh(migrate)
    yield made
    postgres.drop(made)


def known(story: Story, name: str | None) -> bytes:
    """Adds contents that name alice so, or by her subject alone."""
    person = Person(issuer="idp", subject="alice", name=name)
    digest = story.content_of(person)[1]
    story.people[name or "nameless"] = KnownPerson(digest, "named", person)
    return digest


def name_of(url: str, tenant: str, digest: bytes) -> str | None:
    reading = Reading(load_schemas(), LEDGER, lambda: None)
    with psycopg.connect(url) as connection:
        (one,) = persons_listed(connection, reading, tenant, [digest]).values()
        (bare,) = persons_named(connection, reading, tenant, [digest]).values()
    assert bare.person is not None
    assert bare.person.name is None
    return one.person.name if one.person is not None else "nobody"


def test_a_name_is_taken_from_others_contents_where_they_agree(url: str) -> None:
    story, other = read_scenario(""), read_scenario("person alice Bobby", "other")
    nameless = known(story, None)
    add_all_people(url, story, other)
    assert name_of(url, story.tenant, nameless) is None  # another tenant's name is none here
    known(story, "Alice Ash")
    add_all_people(url, story)
    assert name_of(url, story.tenant, nameless) == "Alice Ash"
    known(story, "Alicia")
    add_all_people(url, story)
    assert name_of(url, story.tenant, nameless) is None
