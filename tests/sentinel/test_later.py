"""What comes later than a judgement: trust, erasures, causes of what was refused until then; and what meets a limit. What the
sentinel then holds is what one would hold that began now."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.ask import who_triggered
from ledger.attribution.pool import Overfull
from ledger.schema_files import load_schemas
from ledger.store.lineage import pool_above
from ledger.store.nodes import Reading
from ledger.store.survey import Asked, survey
from tests.attribution.scenario import SECOND, read_scenario
from tests.attribution.stored import ERASER, erasure_of, lineage, reading, store, trusts
from tests.sentinel.ledger import Ledger, begun, trust_of
from tests.sentinel.sweeping import connected, sentinel
from tests.services.databases import Databases
from tests.services.forge import LEDGER, START

TOLD = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
t1 issuer token_issuance status=issued token=j1 subject=alice expires_at=60 verification=issuer observer=issuer
a1 hand api_action action_id=x phase=intended operation=send observer=agent agent=bot token=j1 at=500 <- p1:started_by
"""


@pytest.fixture
def ledger(postgres: Databases) -> Iterator[Ledger]:
    told = begun(postgres, read_scenario(TOLD))
    yield told
    postgres.drop(told.url)


def test_trust_that_comes_later_changes_the_verdict(ledger: Ledger) -> None:
    made = ledger.records(*ledger.story.events)
    trust = trust_of(ledger.story, ["hand", "issuer"])
    ledger.commit(trust.bundle, *made)
    ledger.look(trust.bundle)
    assert ledger.held()[0] == "unattributed"
    trust.key(ledger.story.forges["front"].signer, services=["front"])
    ledger.commit(trust.bundle)
    ledger.look(trust.bundle)
    assert ledger.held()[0] == "attributed"
    assert ledger.is_as_made_now(trust.bundle)


def test_a_key_that_is_revoked_takes_what_it_said_from_the_verdict(ledger: Ledger) -> None:
    trust = trust_of(ledger.story, ["front", "hand", "issuer"])
    ledger.commit(trust.bundle, *ledger.records(*ledger.story.events))
    ledger.look(trust.bundle)
    assert ledger.held() == ("attributed", ["expired_token"])
    trust.revoke(ledger.story.forges["issuer"].signer, since=0)
    ledger.commit(trust.bundle)
    ledger.look(trust.bundle)
    assert ledger.held() == ("attributed", [])
    assert ledger.is_as_made_now(trust.bundle)


@pytest.mark.parametrize("kinds", [None, ("chain_open", "prompt")], ids=["refused", "without effect"])
def test_what_is_trusted_late_is_judged_again_when_its_token_comes_later_still(
    ledger: Ledger, kinds: tuple[str, ...] | None
) -> None:
    prompt, token, action = ledger.records("p1", "t1", "a1")
    trust = trust_of(ledger.story, ["front", "issuer"])
    hand = ledger.story.forges["hand"].signer
    if kinds is not None:
        trust.key(hand, services=["hand"], kinds=kinds)
    ledger.commit(trust.bundle, prompt, action._replace(offset=1))
    ledger.look(trust.bundle)
    trust.key(hand, services=["hand"])
    ledger.commit(trust.bundle)
    ledger.look(trust.bundle)
    assert ledger.held() == ("attributed", [])
    ledger.commit(trust.bundle, token._replace(offset=2))
    ledger.look(trust.bundle)
    assert ledger.held() == ("attributed", ["expired_token"])
    assert ledger.is_as_made_now(trust.bundle)


def test_a_late_erasure_takes_what_was_erased_from_the_verdict_of_whoever_relied_on_it(ledger: Ledger) -> None:
    trust = trust_of(ledger.story, ["front", "hand", "issuer", ERASER])
    ledger.commit(trust.bundle, *ledger.records(*ledger.story.events))
    ledger.look(trust.bundle)
    assert ledger.held() == ("attributed", ["expired_token"])
    ledger.story.events["t1"] = ledger.story.events["t1"]._replace(erased=True)
    erasure = erasure_of(ledger.story)
    assert erasure is not None
    ledger.commit(trust.bundle, erasure._replace(offset=10))
    ledger.look(trust.bundle)
    assert ledger.held() == ("attributed", [])
    assert ledger.is_as_made_now(trust.bundle)


