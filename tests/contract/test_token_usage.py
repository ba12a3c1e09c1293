"""How tokens lived against their task, and scopes granted against scopes used, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import psycopg
import pytest
from rich.console import Console

from ledger.attribution.tokens.usage import By, TokenUsage, UsageGroup
from ledger.cli.token_usage import print_usage
from ledger.store.token_usage import Span, UsageBounds, share_of, token_usage
from tests.attribution.scenario import SECOND, read_scenario
from tests.attribution.stored import reading, store
from tests.services.databases import Databases
from tests.services.forge import START

ISSUED = "token_issuance status=issued verification=issuer observer=issuer"
ACTION = "api_action phase=completed outcome=success observer=agent"
STORIES = {
    "task": f"""
person alice Alice
drawn at
g0 consent grant grant_id=G action=give grantor=alice method=explicit scopes=mail.read,mail.send,files.read at=0
t1 as {ISSUED} token=j1 client_id=app grant_id=G scopes=mail.read,mail.send,files.read agent=travel run=r1 expires_at=3600 at=0
a1 agent {ACTION} operation=mail.read action_id=x token=j1 agent=travel at=10
d1 policy policy_decision decision=allow decision_id=D action=mail.send at=11
d2 policy policy_decision decision=deny decision_id=E action=files.read at=11
a2 agent {ACTION} operation=POST action_id=y token=j1 decision_id=D agent=travel at=20
a3 agent {ACTION} operation=PUT action_id=z token=j1 decision_id=E agent=travel at=30
e1 agent execution_control action=end outcome=success run=r1 at=60
a4 agent {ACTION} operation=PUT action_id=w token=j1 agent=travel at=90
t2 issuer {ISSUED} token=j2 client_id=app agent=travel run=r2 at=100 expires_at=400
t3 issuer {ISSUED} token=j3 client_id=other scopes=files.read at=110
c3 client token_issuance status=issued token=j3 client_id=other verification=none observer=client at=111
e2 agent execution_control action=end outcome=success run=r3 at=120
e3 agent execution_control action=resume run=r3 at=130
t4 issuer {ISSUED} token=j4 client_id=other agent=late run=r3 at=115 expires_at=500
""",
    "ended": f"""
person alice Alice
drawn at
g0 consent grant grant_id=G action=give grantor=alice method=explicit scopes=mail.read,mail.send at=0
t1 as {ISSUED} token=j1 client_id=app run=r1 agent=neat expires_at=3600 at=0
e1 agent execution_control action=end outcome=success run=r1 at=60
x1 as token_revocation extent=token token=j1 issuer=as derived_tokens=revoked at=65
c2 client token_issuance status=issued token=j2 client_id=app verification=none observer=client agent=two run=r2 at=0
t2 as {ISSUED} token=j2 client_id=app scopes=mail.read session=S expires_at=3660 at=1
e2 agent execution_control action=end outcome=success run=r2 at=60
t3 as {ISSUED} token=j3 client_id=app grant_id=G expires_at=660 at=2
a3 agent {ACTION} operation=mail.read action_id=x token=j3 agent=three run=r3 at=10
e3 agent execution_control action=end outcome=success run=r3 at=60
t4 as token_issuance status=refused token=j4 client_id=app verification=issuer observer=issuer agent=four at=3
t5 as {ISSUED} token=j5 client_id=app session=S agent=five run=r5 expires_at=3600 at=4
e5 agent execution_control action=end outcome=success run=r5 at=60
x5 as token_revocation extent=session session=S issuer=as derived_tokens=revoked at=90
""",
    "names": f"""
drawn at
t1 as {ISSUED} token=j1@d client_id=app scopes=book,look expires_at=3600 at=0
c1 client token_issuance status=issued token=j1 client_id=app verification=none observer=client at=5
a1 agent {ACTION} operation=book action_id=x token=j1 at=10
a2 flights {ACTION} operation=look action_id=y token=@d at=20
t2 as {ISSUED} token=j2 client_id=other subject_token=hr//j9 expires_at=3600 run=r1 at=0
e1 agent execution_control action=end outcome=success run=r1 at=60
x1 hr token_revocation extent=token token=hr//j9 issuer=hr derived_tokens=revoked at=65
""",
    "line": f"""
