"""Answers as of an append time: from what the log held then, people, owners, grants, findings and coverage among it."""

from __future__ import annotations

import psycopg
import pytest

from ledger.ask import who_triggered
from ledger.attribution.answer import Answer
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import lineage, store
from tests.services.databases import Databases

SECOND = 1_000_000

STORY = """
person alice Alice
person dana Dana
person erin Erin
r1 platform agent_registration agent_id=travel state=active owner=dana
g1 issuer grant grant_id=g-1 action=give issuer=as grantor=alice delegate=travel scopes=book method=explicit
t1 issuer token_issuance status=issued token=j1 subject=alice grant_id=g-1 verification=issuer observer=issuer
p1 agent prompt trigger_kind=human trust=trusted principal=alice agent=travel run=r1
q1 spooled prompt trigger_kind=human trust=trusted principal=erin agent=travel run=r1
q2 spooled prompt trigger_kind=human trust=trusted principal=erin agent=travel run=r1
a1 agent api_action action_id=x phase=intended operation=book token=j1 observer=agent agent=travel run=r1
a2 flights api_action action_id=x phase=completed operation=book token=j1 outcome=success observer=resource <- a1:same_action
r2 platform agent_registration agent_id=travel state=retired owner=erin effective_at=2
g2 issuer grant grant_id=g-1 action=withdraw issuer=as grantor=alice delegate=travel method=explicit
x1 issuer token_revocation extent=token token=j1 issuer=as derived_tokens=kept
"""
LATER = "\n".join(
    f"p{number} agent prompt trigger_kind=human trust=trusted principal=erin agent=travel run=r1"
    for number in range(2, 8)
)


@pytest.fixture(scope="module")
def told(postgres: Databases) -> tuple[str, Story]:
    url = postgres.fresh()
    story = read_scenario(STORY + LATER)
    store(url, story)
    with psycopg.connect(
        url, autocommit=True
    ) as connection:  # what lay in a spool came to the log long after it was made
        connection.execute(
            "update seals set append_time = %s where id in (select seal from events where digest = any(%s))",
            [story.node("p7").append_time, [story.events[each].made.digest for each in ("q1", "q2")]],
        )
    return url, story


