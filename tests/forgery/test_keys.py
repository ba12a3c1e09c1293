"""Somebody with a key: of another service or tenant, stolen, or an importer's. What a key may state, and what it cannot."""

from __future__ import annotations

import psycopg
import pytest

from ledger.ask import who_triggered
from ledger.attribution.answer import Answer
from ledger.format.batch import ChainHead
from ledger.format.event import Cause
from ledger.store.lineage import PostgresLineage
from ledger.store.nodes import Reading
from ledger.store.observed import overdue
from tests.services.forge import EMPTY, LEDGER, START, Forge, Trust, blank, signer
from tests.services.stand import Stand

HOUR = 3_600_000_000


def answer_of(stand: Stand, event_id: bytes) -> Answer:
    reading = Reading(stand.schemas, LEDGER, lambda: stand.projection.bundle)
    lineage = PostgresLineage(lambda: psycopg.connect(stand.url, autocommit=True), reading, lambda: START)
    return who_triggered(lineage, "acme", event_id)


@pytest.mark.parametrize(
    ("name", "tenant", "service"),
    [("beta", "acme", "agent"), ("beta", "other", "flights"), ("other", "acme", "agent"), ("feed", "acme", "agent")],
)
def test_a_key_outside_its_services_and_tenants_signs_nothing(
    stand: Stand, name: str, tenant: str, service: str
) -> None:
    forge = Forge(name=name, tenant=tenant, service=service)
    stand.put(forge, forge.seal(forge.make()))
    assert (stand.rejected(), stand.count("events"), stand.count("chains")) == (["wrong_scope"], 0, 0)


def test_a_key_does_not_go_on_with_anothers_chain(stand: Stand) -> None:
    """Under the chain's id and the head that it has: what it makes is a chain of its own, begun in the middle."""
    forge = Forge()
    stand.put(forge, forge.seal(forge.make()))
    thief = Forge(name="beta", service="flights")
    thief.chain_id, thief.head = forge.chain_id, forge.head
    stand.put(thief, thief.seal(thief.make()))
    assert stand.findings() == ["gap"]
    assert stand.rows("select count(*) from chains") == [(2,)]


def test_a_key_ends_no_promise_of_another_service(stand: Stand) -> None:
    forge, thief = Forge(), Forge(name="beta", service="flights")
    stand.put(forge, forge.seal(forge.make()))
    head = {"chain_id": forge.chain_id, "key_id": forge.signer.key_id, "next_sequence": 2, "last_seal_number": 0}
    stand.put(thief, thief.seal(thief.open(continues=[{**head, "last_seal_digest": forge.head.previous_seal}])))
    reading = Reading(stand.schemas, LEDGER, lambda: stand.projection.bundle)
    with psycopg.connect(stand.url, autocommit=True) as connection:
        found = overdue(connection, reading, "acme", START + HOUR).found
    assert {each.chain_id for each in found} == {forge.chain_id, thief.chain_id}


def test_another_tenants_causes_and_erasures_reach_nothing(stand: Stand) -> None:
    forge, other = Forge(), Forge(name="other", tenant="other")
    made = forge.make()
    erasure = other.make("content_erasure", {**EMPTY["content_erasure"], "events": [made.digest]})
    stand.put(other, other.seal(erasure, other.make(causes=[Cause(made.event_id, made.digest, "started_by")])))
    stand.put(forge, forge.seal(made))
    stand.contents.sweep()
    assert stand.rows("select payload is null from events where digest = %s", made.digest) == [(False,)]
    assert answer_of(stand, made.event_id).coverage.events == 1


def test_a_stolen_key_is_refused_by_when_the_log_took_it_and_not_by_what_it_says(stand: Stand, trust: Trust) -> None:
    forge = Forge()
    stand.put(forge, forge.seal(forge.make()))
    stand.projection.adopt(trust.revoke(signer("alpha"), since=START + HOUR).bundle)
    for sealed_at in (START + 1, START + 2 * HOUR):
        thief = Forge(head=forge.head, now=forge.now)
        stand.put(thief, thief.seal(thief.make(), sealed_at=sealed_at), at=START + 2 * HOUR)
    assert stand.rejected() == ["revoked_key", "revoked_key"]
    assert stand.rows("select start, stop from runs") == [(0, 0)]


