"""The lineage of tokens and grants on a real Postgres: each story a tenant of its own in one store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO

import psycopg
import pytest
from rich.console import Console

from ledger.attribution.rules.case import SKEW
from ledger.attribution.tokens.values import Asked, Happening, Statement, TokenLineage
from ledger.cli.token_text import print_token_lineage
from ledger.errors import NotFound
from ledger.store.token_lineage import Bounds, LineagePage, token_lineage
from tests.attribution.scenario import SECOND, Story, digest_of, read_scenario
from tests.attribution.stored import reading, store
from tests.services.databases import Databases
from tests.services.forge import START

PEOPLE = "person alice Alice\nperson bob Bob\ndrawn at\n"
REFRESHED = "grant_type=refresh_token"
ROLE = "token_issuance status=issued grant_type=sts:AssumeRole verification=unknown observer=importer"
ISSUED = "token_issuance status=issued verification=issuer observer=issuer"
ACTION = "api_action phase=completed operation=book outcome=success observer=agent"

STORIES = {
    "chain": f"""
g0 consent grant grant_id=G action=give grantor=alice method=explicit delegate=travel scopes=read,write expires_at=90000
t1 issuer {ISSUED} token=j1 subject=alice grant_id=G scopes=read,write expires_at=3600
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1 grant_type=exchange scopes=read act=travel expires_at=3600
t3 broker {ISSUED} token=@d3 subject=alice subject_token=j2 scopes=read expires_at=3600
a1 agent {ACTION} action_id=x token=@d3 agent=travel
a2 agent {ACTION} action_id=y token=j1 agent=travel
a3 agent {ACTION} action_id=z grant_id=G agent=travel
""",
    "refresh": f"""
r1 issuer {ISSUED} token=r1 subject=alice grant_id=G token_type=refresh client_id=app
t1 issuer {ISSUED} token=j1 subject=alice grant_id=G client_id=app audiences=api expires_at=300
t2 issuer {ISSUED} token=j2 subject=alice grant_id=G client_id=app audiences=api {REFRESHED} subject_token=r1 expires_at=700
r2 issuer {ISSUED} token=r2 subject=alice grant_id=G client_id=app {REFRESHED} subject_token=r1
t3 issuer {ISSUED} token=j3 subject=alice grant_id=G client_id=app audiences=api {REFRESHED} subject_token=r2 expires_at=900
""",
    "kept": f"""
t1 issuer {ISSUED} token=j1 subject=alice at=0
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1 at=10
x1 issuer token_revocation extent=token token=j1 issuer=as derived_tokens=kept reason=logout at=1000
a0 agent {ACTION} action_id=w token=j2 agent=travel at=900
a1 agent {ACTION} action_id=x token=j2 agent=travel at=1030
a2 agent {ACTION} action_id=y token=j2 agent=travel at=2000
t3 issuer {ISSUED} token=j3 subject=alice subject_token=j1 at=2100
a3 agent {ACTION} action_id=z token=j3 agent=travel at=2200
""",
    "two_claims": f"""
t1 issuer {ISSUED} token=j1 subject=alice scopes=read
t2 client token_issuance status=issued token=j1 subject=bob scopes=read,write verification=none observer=client
""",
    "cycle": f"""
t1 issuer {ISSUED} token=j1 subject=alice subject_token=j3
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1
t3 issuer {ISSUED} token=j3 subject=alice subject_token=j2
a1 agent {ACTION} action_id=x token=j3
""",
    "nested": f"""
t0 issuer {ISSUED} token=j0 subject=alice act={">".join(f"a{i}" for i in range(16))}+24
"""
    + "\n".join(f"t{i} issuer {ISSUED} token=j{i} subject=alice subject_token=j{i - 1}" for i in range(1, 41)),
    "erased": f"""
t1 issuer {ISSUED} token=j1 subject=alice
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1 erased
t3 issuer {ISSUED} token=j3 subject=alice subject_token=j2
a1 agent {ACTION} action_id=x token=j3
""",
    "unauthorized": f"""
service thief unauthorized
t1 issuer {ISSUED} token=j1 subject=alice expires_at=99000
t2 thief {ISSUED} token=j2 subject=bob subject_token=j1
x1 thief token_revocation extent=token token=j1 issuer=as derived_tokens=revoked
a1 thief {ACTION} action_id=x token=j1
""",
    "other_tenant": f"""
t1 issuer {ISSUED} token=j1 subject=bob
a1 agent {ACTION} action_id=x token=j1
""",
    "parents_revoked": f"""