def ask(told: tuple[str, Story], event: str, *, until: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Answer:
    """Who triggered ``event``, as of when the log took the event ``until``."""
    url, story = told
    as_of = None if until is None else story.node(until).append_time
    return who_triggered(lineage(url), story.tenant, story.events[event].made.event_id, as_of=as_of, limits=limits)


def test_an_account_that_came_later_tells_nothing_yet(told: tuple[str, Story]) -> None:
    assert ask(told, "a1", until="a1").outcome is None
    assert ask(told, "a1", until="a2").outcome == "success"


def test_the_owner_is_whoever_was_registered_by_then_even_if_a_later_registration_reaches_back(
    told: tuple[str, Story],
) -> None:
    then, now = ask(told, "a1", until="a2").accountable, ask(told, "a1").accountable
    assert (then.owner is not None and then.owner.label, then.state) == ("Dana", "active")
    assert (now.owner is not None and now.owner.label, now.state) == ("Erin", "retired")


def test_a_withdrawal_and_a_revocation_that_came_later_are_not_known_yet(told: tuple[str, Story]) -> None:
    then = {each.source: each.revoked_at for each in ask(told, "a1", until="a2").authority}
    now = {each.source: each.revoked_at for each in ask(told, "a1").authority}
    assert then["token"] is then["grant"] is None
    assert now["token"] is not None
    assert now["grant"] is not None


def test_events_that_came_later_do_not_crowd_out_those_that_were_there(told: tuple[str, Story]) -> None:
    few = Limits(candidates=1)
    for until in ("a1", "p6"):
        answer = ask(told, "a1", until=until, limits=few)
        assert [each.who.label for each in answer.triggers if each.who] == ["Alice"], until
        assert answer.class_ == "attributed"
    assert ask(told, "a1", limits=few).reasons == ("ambiguous_join",)


def test_a_name_that_only_a_later_event_of_the_same_id_bears_leads_nowhere_yet(postgres: Databases) -> None:
    url = postgres.fresh()
    story = read_scenario("""
person alice Alice
o1 other prompt trigger_kind=human trust=trusted principal=alice run=r9
a1 agent api_action action_id=x phase=intended operation=book observer=agent run=r1
p1 agent prompt trigger_kind=human trust=trusted principal=alice run=r1 id=o1
""")
    store(url, story)
    asked = story.events["a1"].made.event_id

    def above(until: str) -> set[bytes]:
        found = lineage(url).above(story.tenant, asked, as_of=story.node(until).append_time)
        return {node.digest for node in found.nodes}

    assert above("a1") == {story.events["a1"].made.digest}
    assert above("p1") == {story.events[each].made.digest for each in ("o1", "a1", "p1")}
    postgres.drop(url)


def test_coverage_is_of_then(told: tuple[str, Story]) -> None:
    chains = {each.service: each for each in ask(told, "a1", until="a1").coverage.chains}
    now = {each.service: each for each in ask(told, "a1").coverage.chains}
    # Each event is sealed alone, after the event that opens its chain.
    assert (chains["agent"].verified_up_to, now["agent"].verified_up_to) == (3, 9)
    assert (chains["issuer"].verified_up_to, now["issuer"].verified_up_to) == (3, 5)
    assert chains["agent"].last_append == told[1].node("a1").append_time


def test_a_person_whose_content_came_later_was_not_resolved_then(told: tuple[str, Story]) -> None:
    url, story = told
    at = story.node("a2").append_time + 1
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update contents set append_time = %s where digest = %s", [at, story.people["alice"].digest])
    assert ask(told, "a1", until="a2").reasons == ("principal_unresolved",)
    assert ask(told, "a1", until="g2").class_ == "attributed"


def test_whoever_was_erased_since_has_no_name_then_either(postgres: Databases) -> None:
    url = postgres.fresh()
    story = read_scenario(STORY.replace("person dana Dana", "person dana !erased"))
    store(url, story)
    owner = ask((url, story), "a1", until="a2").accountable.owner
    assert owner is not None
    assert (owner.state, owner.name) == ("erased_since", None)


@pytest.mark.parametrize("of", ["event", "seal", "chain"])
def test_findings_are_those_open_then(told: tuple[str, Story], of: str) -> None:
    url, story = told
    node, (opened, closed) = story.node("a1"), (story.node("a2").append_time, story.node("x1").append_time)
    with psycopg.connect(url, autocommit=True) as connection:
        chain, number = connection.execute(
            "select s.chain, s.number from events e join seals s on s.id = e.seal where e.digest = %s", [node.digest]
        ).fetchone() or (0, 0)
        row = {
            "event": [None, None, node.digest, node.event_id.hex()],
            "seal": [chain, number, None, None],
            "chain": [chain, None, None, None],
        }[of]
        connection.execute(
            "insert into findings (name, chain, number, digest, event_id, opened_at, closed_at)"
            " values ('late', %s, %s, %s, %s::uuid, %s, %s)",
            [*row, opened, closed],
        )
    try:
        for until, shown in (("a1", False), ("a2", True), ("g2", True), ("x1", False), (None, False)):
            answer = ask(told, "a1", until=until)
            chains = {name for each in answer.coverage.chains for name in each.findings}
            found = (
                chains if of == "chain" else {each.name for each in answer.findings if each.event_id == node.event_id}
            )
            assert ("late" in found) == shown, until
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("delete from findings where name = 'late'")


def test_who_was_erased_later_was_not_erased_then_and_is_nameless_all_the_same(postgres: Databases) -> None:
    story = read_scenario("person gone !erased\np1 agent prompt trigger_kind=human trust=trusted principal=gone\n")
    url = postgres.fresh()
    store(url, story)
    then, now = ask((url, story), "p1", until="p1"), ask((url, story), "p1")
    assert [each.triggers[0].who and each.triggers[0].who.state for each in (then, now)] == ["erased_since", "erased"]
    assert then.class_ == now.class_ == "erased_principal"
    assert "a person erased since" in then.sentence
    postgres.drop(url)


OTHER_CLAIM = """insert into erasures
    select (jsonb_populate_record(e, jsonb_build_object('append_time', 0, 'event_digest', sha256(event_digest)))).*
      from erasures e"""


@pytest.mark.parametrize("tampering", [OTHER_CLAIM, "update erasures set append_time = 0"])
def test_a_claim_made_up_in_the_store_does_not_move_an_erasure_to_an_earlier_time(
    postgres: Databases, tampering: str
) -> None:
    story = read_scenario("person gone !erased\np1 agent prompt trigger_kind=human trust=trusted principal=gone\n")
    url = postgres.fresh()
    store(url, story)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        assert connection.execute(tampering.encode()).rowcount > 0
    who = ask((url, story), "p1", until="p1").triggers[0].who
    assert who is not None
    assert who.state == "erased_since"
    postgres.drop(url)


def test_what_bears_the_id_of_an_event_that_cites_later_does_not_stand_beside_the_answer_yet(
    postgres: Databases,
) -> None:
    story = read_scenario(
        "o1 desk oversight oversight_id=o-1 action=approve binding=standing uses_allowed=9\n"
        "a1 bot api_action action_id=x operation=pay phase=completed observer=agent <- o1:authorized_by\n"
        "b1 bot api_action action_id=m operation=tell phase=completed observer=agent\n"
        "c1 bot api_action action_id=n operation=tell phase=completed observer=agent\n"
        "b2 bot api_action action_id=k operation=tell phase=completed observer=agent id=b1 <- a1:informed_by\n"
        "c2 bot api_action action_id=l operation=tell phase=completed observer=agent id=c1 <- o1:authorized_by\n"
    )
    url = postgres.fresh()
    store(url, story)
    asked = story.events["a1"].made.event_id
    then = lineage(url).above(story.tenant, asked, as_of=story.node("c1").append_time)
    assert {node.event_id for node in then.nodes} == {asked, story.events["o1"].made.event_id}
    postgres.drop(url)