person alice Alice
drawn at
g1 consent grant grant_id=G action=give issuer=hr grantor=alice method=explicit at=0
t1 hr {ISSUED} token=hr//j1 grant_id=G session=S at=0
t2 as {ISSUED} token=j2 subject_token=hr//j1 at=1
t3 as {ISSUED} token=j3 client_id=one subject_token=j2 expires_at=3600 run=r1 at=10
e1 agent execution_control action=end outcome=success run=r1 at=60
g2 consent grant grant_id=G action=withdraw issuer=hr grantor=alice method=explicit at=90
t4 hr {ISSUED} token=hr//j4 session=T at=0
t5 as {ISSUED} token=j5 subject_token=hr//j4 at=1
t6 as {ISSUED} token=j6 client_id=two subject_token=j5 expires_at=3600 run=r1 at=10
x4 hr token_revocation extent=session session=T issuer=hr derived_tokens=revoked at=80
""",
    "busy": "drawn at\n"
    f"t1 issuer {ISSUED} token=j1 client_id=app at=0\n"
    + "\n".join(f"a{i} agent {ACTION} operation=op{i} action_id=x{i} token=j1 at={i + 1}" for i in range(60))
    + "\n"
    + "\n".join(f"b{i} issuer {ISSUED} token=k{i} client_id=app at={100 + i}" for i in range(40)),
}


@pytest.fixture(scope="module")
def url(postgres: Databases) -> str:
    url = postgres.fresh()
    store(url, *(read_scenario(text, tenant) for tenant, text in STORIES.items()))
    return url


@pytest.fixture(scope="module")
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


def usage(
    connection: psycopg.Connection,
    url: str,
    tenant: str = "task",
    *,
    by: By = "agent",
    until: int = 5000,
    since: int = 0,
    bounds: UsageBounds = UsageBounds(),  # noqa: B008 - immutable
) -> TokenUsage:
    span = Span(START + since * SECOND, START + until * SECOND)
    return token_usage(connection, reading(url), tenant, span, by=by, now=START + 9000 * SECOND, bounds=bounds)


def group(found: TokenUsage, name: str | None) -> UsageGroup:
    return next(each for each in found.groups if each.name == name)


def test_a_token_that_was_good_for_59_minutes_after_its_task_is_told_with_its_figure(
    connection: psycopg.Connection, url: str
) -> None:
    found = usage(connection, url)
    (worst,) = found.outlived_longest
    assert (worst.right.id, worst.outlived_seconds, worst.uses_after_task) == ("j1", 59 * 60, 1)
    assert (worst.first_use, worst.last_use) == (START + 10 * SECOND, START + 90 * SECOND)
    mine = group(found, "travel")
    assert (mine.tokens, mine.never_used, mine.uses, mine.uses_after_task) == (2, 1, 4, 1)
    assert (mine.outlived.of, mine.outlived.median, mine.outlived.most) == (1, 3540, 3540)
    assert (mine.lifetime.most, mine.to_first_use.most, mine.last_use_to_expiry.most) == (3600, 10, 3510)
    assert found.truncated == ()


def test_a_run_that_went_on_after_its_end_has_not_ended(connection: psycopg.Connection, url: str) -> None:
    assert group(usage(connection, url), "late").outlived.of == 0


def test_a_token_that_was_revoked_with_its_task_did_not_outlive_it(connection: psycopg.Connection, url: str) -> None:
    found = usage(connection, url, "ended")
    assert group(found, "neat").outlived.most == 5
    assert group(found, "five").outlived.most == 30, "revoked with its session"
    assert {each.right.id: each.revoked_at for each in found.outlived_longest} == {
        "j3": None,
        "j5": START + 90 * SECOND,
        "j2": START + 90 * SECOND,
        "j1": START + 65 * SECOND,
    }


def test_what_one_statement_of_a_token_does_not_know_another_tells(connection: psycopg.Connection, url: str) -> None:
    two = group(usage(connection, url, "ended"), "two")
    assert (two.tokens, two.lifetime.most, two.scopes_granted) == (1, 3660, ("mail.read",))
    assert two.outlived.most == 30, "the run as its client knows it, the end as its issuer does"
    late = usage(connection, url, "ended", since=1)
    assert group(late, "two").tokens == 1, "one statement in the window is enough to know all of them"


def test_where_nobody_says_in_which_run_a_token_was_issued_its_task_is_what_it_was_used_in(
    connection: psycopg.Connection, url: str
) -> None:
    three = group(usage(connection, url, "ended"), "three")
    assert three.outlived.most == 600
    assert three.scopes_granted == ("mail.read", "mail.send"), "a token that states no scope has those of its grant"
    assert three.scopes_used == ("mail.read",)


@pytest.mark.parametrize("since", [0, 1])
def test_a_token_known_by_jti_and_digest_was_used_under_either_wherever_that_is_stated(
    connection: psycopg.Connection, url: str, since: int
) -> None:
    app = group(usage(connection, url, "names", by="client", since=since), "app")
    assert (app.tokens, app.uses, app.looked_at) == (1, 2, 2)
    assert (app.operations, app.scopes_used) == (("book", "look"), ("book", "look"))


def test_a_token_ends_with_one_that_it_was_obtained_with_though_nobody_recorded_that(
    connection: psycopg.Connection, url: str
) -> None:
    assert group(usage(connection, url, "names", by="client"), "other").outlived.most == 5


@pytest.mark.parametrize("since", [0, 5])
def test_a_token_ends_with_the_grant_or_session_that_it_comes_from_whenever_that_was_issued(
    connection: psycopg.Connection, url: str, since: int
) -> None:
    found = usage(connection, url, "line", by="client", since=since)
    assert (group(found, "one").outlived.most, group(found, "two").outlived.most) == (30, 20)


def test_a_token_that_was_refused_is_none(connection: psycopg.Connection, url: str) -> None:
    assert "four" not in {each.name for each in usage(connection, url, "ended").groups}


def test_a_scope_is_used_where_a_use_states_it_and_never_by_a_guess(connection: psycopg.Connection, url: str) -> None:
    of_grant = group(usage(connection, url, by="grant"), "G")
    assert of_grant.scopes_granted == ("files.read", "mail.read", "mail.send")
    assert of_grant.scopes_used == ("mail.read", "mail.send")
    assert of_grant.scopes_unused == ("files.read",), "a decision that denied it is no use"
    assert (of_grant.looked_at, of_grant.not_stated) == (4, 2)
    assert of_grant.operations == ("POST", "PUT", "mail.read")


def test_tokens_are_put_together_by_client_and_what_is_not_stated_is_a_group_of_its_own(
    connection: psycopg.Connection, url: str
) -> None:
    by_client = usage(connection, url, by="client")
    assert [(each.name, each.tokens) for each in by_client.groups] == [("app", 2), ("other", 2)]
    assert [each.name for each in usage(connection, url).groups] == ["late", "travel", None]
    assert by_client.tokens == 4, "two statements of one token are one token"


def test_only_tokens_issued_in_the_window_are_told(connection: psycopg.Connection, url: str) -> None:
    assert usage(connection, url, since=100, until=112).tokens == 2
    assert usage(connection, url, since=200).groups == ()


def test_a_limit_says_how_far_was_looked_and_going_on_from_there_misses_none(
    connection: psycopg.Connection, url: str
) -> None:
    bounds = UsageBounds(tokens=10)
    since, met, rounds = 0, 0, 0
    while True:
        found = usage(connection, url, "busy", since=since, bounds=bounds)
        met, rounds = met + found.tokens, rounds + 1
        if "tokens" not in found.truncated:
            break
        since = (found.looked_until - START) // SECOND
    assert (met, rounds) == (41, 5)
    few = usage(connection, url, "busy", bounds=UsageBounds(scan=20))
    assert few.truncated == ("scan",)
    assert few.tokens == 1


def test_uses_that_were_not_read_are_counted_and_said(connection: psycopg.Connection, url: str) -> None:
    found = usage(connection, url, "busy", bounds=UsageBounds(uses=20))
    (app,) = found.groups
    assert (app.uses, app.looked_at, found.truncated) == (60, 20, ("uses",)), "tokens without use leave it their share"
    assert {"op0", "op18", "op59"} <= {*app.operations}, "the first ones and the last are read"
    out = StringIO()
    print_usage(Console(file=out, width=1000), found, utc=True)
    assert "CUT SHORT: 20 of 60 events that used one were read, each token's first and its last" in out.getvalue()
    assert "counted" in usage(connection, url, "busy", bounds=UsageBounds(counted=50)).truncated


def test_of_a_token_with_many_uses_all_are_read_while_there_is_room_for_them(
    connection: psycopg.Connection, url: str
) -> None:
    found = usage(connection, url, "busy")
    assert (found.groups[0].looked_at, found.truncated) == (60, ())


@pytest.mark.parametrize(
    ("counts", "share"), [([0], 1), ([3, 9], 9), ([100, 2, 3], 15), ([50, 50], 10), ([7] * 30, 1), ([10, 10], 10)]
)
def test_tokens_share_the_uses_that_are_read_and_what_one_leaves_goes_to_the_others(
    counts: list[int], share: int
) -> None:
    assert share_of(counts, 20) == share


def test_a_person_reads_the_worst_first(connection: psycopg.Connection, url: str) -> None:
    out = StringIO()
    print_usage(Console(file=out, width=1000), usage(connection, url), utc=True)
    first, second, *rest = out.getvalue().splitlines()
    assert first.startswith("4 tokens; the longest stayed alive 59 min after its task ended.")
    assert second == "  token j1 of as (travel): alive 59 min after its task ended, used 1 time after it"
    assert "  scopes granted files.read mail.read mail.send; used mail.read mail.send" in rest
    assert "  scope not stated by 2 of 4 events looked at" in rest