g1 consent grant grant_id=G action=give grantor=alice method=explicit at=0
g2 consent grant grant_id=H action=give grantor=alice method=delegated parent_grant_id=G at=1
t1 issuer {ISSUED} token=j1 subject=alice grant_id=H at=2
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1 at=3
x1 consent grant grant_id=G action=withdraw grantor=alice method=explicit at=500
a1 agent {ACTION} action_id=x token=j2 at=900
""",
    "aws": f"""
service aws importer
t1 aws {ROLE} token=ASIA1 subject=alice subject_token=AKIA0 roles=arn:first
t2 aws {ROLE} token=ASIA2 subject=alice subject_token=ASIA1 roles=arn:second
a1 aws api_action action_id=x phase=unknown operation=s3:GetObject observer=importer token=ASIA2
""",
    "two_names": f"""
t1 issuer {ISSUED} token=j1@d1 subject=alice
t2 broker {ISSUED} token=j2@d2 subject=alice subject_token=@d1
t3 broker {ISSUED} token=j3 subject=alice subject_token=j2
a1 agent {ACTION} action_id=x token=@d2
a2 agent {ACTION} action_id=y token=j2
a3 agent {ACTION} action_id=z token=j3
x2 issuer token_revocation extent=token token=@d2 issuer=as derived_tokens=revoked at=2000
""",
    "one_of_a_grant": f"""
g0 consent grant grant_id=G action=give grantor=alice method=explicit expires_at=90000 at=0
t1 issuer {ISSUED} token=j1 subject=alice grant_id=G expires_at=90000 at=1
t2 issuer {ISSUED} token=j2 subject=alice grant_id=G expires_at=90000 at=2
x1 issuer token_revocation extent=token token=j1 grant_id=G issuer=as derived_tokens=unknown at=100
a2 agent {ACTION} action_id=x token=j2 agent=travel at=1000
""",
    "given_again": f"""
g0 consent grant grant_id=G action=give issuer=as grantor=alice method=explicit expires_at=90000 at=0
t1 issuer {ISSUED} token=j1 subject=alice grant_id=G expires_at=90000 at=1
g1 consent grant grant_id=G action=withdraw issuer=as grantor=alice method=explicit at=100
g2 consent grant grant_id=G action=give issuer=as grantor=alice method=explicit expires_at=90000 at=200
t2 issuer {ISSUED} token=j2 subject=alice grant_id=G expires_at=90000 at=300
a2 agent {ACTION} action_id=x token=j2 agent=travel at=1000
h0 other grant grant_id=G action=give issuer=other grantor=bob method=explicit at=380
h1 other grant grant_id=G action=withdraw issuer=other grantor=bob method=explicit at=400
x1 issuer token_revocation extent=grant grant_id=H issuer=as issued_before=100 derived_tokens=unknown at=100
""",
    "with_others": f"""
t1 issuer {ISSUED} token=j1 subject=alice session=S expires_at=90000 at=0
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1 expires_at=90000 at=1
x1 issuer token_revocation extent=session session=S issuer=as derived_tokens=revoked reason=logout at=100
a2 agent {ACTION} action_id=x token=j2 agent=travel at=1000
t3 issuer {ISSUED} token=j3 subject=bob client_id=app expires_at=90000 at=2
x2 issuer token_revocation extent=client client_id=app issuer=as derived_tokens=unknown at=100
t4 issuer {ISSUED} token=j4 subject=bob client_id=app expires_at=90000 at=200
""",
    "across": f"""
t1 hr {ISSUED} token=hr//j1 subject=alice session=S at=0
t2 issuer {ISSUED} token=j1 subject=alice subject_token=hr//j1 session=T at=10
x1 issuer token_revocation extent=session session=S issuer=as derived_tokens=revoked at=50
x2 hr token_revocation extent=session session=T issuer=hr derived_tokens=revoked at=60
a1 agent {ACTION} action_id=x token=j1 at=1000
t3 hr {ISSUED} token=hr//j3 subject=alice session=U at=0
t4 issuer {ISSUED} token=j4 subject=alice subject_token=hr//j3 at=10
x3 hr token_revocation extent=session session=U issuer=hr derived_tokens=revoked at=100
""",
    "in_session": f"""