STOPPED = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot run=r1
a1 hand api_action action_id=x phase=intended operation=send observer=agent agent=bot run=r1 at=500 <- p1:started_by
o1 desk oversight oversight_id=o-1 action=stop by=alice binding=standing run=r1 at=100
"""
REFERRED = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
o1 desk oversight oversight_id=o-1 action=approve by=alice binding=reference reference=y
a1 hand api_action action_id=x phase=completed operation=go effect=full oversight_ids=o-1 observer=agent <- p1:started_by
a2 hand api_action action_id=y phase=completed operation=send outcome=success observer=agent agent=bot <- p1:started_by
"""
USED = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
o1 desk oversight oversight_id=o-1 action=approve by=alice binding=standing operation=send uses_allowed=1
a1 hand api_action action_id=x phase=completed operation=send observer=agent agent=bot at=500 <- p1:started_by o1:authorized_by
a0 hand api_action action_id=w phase=completed operation=send observer=agent agent=bot at=400 <- p1:started_by o1:authorized_by
"""
DONE_AFTER_ALL = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
o1 desk oversight oversight_id=o-1 action=approve by=alice binding=standing operation=send uses_allowed=1
w1 hand api_action action_id=w phase=completed operation=send outcome=failure effect=none observer=agent agent=bot at=400 <- p1:started_by o1:authorized_by
a1 hand api_action action_id=x phase=completed operation=send outcome=success observer=agent agent=bot at=500 <- p1:started_by o1:authorized_by
w2 desk api_action action_id=s-1 phase=completed operation=send outcome=success effect=full observer=resource at=450 <- w1:same_action
"""  # noqa: E501 - a line an event
REMOVED = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
t1 desk trigger_registration trigger_id=nightly action=register trigger_kind=schedule by=alice
a1 hand api_action action_id=x phase=intended operation=send observer=agent agent=bot at=500 <- p1:started_by t1:scheduled_by
t2 desk trigger_registration trigger_id=nightly action=remove trigger_kind=schedule by=alice at=100
"""
SUSPENDED = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
a1 hand api_action action_id=x phase=intended operation=send observer=agent agent=bot at=500 <- p1:started_by
r1 desk agent_registration agent_id=bot state=suspended owner=alice at=100
"""
ACTING = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice
t1 hand token_issuance status=issued token=j1 subject=alice act=spiffe://x/bot verification=issuer observer=issuer
a1 hand api_action action_id=x phase=completed operation=send token=j1 observer=resource at=500 <- p1:started_by
r1 desk agent_registration agent_id=spiffe://x/bot state=suspended owner=alice at=100
"""
DENIED = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
d1 desk policy_decision decision=allow decision_id=d-1 action=send
a1 hand api_action action_id=x phase=completed operation=send effect=full observer=agent at=500 <- p1:started_by d1:authorized_by
d2 desk policy_decision decision=deny decision_id=d-1 action=send at=100
"""
WITHDRAWN = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
g1 desk grant grant_id=g-1 action=give grantor=alice
t1 hand token_issuance status=issued token=j1 subject=alice verification=issuer observer=issuer <- g1:authorized_by
a1 hand api_action action_id=x phase=intended operation=send token=j1 observer=agent at=500 <- p1:started_by
g2 desk grant grant_id=g-1 action=withdraw grantor=alice at=100
"""
REVOKED = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
a1 hand api_action action_id=x phase=intended operation=send token=j1 observer=agent at=500 <- p1:started_by
x1 desk token_revocation extent=token token=j1 issuer=as derived_tokens=kept at=100
"""
EXCHANGED = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
t1 hand token_issuance status=issued token=j2 subject=alice subject_token=hr//j1 verification=issuer observer=issuer
a1 hand api_action action_id=x phase=intended operation=send token=j2 observer=agent at=500 <- p1:started_by
x1 desk token_revocation extent=token token=hr//j1 issuer=hr derived_tokens=revoked at=100
"""
IN_SESSION = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
t1 hand token_issuance status=issued token=j1@d subject=alice verification=issuer observer=issuer
a1 hand api_action action_id=x phase=intended operation=send token=j1 observer=agent at=500 <- p1:started_by
x1 desk token_revocation extent=session session=s issuer=as derived_tokens=kept at=100
t2 desk token_issuance status=issued token=@d session=s verification=introspection observer=resource
"""
BY_AN_AGENT = """
person alice Alice
person checker Checker
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
o1 desk oversight oversight_id=o-1 action=approve by=checker binding=standing operation=send
a1 hand api_action action_id=x phase=completed operation=send effect=full observer=agent at=500 <- p1:started_by o1:authorized_by
r1 desk agent_registration agent_id=spiffe://x/checker state=active owner=alice client_ids=idp#checker
"""


