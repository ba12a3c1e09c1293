"""The inventory of agents on a real Postgres: what is registered, what is seen, and what does not fit, with its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ledger.attribution.inventory.agent import REMARKS, Agent, Wanted
from ledger.attribution.inventory.json_form import agent_json
from ledger.errors import NotFound
from ledger.store import inventory
from ledger.store.inventory import agent_by_id, list_agents
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import reading, store
from tests.services.databases import Databases
from tests.services.forge import START

A = "https://a.example/"
NOW = START + 3600 * 1_000_000
HOSTILE = "https://a.example/'; drop table events; --%/../\u202e\U0001f600"
W = f"agent_id={A}whole name=whole state=active owner=olga client_ids=as#whole model=m-1 version=1.0"
TEXT = f"""
person olga Olga
person pia Pia
person gone !erased
person bob !unresolved
person robot !workload Robot
r1 platform agent_registration {W} purpose=book scopes=a,b
c1 whole configuration agent={A}whole model=m-1-2026-01 software_version=1.0 system_prompt_digest=P
r2 platform agent_registration {W} purpose=sell scopes=a,b,c
s1 whole reasoning_step status=completed visibility=full request_model=m-1 agent={A}whole run=r1
t1 as token_issuance status=issued token=j1 client_id=whole act=whole subject=olga
a1 whole api_action action_id=x operation=o phase=completed observer=agent token=j1 agent={A}whole
s2 wild reasoning_step status=completed visibility=full agent={A}wild
t2 as token_issuance status=issued token=j2 client_id=shadow act=shadow subject=olga
t8 as token_issuance status=issued token=j8 client_id=app subject=olga
r3 platform agent_registration agent_id={A}idle state=active owner=olga
r4 platform agent_registration agent_id={A}orphan state=active owner=gone
r5 platform agent_registration agent_id={A}nobody state=active
r6 platform agent_registration agent_id={A}unknown state=active owner=bob
r7 platform agent_registration agent_id={A}stopped state=suspended owner=olga
s7 stopped reasoning_step status=completed visibility=full agent={A}stopped
r8 platform agent_registration agent_id={A}old state=active owner=olga expires_at=1
s8 old reasoning_step status=completed visibility=full agent={A}old
r9 platform agent_registration agent_id={A}one state=active owner=olga client_ids=as#one,as#two
ra platform agent_registration agent_id={A}two state=active owner=olga
t3 as token_issuance status=issued token=j3 client_id=one act=one
t4 as token_issuance status=issued token=j4 client_id=two act=two
a3 one api_action action_id=y operation=o phase=completed observer=agent token=j3 agent={A}one
a4 two api_action action_id=z operation=o phase=completed observer=agent token=j3 agent={A}two
a5 api api_action action_id=z operation=o phase=completed observer=resource token=j3 agent={A}api
rb platform agent_registration agent_id={A}drift state=active owner=olga model=m-1 version=1.0
sb drift reasoning_step status=completed visibility=full request_model=m-2 agent={A}drift
cb drift configuration agent={A}drift software_version=1.1 system_prompt_digest=Q
rc platform agent_registration agent_id={A}torn state=active owner=olga
rd hr agent_registration agent_id={A}torn state=active owner=pia
re hr agent_registration agent_id={A}split state=active owner=olga purpose=book model=m-1 scopes=a
rf market agent_registration agent_id={A}split state=active risk_class=low
rg hr agent_registration agent_id={A}later state=retired owner=olga effective_at=999999
sg later reasoning_step status=completed visibility=full agent={A}later
"""


@pytest.fixture(scope="module")
def story() -> Story:
    told = read_scenario(TEXT)
    told.event("h1", "hostile", "reasoning_step", {"status": "completed", "visibility": "full", "agent": HOSTILE})
    return told


@pytest.fixture(scope="module")
def url(postgres: Databases, story: Story) -> Iterator[str]:
    made = postgres.fresh()
    other = read_scenario(f"s1 foreign reasoning_step status=completed visibility=full agent={A}foreign", "other")
    store(made, story, other)
    yield made
    postgres.drop(made)


def listed(url: str, tenant: str = "acme", **given: Any) -> dict[str, Agent]:
    with psycopg.connect(url, autocommit=True) as connection:
        page = list_agents(connection, reading(url), tenant, **{"limit": 500, "now": NOW, **given})
    assert page.next is None
    return {each.agent_id: each for each in page.agents}


def one(url: str, agent_id: str, tenant: str = "acme", **given: Any) -> Agent:
    with psycopg.connect(url, autocommit=True) as connection:
        return agent_by_id(connection, reading(url), tenant, agent_id, **{"now": NOW, **given})


def remarks(agent: Agent) -> dict[str, tuple[str, ...]]:
    return {each.name: each.about for each in agent.remarks}


def test_an_honest_agent_has_no_remark_and_says_what_it_is(url: str) -> None:
    whole = listed(url)[f"{A}whole"]
    assert remarks(whole) == {}
    assert (whole.registered, whole.seen_as, whole.state, whole.purpose) == (True, ("agent", "token"), "active", "sell")
    assert (whole.model, whole.version, whole.scopes, whole.owner.name if whole.owner else "") == (
        "m-1",
        "1.0",
        ("a", "b", "c"),
        "Olga",
    )
    assert whole.configuration is not None
    assert (whole.configuration["model"], whole.credentials, whole.services) == (
        "m-1-2026-01",
        ("client:as#whole",),
        ("whole",),
    )


@pytest.mark.parametrize(
    ("agent", "expected", "evidence"),
    [
        (f"{A}wild", {"never_registered": ()}, ["s2"]),
        ("as#shadow", {"never_registered": ()}, ["t2"]),
        (f"{A}idle", {"never_seen": ()}, ["r3"]),
        (f"{A}orphan", {"never_seen": (), "owner_erased": ()}, ["r4", "r4"]),
        (f"{A}nobody", {"never_seen": (), "owner_missing": ()}, ["r5", "r5"]),
        (f"{A}unknown", {"never_seen": (), "owner_unresolved": ()}, ["r6", "r6"]),
        (f"{A}stopped", {"acted_while_not_active": ("suspended",)}, ["r7", "s7"]),
        (f"{A}old", {"owner_expired": (), "registration_expired": ()}, ["r8", "r8", "s8"]),
        (f"{A}split", {"never_seen": ()}, ["rf"]),
        (f"{A}later", {"never_registered": ()}, ["sg"]),
        (
            f"{A}one",
            {"shared_credential": (f"{A}two",), "many_credentials": ("as#one", "as#two")},
            ["a3", "a4", "t3", "t4"],
        ),
        (f"{A}two", {"shared_credential": (f"{A}one",)}, ["a4", "a3"]),
        (
            f"{A}drift",
            {"model_unregistered": ("m-2",), "version_unregistered": ("1.1",), "system_prompt_unregistered": (...,)},
            ["rb", "sb", "rb", "cb", "rb", "cb"],
        ),
        (f"{A}torn", {"never_seen": (), "owner_ambiguous": ("platform", "hr")}, ["rd", "rc", "rd"]),
        (HOSTILE, {"never_registered": ()}, ["h1"]),
    ],
)
def test_what_does_not_fit_is_remarked_with_its_evidence(
    url: str, story: Story, agent: str, expected: dict[str, Any], evidence: list[str]
) -> None:
    for found in (listed(url)[agent], one(url, agent)):
        said = remarks(found)
        assert set(said) == set(expected)
        assert all(about in (said[name], (...,)) for name, about in expected.items())
        assert [story.name_of(each) for remark in found.remarks for each in remark.evidence] == evidence


def test_every_remark_is_made_of_some_agent(url: str) -> None:
    assert {name for agent in listed(url).values() for name in remarks(agent)} == set(REMARKS)


def test_an_agent_of_which_services_name_different_owners_has_all_of_them_and_none_alone(url: str) -> None:
    torn = one(url, f"{A}torn")
    assert (torn.owner, [each.name for each in torn.owners]) == (None, ["Olga", "Pia"])
    for each in ("idp#olga", "idp#pia"):
        assert f"{A}torn" in listed(url, wanted=Wanted(owner=each).fits)


def test_a_persons_own_app_is_no_agent(url: str) -> None:
    assert "as#app" not in listed(url)


def test_history_tells_what_each_registration_changed(url: str, story: Story) -> None:
    history = [each for each in one(url, f"{A}whole").history if each.kind == "agent_registration"]
    assert [story.name_of(each.event_id) for each in history] == ["r1", "r2"]
    assert history[1].says == {"purpose": "sell", "scopes": ["a", "b", "c"]}


def test_an_agent_is_found_by_the_client_that_it_is(url: str) -> None:
    assert one(url, "as#whole").agent_id == f"{A}whole"


def test_it_is_told_as_it_stood_at_an_append_time(url: str, story: Story) -> None:
    then = START + 2 * 1_000_000
    assert set(listed(url, as_of=then)) == {f"{A}whole"}
    before = one(url, f"{A}whole", as_of=then)
    assert (before.purpose, before.scopes, before.seen_as) == ("book", ("a", "b"), ())
    assert set(remarks(before)) == {"never_seen", "system_prompt_unregistered"}  # it was registered anew since


def test_tenants_are_apart(url: str) -> None:
    assert set(listed(url, "other")) == {f"{A}foreign"}
    assert f"{A}foreign" not in listed(url)
    with pytest.raises(NotFound):
        one(url, f"{A}foreign")
    assert listed(url, "nobody's") == {}


def test_pages_go_on_where_they_ended_and_filters_look_further(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(listed(url))
    assert whole == sorted(whole)
    assert set(listed(url, wanted=Wanted("owner_erased").fits)) == {f"{A}orphan"}
    assert set(listed(url, wanted=Wanted(state="suspended", owner="idp#olga").fits)) == {f"{A}stopped"}
    found, after = [], ""
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            page = list_agents(connection, reading(url), "acme", after=after, limit=3, now=NOW)
            assert len(page.agents) <= 3
            found += [each.agent_id for each in page.agents]
            if page.next is None:
                break
            after = page.next
        assert found == whole
        monkeypatch.setattr(inventory, "SCAN", 4)
        monkeypatch.setattr(inventory, "_BATCH", 4)
        cut = list_agents(connection, reading(url), "acme", wanted=Wanted(remark="never_seen").fits, now=NOW)
    assert cut.truncated == ("scan",)
    assert cut.next == whole[3]


CLAIMED = f"""
person olga Olga
r1 platform agent_registration agent_id={A}aaa state=active owner=olga client_ids=as#shared
r2 platform agent_registration agent_id={A}mmm state=active owner=olga client_ids=as#mine
r3 platform agent_registration agent_id={A}zzz state=active owner=olga client_ids=as#shared
t1 as token_issuance status=issued token=j1 client_id=shared act=shared
t2 as token_issuance status=issued token=j2 client_id=app act=mine
t3 as token_issuance status=issued token=j3 client_id=app act={A}zzz
a1 zzz api_action action_id=x operation=o phase=completed observer=agent token=j1 agent={A}zzz
"""


@pytest.mark.parametrize("registrations", [5000, 1])
def test_an_agent_is_the_same_alone_on_any_page_and_in_the_whole_list(
    postgres: Databases, monkeypatch: pytest.MonkeyPatch, registrations: int
) -> None:
    """Of a client that two agents claim, nobody's tokens are known to be its: whether or not the other one is on the page. Who
    else got tokens as a client is named by its own id."""
    made = postgres.fresh()
    store(made, read_scenario(CLAIMED))
    whole = listed(made)
    assert list(whole) == ["as#app", "as#shared", f"{A}aaa", f"{A}mmm", f"{A}zzz"]
    assert [each.credentials for each in whole.values()] == [
        (), ("client:as#shared",), (), ("client:as#app",), ("client:as#app",),
    ]  # fmt: skip
    assert remarks(whole[f"{A}mmm"]) == {"shared_credential": (f"{A}zzz",)}
    assert remarks(whole[f"{A}zzz"]) == {"shared_credential": (f"{A}mmm",)}
    assert {each: one(made, each) for each in whole} == whole
    monkeypatch.setattr(inventory, "REGISTRATIONS", registrations)
    if registrations == 1:
        del whole[f"{A}aaa"]  # was never seen, and is not among the latest that were registered
    with psycopg.connect(made, autocommit=True) as connection:
        for batch in (1, 100):
            monkeypatch.setattr(inventory, "_BATCH", batch)
            after = ""
            for agent_id, agent in whole.items():
                page = list_agents(connection, reading(made), "acme", after=after, limit=1, now=NOW)
                assert page.agents == [agent]
                after = agent_id
    postgres.drop(made)


@pytest.mark.parametrize(
    ("what", "name", "count"),
    [("AGENTS", "agents", 10), ("REGISTRATIONS", "registrations", 16), ("TOKENS", "tokens", 5)],
)
def test_a_limit_that_is_reached_and_leaves_nothing_out_is_not_said(
    url: str, monkeypatch: pytest.MonkeyPatch, what: str, name: str, count: int
) -> None:
    whole = listed(url)
    monkeypatch.setattr(inventory, what, count)
    with psycopg.connect(url, autocommit=True) as connection:
        page = list_agents(connection, reading(url), "acme", limit=500, now=NOW)
        assert ({each.agent_id: each for each in page.agents}, page.truncated) == (whole, ())
        monkeypatch.setattr(inventory, what, count - 1)
        assert list_agents(connection, reading(url), "acme", limit=500, now=NOW).truncated == (name,)


def test_a_row_that_was_changed_registers_nobody(url: str, postgres: Databases) -> None:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "update events set header = set_byte(header, 40, get_byte(header, 40) # 1)"
            " where kind = (select id from names where name = 'agent_registration')"
        )
        page = list_agents(connection, reading(url), "acme", limit=500, now=NOW)
    changed = {each.agent_id: each for each in page.agents}
    assert not any(each.registered for each in changed.values())
    assert f"{A}idle" not in changed
    assert "never_registered" in remarks(changed[f"{A}whole"])


def test_an_agent_of_which_there_is_more_than_was_looked_at_says_of_what(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert one(url, f"{A}whole").truncated == ()
    monkeypatch.setattr(inventory, "EVENTS", 1)
    cut = one(url, f"{A}whole")
    assert cut.truncated == ("registrations", "events")
    assert cut.purpose == "sell"  # by the latest
    assert agent_json(cut)["truncated"] == ["registrations", "events"]
    assert listed(url)[f"{A}idle"].truncated == ()


def test_as_of_a_time_at_which_its_registration_had_run_out_nobody_owns_an_agent(url: str, story: Story) -> None:
    then = one(url, f"{A}old", as_of=story.node("cb").append_time)
    assert (then.owner, then.registered, then.expires_at) == (None, True, START + 1_000_000)
    assert {each.name for each in then.remarks} == {"owner_expired", "registration_expired"}


def test_what_takes_effect_later_is_told_in_the_history_alone(url: str, story: Story) -> None:
    later = one(url, f"{A}later")
    assert (later.registered, later.state, later.owner) == (False, None, None)
    assert [story.name_of(each.event_id) for each in later.history] == ["rg"]
    assert one(url, f"{A}later", now=START + 1_000_000 * 1_000_000).state == "retired"


def test_a_service_that_leaves_something_out_takes_back_nothing_that_another_says(url: str, story: Story) -> None:
    split = one(url, f"{A}split")
    assert (split.owner and split.owner.name, split.purpose, split.model, split.scopes) == (
        "Olga",
        "book",
        "m-1",
        ("a",),
    )
    assert split.risk_class == "low"
    assert [dict(each.says) for each in split.history][1] == {"risk_class": "low", "state": "active"}


def test_as_of_a_time_before_an_erasure_the_owner_is_nameless_and_was_not_erased(url: str, story: Story) -> None:
    then = one(url, f"{A}orphan", as_of=story.node("cb").append_time)
    assert then.owner is not None
    assert (then.owner.state, then.owner.name) == ("erased_since", None)
    assert "owner_erased" not in {each.name for each in then.remarks}
    now = one(url, f"{A}orphan")
    assert now.owner is not None
    assert now.owner.state == "erased"
    assert "owner_erased" in {each.name for each in now.remarks}