def test_what_a_thief_signed_before_the_revocation_stands_until_that_is_dated_back(stand: Stand, trust: Trust) -> None:
    """Nothing tells a thief from the owner while both may sign, but that the owner goes on."""
    thief = Forge()
    thief.chain_id = bytes(16)
    made = thief.make()
    stand.put(thief, thief.seal(made), at=START + HOUR)
    stand.projection.adopt(trust.revoke(signer("alpha"), since=START + 2 * HOUR).bundle)
    assert stand.count("events") == 2
    stand.projection.adopt(trust.revoke(signer("alpha"), since=START + HOUR).bundle)
    assert (stand.count("events"), stand.rejected()) == (0, ["revoked_key"])


def test_a_thief_in_the_owners_chain_forks_it(stand: Stand) -> None:
    forge = Forge()
    stand.put(forge, forge.seal(forge.make()))
    head = forge.head
    thief = Forge(head=head, now=forge.now + 7_000)
    stand.put(thief, thief.seal(thief.make(agent_id="spiffe://acme/thief")))
    stand.put(forge, forge.seal(forge.make()))
    assert stand.findings() == ["fork", "fork"]


def test_a_thief_who_closes_the_owners_chain_is_found_when_the_owner_goes_on(stand: Stand) -> None:
    forge = Forge()
    first = forge.seal(forge.make())
    second = forge.seal(forge.make())
    stand.put(forge, first)
    thief = Forge(head=first.head, now=forge.now)
    stand.put(thief, thief.seal(thief.close()))
    stand.put(forge, second)
    stand.put(forge, forge.seal(forge.make()))
    assert stand.findings() == ["fork", "fork", "sealed_after_close"]


def test_a_reader_with_the_newer_bundle_believes_no_revoked_key_before_the_store_has_judged_again(
    stand: Stand, trust: Trust
) -> None:
    forge = Forge()
    made = forge.make()
    stand.put(forge, forge.seal(made), at=START + HOUR)
    revoked = trust.revoke(signer("alpha"), since=START).bundle
    reading = Reading(stand.schemas, LEDGER, lambda: revoked)
    lineage = PostgresLineage(lambda: psycopg.connect(stand.url, autocommit=True), reading, lambda: START)
    answer = who_triggered(lineage, "acme", made.event_id)
    assert (answer.class_, answer.reasons) == ("unattributed", ("untrusted_key",))
    assert {each.name for each in answer.findings} == {"revoked_key"}


NAMED = {
    "content_erasure": EMPTY["content_erasure"],
    "oversight": blank("oversight"),
    "token_revocation": blank("token_revocation"),
    "agent_registration": blank("agent_registration"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_an_importers_key_states_none_of_the_kinds_that_must_be_named(stand: Stand, kind: str) -> None:
    feed = Forge(name="feed", service="feed", next_within=None)
    made = feed.make(kind, NAMED[kind])
    stand.put(feed, feed.seal(made))
    assert stand.findings() == ["unauthorized_kind"]
    assert stand.rows("select effective from events where digest = %s", made.digest) == [(False,)]
    assert stand.count("erasures") == 0


def test_what_an_importer_states_is_asserted_and_corroborates_nothing(stand: Stand) -> None:
    """It may invent a record, with a digest or without: it is shown as an imported one, which counts for less."""
    author, feed = Forge(), Forge(name="feed", service="feed", next_within=None)
    action = blank("api_action") | {"action_id": "x", "phase": "completed", "operation": "book", "outcome": "success"}
    prompt = author.make(principal=bytes(32))
    cause = Cause(prompt.event_id, prompt.digest, "started_by")
    own = author.make("api_action", {**action, "observer": "agent"}, causes=[cause])
    same = Cause(own.event_id, own.digest, "same_action")
    imported = feed.make("api_action", {**action, "observer": "importer"}, causes=[cause, same])
    stand.put(author, author.seal(prompt, own))
    stand.put(feed, feed.seal(imported))
    answer = answer_of(stand, imported.event_id)
    grades = {link.grade for step in answer.path if step.importer for link in step.links}
    assert grades == {"asserted"}
    assert "corroborated" not in {link.grade for step in answer.path for link in step.links}
    assert {step.service: step.importer for step in answer.path} == {"agent": False, "feed": True}


def test_an_importers_key_signs_for_no_source(stand: Stand) -> None:
    feed = Forge(name="feed", service="agent")
    stand.put(feed, feed.seal(feed.make()))
    assert stand.rejected() == ["wrong_scope"]


def test_a_stolen_key_goes_on_from_no_head_that_the_owner_did_not_have(stand: Stand) -> None:
    forge = Forge()
    stand.put(forge, forge.seal(forge.make()))
    thief = Forge(head=ChainHead(1, bytes(31) + b"\1", 2), now=forge.now)
    stand.put(thief, thief.seal(thief.make()))
    assert stand.findings() == ["broken_link"]