@pytest.mark.parametrize(
    ("told", "late", "accused"),
    [
        (STOPPED, "o1", "run_ended"),
        (REFERRED, "a2", "meant_for_another"),
        (USED, "a0", "approval_reused"),
        (DONE_AFTER_ALL, "w2", "approval_reused"),
        (REMOVED, "t2", "schedule_removed"),
        (SUSPENDED, "r1", "agent_suspended"),
        (ACTING, "r1", "agent_suspended"),
        (BY_AN_AGENT, "r1", "agent_approved"),
        (DENIED, "d2", "acted_after_deny"),
        (WITHDRAWN, "g2", "ended_grant"),
        (REVOKED, "x1", "revoked_token"),
        (EXCHANGED, "x1", "revoked_token"),
        (IN_SESSION, "t2", "revoked_token"),
    ],
    ids=[
        "a stop of its run",
        "the action that its approval is about",
        "an earlier use of its approval",
        "what became of an earlier use of its approval, by another account",
        "the end of its schedule",
        "the end of its agent",
        "the end of the agent that its token names",
        "the registration of its approver as an agent",
        "another statement of the decision that it cites",
        "the end of the grant that its token cites",
        "the end of a token that nobody recorded",
        "the end of a token of another issuer, that nobody recorded and its own was obtained with",
        "the session of its token, by the digest alone",
    ],
)
def test_what_comes_late_is_held_against_what_was_done_before(
    postgres: Databases, told: str, late: str, accused: str
) -> None:
    story = read_scenario(told)
    ledger = begun(postgres, story)
    bundle = trust_of(story, ["front", "hand", "desk"]).bundle
    ledger.commit(bundle, *ledger.records(*(each for each in story.events if each != late)))
    ledger.look(bundle)
    assert ledger.held() == ("attributed", [])
    ledger.commit(bundle, *ledger.records(late))
    ledger.look(bundle)
    assert ledger.held() == ("attributed", [accused])
    assert ledger.is_as_made_now(bundle)
    postgres.drop(ledger.url)


PAID = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
b1 desk api_action action_id=x phase=completed operation=pay idempotency_key=k outcome=success effect=full observer=resource <- p1:started_by
b2 hand api_action action_id=y phase=completed operation=pay outcome=success observer=agent <- b1:same_action p1:started_by
a1 desk api_action action_id=z phase=completed operation=pay idempotency_key=k outcome=success effect=full observer=resource <- p1:started_by
c1 hand api_action action_id=c phase=completed operation=refund TOLD observer=agent <- CITED:compensates
c2 desk api_action action_id=d-7 phase=completed operation=refund outcome=BECAME observer=resource <- c1:same_action
"""  # noqa: E501 - a line an event


@pytest.mark.parametrize("cited", ["b1", "b2", "a1"])
@pytest.mark.parametrize(
    ("told", "became", "accused"),
    [("", "success", [True, True, False]), ("outcome=success", "denied", [True, False, True])],
    ids=["by the account of whoever was called", "until whoever was called says that it was not"],
)
def test_what_is_undone_later_was_not_done_twice(
    postgres: Databases, cited: str, told: str, became: str, accused: list[bool]
) -> None:
    """The first payment, the agent's account of it, or the second is taken back by what nothing cites."""
    story = read_scenario(PAID.replace("CITED", cited).replace("TOLD", told).replace("BECAME", became))
    ledger = begun(postgres, story)
    bundle = trust_of(story, ["front", "hand", "desk"]).bundle
    for names, found in zip((("p1", "b1", "b2", "a1"), ("c1",), ("c2",)), accused, strict=True):
        ledger.commit(bundle, *ledger.records(*names))
        ledger.look(bundle)
        assert ledger.held() == ("attributed", ["completed_twice"] if found else [])
    assert ledger.is_as_made_now(bundle)
    trusts(ledger.url, bundle)
    answers = [
        who_triggered(
            lineage(ledger.url), story.tenant, story.events["a1"].made.event_id, as_of=story.node(until).append_time
        )
        for until in ("a1", "c1", "c2")
    ]
    assert [bool(answer.contradictions) for answer in answers] == accused
    postgres.drop(ledger.url)


ACCOUNTS = """
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
a1 hand api_action action_id=x phase=intended operation=pay observer=agent <- p1:started_by
a2 hand api_action action_id=x phase=completed operation=pay outcome=success observer=agent <- p1:started_by
b0 desk api_action action_id=y phase=completed operation=pay outcome=success observer=resource at=-9 <- a2:same_action
"""
"""The bank's clock is behind: its account is the first by time."""