g1 consent grant grant_id=G action=give issuer=as grantor=alice method=explicit at=0
t1 issuer {ISSUED} token=j1 subject=alice session=S grant_id=G at=1
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1 session=S at=2
x1 issuer token_revocation extent=session session=S issuer=as derived_tokens=kept at=100
t3 issuer {ISSUED} token=j3@d3 subject=alice at=3
t4 flights token_issuance status=issued token=@d3 session=T verification=introspection observer=resource at=4
x2 issuer token_revocation extent=session session=T issuer=as derived_tokens=kept at=100
a3 agent {ACTION} action_id=x token=j3 at=1000
""",
    "under_a_grant": f"""
g1 consent grant grant_id=G action=give issuer=as grantor=alice method=explicit at=0
t1 issuer {ISSUED} token=j1 subject=alice grant_id=G at=1
t2 issuer {ISSUED} token=j2 subject=alice subject_token=j1 at=300
x1 issuer token_revocation extent=grant grant_id=G issuer=as issued_before=100 derived_tokens=revoked at=100
g2 consent grant grant_id=H action=give issuer=as grantor=alice method=explicit at=0
t3 issuer {ISSUED} token=j3 subject=alice grant_id=H at=1
t4 issuer {ISSUED} token=j4 subject=alice subject_token=j3 at=20
x2 issuer token_revocation extent=grant grant_id=H issuer=as derived_tokens=kept at=100
""",
    "crowd": f"t1 issuer {ISSUED} token=j1 subject=alice\n"
    + "\n".join(f"a{i} agent {ACTION} action_id=x{i} token=j1" for i in range(300)),
}  # fmt: skip


def told() -> dict[str, Story]:
    return {name: read_scenario(PEOPLE + text, name) for name, text in STORIES.items()}


@pytest.fixture(scope="module")
def stories() -> dict[str, Story]:
    return told()


@pytest.fixture(scope="module")
def url(postgres: Databases, stories: dict[str, Story]) -> str:
    url = postgres.fresh()
    store(url, *stories.values())
    return url


@pytest.fixture(scope="module")
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def ask(connection: psycopg.Connection, url: str) -> Ask:
    return Ask(connection, url)


class Ask:
    """Asks about tokens of the issuer of all stories, an hour after they began unless ``at`` says when."""

    def __init__(self, connection: psycopg.Connection, url: str) -> None:
        self._connection = connection
        self._reading = reading(url)

    def page(self, tenant: str, asked: Asked, *, at: int = 3000, **given: object) -> LineagePage:
        now = START + at * SECOND
        return token_lineage(self._connection, self._reading, tenant, asked, now=now, **given)  # type: ignore[arg-type]

    def token(self, tenant: str, jti: str, **given: object) -> TokenLineage:
        return self.page(tenant, Asked("as", jti), **given).lineage  # type: ignore[arg-type]

    def grant(self, tenant: str, grant_id: str, **given: object) -> TokenLineage:
        return self.page(tenant, Asked(grant_id=grant_id), **given).lineage  # type: ignore[arg-type]


def names(story: Story, told: Sequence[Happening] | Sequence[Statement]) -> list[str]:
    return [story.name_of(each.event_id) for each in told]


def test_from_an_action_a_token_leads_up_to_the_grant(ask: Ask, stories: dict[str, Story]) -> None:
    found = ask.page("chain", Asked(digest=digest_of("@d3"))).lineage
    assert [(each.how, each.right.id) for each in found.parents] == [
        ("exchanged", "j2"),
        ("exchanged", "j1"),
        ("granted", "G"),
    ]
    assert found.parents[-1].subject is not None
    assert found.parents[-1].subject.name == "Alice"
    assert {each.grade for each in found.parents} == {"sealed"}
    assert names(stories["chain"], found.happenings) == ["a1"]


def test_a_grant_tells_all_that_came_of_it_in_order(ask: Ask, stories: dict[str, Story]) -> None:
    found = ask.grant("chain", "G")
    assert names(stories["chain"], found.happenings) == ["g0", "t1", "t2", "t3", "a1", "a2", "a3"]
    assert [each.part for each in found.happenings] == [
        "given",
        "derived",
        "derived",
        "derived",
        "used",
        "used",
        "used",
    ]
    assert [each.direct for each in found.happenings] == [True, True, False, False, False, False, True]
    assert (found.counted.rights, found.counted.uses) == (3, 3)
    assert found.state == "valid"
    assert found.truncated == ()


def test_a_token_that_was_refreshed_is_superseded_by_what_took_its_place(ask: Ask, stories: dict[str, Story]) -> None:
    story = stories["refresh"]
    first = ask.token("refresh", "r1", at=10)
    assert first.state == "superseded"
    assert {story.name_of(each.event_id) for each in first.ends} == {"t2", "r2"}
    assert {each.grade for each in first.ends} == {"sealed"}
    access = ask.token("refresh", "j1", at=10)
    assert access.state == "superseded"
    assert [(story.name_of(each.event_id), each.grade, each.effect) for each in access.ends] == [
        ("t2", "inferred", "unknown")
    ]
    assert ask.token("refresh", "j1", at=1000).state == "expired"
    assert {each.id for each in access.siblings} == {"r1", "j2", "r2", "j3"}
    assert [(each.how, each.right.id) for each in ask.token("refresh", "j3").parents] == [
        ("refreshed", "r2"), ("granted", "G"), ("refreshed", "r1"),
    ]  # fmt: skip


def test_what_was_done_and_derived_after_a_revocation_is_told_apart(ask: Ask, stories: dict[str, Story]) -> None:
    found = ask.token("kept", "j1")
    assert found.state == "revoked"
    assert found.revoked_at == START + 1000 * SECOND
    timing = {stories["kept"].name_of(each.event_id): each.timing for each in found.happenings}
    assert timing == {
        "t2": "before",
        "a0": "before",
        "x1": "within_tolerance",
        "a1": "within_tolerance",
        "a2": "after",
        "t3": "after",
        "a3": "after",
    }
    assert found.counted[:4] == (2, 1, 4, 2)
    only = ask.token("kept", "j1", only_after=True)
    assert names(stories["kept"], only.happenings) == ["a2", "t3", "a3"]


def test_a_token_exchanged_from_a_revoked_one_lives_on_where_the_issuer_says_so(ask: Ask) -> None:
    found = ask.token("kept", "j2")
    assert found.state == "unknown", "kept: revoking did not end what was exchanged"
    assert [(each.how, each.effect, each.through and each.through.id) for each in found.ends] == [
        ("revoked", "kept", "j1")
    ]
    assert found.counted.uses_after == 1


def test_two_issuances_with_different_claims_are_shown_and_none_is_chosen(ask: Ask, stories: dict[str, Story]) -> None:
    found = ask.token("two_claims", "j1")
    assert names(stories["two_claims"], found.statements) == ["t1", "t2"]
    assert {each.claim for each in found.disagreements} == {"subject", "scopes"}
    assert all(len(each.evidence) == 2 for each in found.disagreements)


def test_a_cycle_of_exchanges_ends_in_both_directions(ask: Ask, stories: dict[str, Story]) -> None:
    found = ask.token("cycle", "j1")
    assert [each.right.id for each in found.parents] == ["j3", "j2"]
    assert set(names(stories["cycle"], found.happenings)) == {"t1", "t2", "t3", "a1"}
    assert found.truncated == ()


def test_more_exchanges_than_are_read_are_said_to_be_cut(ask: Ask) -> None:
    found = ask.token("nested", "j40")
    assert len(found.parents) == 32 + 1
    assert found.truncated == ("depth",)
    root = ask.token("nested", "j0")
    assert (root.counted.rights, root.truncated) == (40, ())
    assert len(root.statements[0].actors) == 16


def test_an_erased_issuance_breaks_the_line_and_hides_nothing_else(ask: Ask) -> None:
    found = ask.token("erased", "j3")
    assert [(each.right.id, each.event_id) for each in found.parents] == [("j2", None)]
    assert ask.token("erased", "j2").statements == ()
    assert ask.token("erased", "j2").sentence.endswith("nobody recorded that it was issued")
    assert ask.token("erased", "j1").counted.rights == 0


def test_what_a_service_may_not_state_has_no_effect(ask: Ask) -> None:
    found = ask.token("unauthorized", "j1")
    assert (found.state, found.ends, found.happenings) == ("valid", (), ())
    with pytest.raises(NotFound):
        ask.token("unauthorized", "j2")


def test_one_jti_of_two_tenants_or_two_issuers_is_two_tokens(ask: Ask) -> None:
    mine = ask.token("other_tenant", "j1")
    assert mine.statements[0].subject is not None
    assert mine.statements[0].subject.name == "Bob"
    assert (mine.counted.rights, mine.counted.uses) == (0, 1)
    with pytest.raises(NotFound):
        ask.page("other_tenant", Asked("another", "j1"))
    with pytest.raises(NotFound):
        ask.token("nobody", "j1")


def test_the_withdrawal_of_a_grant_ends_what_rests_on_a_grant_derived_from_it(ask: Ask) -> None:
    found = ask.token("parents_revoked", "j2")
    assert found.state == "withdrawn"
    assert [(each.how, each.right.id) for each in found.parents] == [
        ("exchanged", "j1"), ("granted", "H"), ("delegated", "G"),
    ]  # fmt: skip
    assert [each.timing for each in found.happenings] == ["after"]
    assert ask.grant("parents_revoked", "G").counted[:4] == (3, 0, 1, 1)


def test_a_chain_of_assumed_roles_is_a_lineage_of_what_was_imported(ask: Ask) -> None:
    found = ask.token("aws", "ASIA2")
    assert [(each.right.id, each.event_id is None, each.grade) for each in found.parents] == [
        ("ASIA1", False, "asserted"), ("AKIA0", True, "asserted"),
    ]  # fmt: skip
    root = ask.token("aws", "AKIA0")
    assert (root.statements, root.counted.rights, root.counted.uses) == ((), 2, 1)


def test_pages_go_on_to_the_end_and_tell_each_event_once(ask: Ask, stories: dict[str, Story]) -> None:
    met: list[bytes] = []
    after: bytes | None = None
    while True:
        page = ask.page("crowd", Asked("as", "j1"), limit=77, after=after)
        met += [each.event_id for each in page.lineage.happenings]
        if (after := page.next) is None:
            break
    assert met == sorted(met)
    assert [stories["crowd"].name_of(each) for each in met] == [f"a{i}" for i in range(300)]


def test_counting_that_ends_at_a_limit_says_so_and_pages_go_on(ask: Ask) -> None:
    bounds = Bounds(rows=50)
    first = ask.page("crowd", Asked("as", "j1"), limit=200, bounds=bounds)
    assert first.lineage.truncated == ("rows",)
    assert first.lineage.counted.uses == 51
    assert "used by at least 51 events" in first.lineage.sentence
    second = ask.page("crowd", Asked("as", "j1"), limit=200, after=first.next, bounds=bounds)
    assert len(first.lineage.happenings) + len(second.lineage.happenings) == 300
    few = ask.token("nested", "j0", bounds=Bounds(rights=10))
    assert few.truncated == ("rights",)


def test_as_of_a_time_only_what_the_log_held_then_is_told(ask: Ask, stories: dict[str, Story]) -> None:
    made = [told.made.header.occurred_at for told in stories["chain"].events.values()]
    found = ask.token("chain", "j1", as_of=made[2] + 1000)
    assert names(stories["chain"], found.happenings) == ["t2"]
    assert found.counted[:1] == (1,)
    assert ask.token("kept", "j1", as_of=START + 60 * SECOND).ends == ()


def test_a_token_revoked_alone_leaves_its_grant_and_the_others_of_it_as_they_were(ask: Ask) -> None:
    assert ask.token("one_of_a_grant", "j1").state == "revoked"
    for other in (ask.token("one_of_a_grant", "j2"), ask.grant("one_of_a_grant", "G")):
        assert (other.state, other.ends, other.revoked_at) == ("valid", (), None)


def test_what_was_issued_under_a_grant_that_was_given_again_is_good(ask: Ask) -> None:
    assert ask.token("given_again", "j1").state == "withdrawn"
    again = ask.token("given_again", "j2")
    assert (again.state, again.ends) == ("valid", ()), "nor does a grant of that id of another issuer end it"
    grant = ask.grant("given_again", "G")
    assert (grant.state, {each.effect for each in grant.ends}) == ("unknown", {"unknown"})
    assert [(each.claim, each.values) for each in grant.disagreements] == [("issuer", ("as", "other"))]
    older = ask.grant("given_again", "H")
    assert [(each.how, each.effect) for each in older.ends] == [("revoked", "kept")], "its tokens of before alone"


def test_as_long_as_no_other_issuer_uses_its_id_a_grant_is_shown_to_be_given_again(ask: Ask) -> None:
    grant = ask.grant("given_again", "G", as_of=START + 350 * SECOND)
    assert [(each.how, each.effect) for each in grant.ends] == [("withdrawn", "given_again")]
    assert (grant.state, grant.revoked_at) == ("valid", None)
    assert "withdrawn at 2026-01-01 00:01:40.000Z: it was given again afterwards" in text_of(grant)


def test_a_token_is_revoked_with_its_session_or_client_and_what_came_of_it_where_it_is_said(ask: Ask) -> None:
    first = ask.token("with_others", "j1")
    assert first.state == "revoked"
    assert [(each.how, each.through and tuple(each.through)) for each in first.ends] == [
        ("revoked", ("session", "as", "S"))
    ]
    assert first.counted.uses_after == 1
    assert "revoked, with session S of as at 2026-01-01 00:01:40.000Z (logout)" in text_of(first)
    assert ask.token("with_others", "j2").state == "revoked"
    assert ask.token("with_others", "j3").state == "revoked"
    assert ask.token("with_others", "j4").state == "valid", "got afterwards"


def test_a_session_is_that_of_the_issuer_of_the_token_whichever_issuer_another_was_obtained_from(ask: Ask) -> None:
    apart = ask.token("across", "j1")
    assert (apart.state, apart.ends, apart.revoked_at) == ("unknown", (), None), (
        "each issuer has the other's session id"
    )
    assert [tuple(each.right) for each in apart.parents] == [("token", "hr", "j1")], "one jti, and two tokens"
    assert ask.page("across", Asked("hr", "j1")).lineage.ends == ()
    along = ask.token("across", "j4")
    assert along.state == "revoked"
    assert [(each.how, each.through and tuple(each.through)) for each in along.ends] == [
        ("revoked", ("session", "hr", "U"))
    ]


def test_a_token_that_was_revoked_with_its_session_is_not_said_to_live_on_for_its_grant_or_its_parent(ask: Ask) -> None:
    for jti in ("j1", "j2"):
        found = ask.token("in_session", jti)
        assert [(each.how, each.effect) for each in found.ends] == [("revoked", "ends")]


def test_a_token_is_revoked_with_a_session_that_a_statement_of_its_digest_alone_names(
    ask: Ask, stories: dict[str, Story]
) -> None:
    found = ask.token("in_session", "j3")
    assert names(stories["in_session"], found.statements) == ["t3", "t4"]
    assert (found.state, found.revoked_at) == ("revoked", START + 100 * SECOND)
    assert [each.timing for each in found.happenings] == ["after"]
    assert found.counted.uses_after == 1


def test_the_end_of_a_grant_goes_along_an_exchange_as_far_as_it_says(ask: Ask) -> None:
    late = ask.token("under_a_grant", "j2")
    assert (late.state, [each.effect for each in late.ends]) == ("revoked", ["ends"]), "obtained with a token of before"
    kept = ask.token("under_a_grant", "j4")
    assert (kept.state, [each.effect for each in kept.ends]) == ("unknown", ["kept"])
    assert ask.token("under_a_grant", "j3").state == "revoked"


def test_the_tolerance_is_that_of_the_rules(ask: Ask) -> None:
    assert ask.token("kept", "j1").tolerance_seconds * SECOND == SKEW


def text_of(found: TokenLineage) -> str:
    out = StringIO()
    print_token_lineage(Console(file=out, width=1000), found, utc=True, more=False)
    return out.getvalue()


def test_a_person_reads_the_end_first_and_what_came_after_it(ask: Ask) -> None:
    first, *rest = text_of(ask.token("kept", "j1")).splitlines()
    assert first == (
        "Token j1 of as was revoked; 2 obtained with it, used by 4 events; after the revocation 1 obtained, used by 2 events."
    )
    text = "\n".join(rest)
    assert "revoked at 2026-01-01 00:16:40.000Z (logout)  sealed" in text
    assert text.count("AFTER THE REVOCATION") == 3
    assert text.count("AROUND THE REVOCATION") == 2
    kept = text_of(ask.token("kept", "j2"))
    assert "revoked, with token j1 of as that it came from at 2026-01-01 00:16:40.000Z: said to live on" in kept
    assert "AMBIGUOUS: its statements give different subject: 'idp alice' or 'idp bob'" in text_of(
        ask.token("two_claims", "j1")
    )
    assert "CUT SHORT by depth" in text_of(ask.token("nested", "j40"))


def test_a_token_with_a_jti_and_a_digest_is_one_token_under_both_names(ask: Ask, stories: dict[str, Story]) -> None:
    found = ask.token("two_names", "j1")
    assert set(names(stories["two_names"], found.happenings)) == {"t2", "t3", "a1", "a2", "a3", "x2"}
    assert (found.counted.rights, found.counted.uses) == (2, 3)
    by_digest = ask.page("two_names", Asked(digest=digest_of("@d1"))).lineage
    assert by_digest.counted == found.counted
    assert ask.token("two_names", "j2").state == "revoked", "revoked by its digest, asked for by its jti"
    assert [each.right.id for each in ask.token("two_names", "j3").parents] == ["j2", digest_of("@d1").hex()]
    assert ask.token("two_names", "j3").state == "revoked"