@pytest.mark.parametrize(
    ("late", "before"),
    [
        ("a1", {"a2": "b0", "b0": "b0"}),
        ("a2", {"a1": "a1", "b0": "b0"}),
        ("b0", {"a1": "a1", "a2": "a1"}),
    ],
    ids=["one in the middle", "the one that unites them", "the first, which cites another"],
)
def test_whichever_account_of_an_action_comes_late_all_are_of_its_first(
    postgres: Databases, late: str, before: dict[str, str]
) -> None:
    story = read_scenario(ACCOUNTS)
    ledger = begun(postgres, story)
    bundle = trust_of(story, ["front", "hand", "desk"]).bundle
    before_it, it = ledger.records_but(late)
    ledger.commit(bundle, *before_it)
    ledger.look(bundle)
    assert ledger.actions() == before
    ledger.commit(bundle, it)
    ledger.look(bundle)
    assert ledger.actions() == dict.fromkeys(("a1", "a2", "b0"), "b0")
    assert ledger.is_as_made_now(bundle)
    postgres.drop(ledger.url)


@pytest.mark.parametrize("how", ["erased", "revoked"])
def test_what_undid_it_and_goes_later_undoes_nothing_more(postgres: Databases, how: str) -> None:
    told = PAID.replace("c1 hand", "c1 back").replace("CITED", "b1").replace("TOLD", "outcome=success")
    story = read_scenario(told.replace("BECAME", "success"))
    ledger = begun(postgres, story)
    trust = trust_of(story, ["front", "hand", "desk", "back", ERASER])
    ledger.commit(trust.bundle, *ledger.records(*story.events))
    ledger.look(trust.bundle)
    assert ledger.held() == ("attributed", [])
    gone = []
    if how == "erased":
        story.events["c1"] = story.events["c1"]._replace(erased=True)
        erasure = erasure_of(story)
        assert erasure is not None
        gone = [erasure._replace(offset=10)]
    else:
        trust.revoke(story.forges["back"].signer, since=0)
    ledger.commit(trust.bundle, *gone)
    ledger.look(trust.bundle)
    assert ledger.held() == ("attributed", ["completed_twice"])
    assert ledger.is_as_made_now(trust.bundle)
    postgres.drop(ledger.url)


def test_what_undoes_a_payment_by_a_call_alone_is_met_when_it_comes(postgres: Databases) -> None:
    """The refund cites the agent's account of the payment, and what became of it bears the refund's request: neither by an id."""
    told = PAID.replace("<- b1:same_action p1:started_by", "corr=tool_call:t <- p1:started_by").replace("CITED", "b2")
    told = told.replace("effect=full observer=resource <-", "effect=full observer=resource corr=tool_call:t <-", 1)
    told = told.replace("observer=agent <- b2", "observer=agent corr=request:q <- b2").replace("TOLD", "")
    told = told.replace(
        "outcome=BECAME observer=resource <- c1:same_action", "outcome=success observer=resource corr=request:q"
    )
    story = read_scenario(told)
    for late in ("b2", "c1", "c2"):
        ledger = begun(postgres, story)
        bundle = trust_of(story, ["front", "hand", "desk"]).bundle
        before, it = ledger.records_but(late)
        ledger.commit(bundle, *before)
        ledger.look(bundle)
        assert ledger.held() == ("attributed", ["completed_twice"]), late
        ledger.commit(bundle, it)
        ledger.look(bundle)
        assert ledger.held() == ("attributed", []), late
        assert ledger.is_as_made_now(bundle)
        postgres.drop(ledger.url)


def test_whoever_reads_findings_page_by_page_meets_each_once_while_events_are_judged_again(postgres: Databases) -> None:
    """Between two pages something comes that has all judged again: it leaves one contradiction, takes one away, opens a third."""
    pay = "desk api_action phase=completed operation=pay outcome=success effect=full observer=resource"
    told = [f"{key}{n} {pay} action_id={key}{n} idempotency_key={key} <- p1:started_by" for key in "abc" for n in "12"]
    late = [
        "b3 desk api_action phase=completed operation=refund outcome=success observer=resource action_id=b3 <- b1:compensates",
        "a3 hand api_action phase=intended operation=pay observer=agent action_id=a2 <- p1:started_by",
        f"c3 {pay} action_id=c3 idempotency_key=c <- p1:started_by",
    ]
    prompt = "p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot"
    story = read_scenario("\n".join(["person alice Alice", prompt, *told, *late]))
    ledger = begun(postgres, story)
    bundle = trust_of(story, ["front", "hand", "desk"]).bundle
    ledger.commit(bundle, *ledger.records("p1", *(each.split()[0] for each in told)))
    ledger.look(bundle)
    reading, met, after = Reading(load_schemas(), LEDGER, lambda: bundle), list[str](), None
    for number in range(10):
        with connected(ledger.url) as connection:
            asked = Asked(story.tenant, 0, origin="stored")
            page = survey(connection, reading, asked, after=after, limit=1)
        met += [story.name_of(each.event_id) for each in page.found if each.event_id is not None]
        after = page.next
        if after is None:
            break
        if number == 0:
            ledger.commit(bundle, *ledger.records(*(each.split()[0] for each in late)))
            ledger.look(bundle)
    assert met[0] in ("a2", "b2", "c2")
    assert sorted(met) == sorted({"a2", "c2", "c3", met[0]})
    assert ledger.is_as_made_now(bundle)
    postgres.drop(ledger.url)


def test_what_meets_a_limit_is_judged_alone_as_it_is_answered(postgres: Databases) -> None:
    """More registrations of its agent than a question looks at: it is asked by itself, with whatever the limit leaves."""
    many = [f"r{n} platform agent_registration agent_id=bot state=active owner=alice at={n}" for n in range(140)]
    story = read_scenario(TOLD + "\n".join(many))
    ledger, event_id = begun(postgres, story), story.events["a1"].made.event_id
    bundle = trust_of(story, ["front", "hand", "issuer", "platform"]).bundle
    trusts(ledger.url, bundle)
    ledger.commit(bundle, *ledger.records(*story.events))
    ledger.look(bundle)
    with connected(ledger.url) as connection:
        pool = pool_above(connection, Reading(load_schemas(), LEDGER, lambda: bundle), story.tenant, [event_id])
    assert pool is not None
    with pytest.raises(Overfull):
        pool.extent(event_id)
    answer = who_triggered(lineage(ledger.url), story.tenant, event_id)
    assert ledger.held() == (answer.class_, [each.rule for each in answer.contradictions])
    assert ledger.held() == ("attributed", ["expired_token"])
    assert ledger.is_as_made_now(bundle)
    postgres.drop(ledger.url)


def test_what_contradicted_an_action_before_its_first_account_came_is_found_as_of_then(postgres: Databases) -> None:
    """The agent's account lay in a spool: until it came, and the decision after it, the resource's stood alone."""
    story = read_scenario("""
person alice Alice
p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot
a2 hand api_action action_id=x phase=completed operation=send decision_id=d-1 outcome=success observer=resource at=5
a1 front api_action action_id=x phase=intended operation=send observer=agent agent=bot at=4 <- p1:started_by
d1 desk policy_decision decision=allow decision_id=d-1 action=send at=3
""")
    ledger = begun(postgres, story)
    bundle = trust_of(story, ["front", "hand", "desk"]).bundle
    came = {name: START + (10 + number) * SECOND for number, name in enumerate(story.events)}
    made = zip(came.values(), ledger.records(*story.events), strict=True)
    ledger.commit(bundle, *(record._replace(append_time=at) for at, record in made))
    ledger.look(bundle)
    assert ledger.held() == ("attributed", [])
    trusts(ledger.url, bundle)
    with connected(ledger.url) as connection:
        for until, as_of in came.items():
            page = survey(
                connection, reading(ledger.url), Asked(story.tenant, as_of, name="decision_missing", as_of=as_of)
            )
            expected = [story.events["a1"].made.event_id] if until in ("a2", "a1") else []
            assert [each.event_id for each in page.found] == expected, until
    assert ledger.is_as_made_now(bundle)
    postgres.drop(ledger.url)


def test_as_of_a_time_evidence_is_what_was_there_then(postgres: Databases) -> None:
    story = read_scenario(
        "person alice Alice\n"
        "r1 platform agent_registration agent_id=travel state=active client_ids=as#travel-client\n"
        "t1 issuer token_issuance status=issued token=j1 subject=alice act=hotel-client verification=issuer observer=issuer\n"
        "a1 agent api_action action_id=x phase=intended operation=book token=j1 observer=agent agent=travel\n"
        "r2 platform agent_registration agent_id=travel state=active client_ids=as#travel-client effective_at=1\n"
    )
    url = postgres.fresh()
    sentinel(url, store(url, story))
    shown = []
    with connected(url) as connection:
        for as_of in (None, story.node("r2").append_time, story.node("r2").append_time - 1):
            asked = Asked(story.tenant, as_of or START, name="actor_mismatch", as_of=as_of)
            (found,) = survey(connection, reading(url), asked).found
            shown.append([story.name_of(each) for each in found.evidence])
    assert shown == [["t1", "a1", "r1", "r2"], ["t1", "a1", "r1", "r2"], ["t1", "a1", "r1"]]
    postgres.drop(url)
