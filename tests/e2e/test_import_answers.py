"""Who triggered what real records tell: imported into a real log and store, and asked as anybody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from ledger.attribution.answer import REASONS, Answer
from ledger.attribution.authority import token_text
from ledger.attribution.explain import explain
from ledger.attribution.tokens.values import Asked
from ledger.format.kinds import TokenIssuance
from ledger.importers.run import import_files
from ledger.logs import open_log
from ledger.ports import CONTENTS, EVENTS, Log
from ledger.store.contents import PostgresContents
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from ledger.store.queries import event_by_id
from ledger.store.rebuild import fill
from ledger.store.token_lineage import token_lineage
from ledger.trust.bundle import read_bundle
from tests.attribution.stored import lineage, reading, trusts
from tests.importing import SCHEMAS, SECRET, TENANT, data_files, importing_into
from tests.sealing import LEDGER, ROOT, START, bundle_of, key_statement, signer
from tests.services.databases import Databases

_ISSUED = "select e.event_id from events e join names k on k.id = e.kind where k.name = 'token_issuance' order by 1"
_ACTIONS = "select e.event_id from events e join names k on k.id = e.kind where k.name = 'api_action' order by 1"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("import")


@pytest.fixture(scope="module", params=["otlp", "cloudtrail"])
def stored(request: pytest.FixtureRequest, postgres: Databases, work: Path) -> Iterator[tuple[str, str]]:
    """A format, and the store that holds every recorded file of it."""
    paths = data_files(request.param)
    url = postgres.fresh()
    with closing(open_log(url)) as log:
        log.prepare()
        migrate(url)
        with importing_into(log, work / f"{request.param}.index") as sink:
            import_files(request.param, paths, sink, secret=SECRET)
        _materialize(url, log)
    yield request.param, url
    postgres.drop(url)


def _materialize(url: str, log: Log) -> None:
    statements = bundle_of(key_statement(signer("importer"), role="importer"))
    bundle = read_bundle(statements, ROOT.public, LEDGER)
    trusts(url, bundle, LEDGER)
    with closing(PostgresProjection(url, SCHEMAS, LEDGER, bundle)) as events:
        fill(log, EVENTS, events, lambda *_: None)
    with closing(PostgresContents(url, SCHEMAS)) as contents:
        fill(log, CONTENTS, contents, lambda *_: None)


@pytest.fixture(scope="module")
def answers(stored: tuple[str, str]) -> tuple[str, list[Answer]]:
    """The answer for each action of the format."""
    name, url = stored
    with psycopg.connect(url) as connection:
        actions = [row[0].bytes for row in connection.execute(_ACTIONS)]
    port = lineage(url, START)
    return name, [explain(port.above(TENANT, each)) for each in actions]


def _joins(answer: Answer) -> set[tuple[str | None, str]]:
    return {(link.join, link.grade) for step in answer.path for link in step.links if link.join is not None}


def test_every_action_leads_to_a_trigger_or_says_why_not(answers: tuple[str, list[Answer]]) -> None:
    name, found = answers
    assert len(found) >= {"otlp": 10, "cloudtrail": 300}[name]
    for answer in found:
        assert answer.triggers or answer.class_ == "unattributed", answer.sentence
        if answer.class_ == "unattributed":
            assert answer.reasons
            assert set(answer.reasons) <= set(REASONS)
        assert {each.grade for each in answer.triggers} <= {"asserted", "inferred"}
    if name == "otlp":
        assert all(answer.triggers for answer in found)


def test_a_stated_parent_is_asserted_and_a_key_that_we_joined_is_inferred(
    answers: tuple[str, list[Answer]],
) -> None:
    name, found = answers
    joined = {each for answer in found for each in _joins(answer)}
    if name == "otlp":
        assert ("span", "asserted") in joined
        assert ("span", "inferred") not in joined
    else:
        assert {each for each in joined if each[0] == "token"} == {("token", "inferred")}


def test_a_call_leads_by_its_key_to_who_obtained_it(answers: tuple[str, list[Answer]]) -> None:
    name, found = answers
    if name != "cloudtrail":
        return
    led = [answer for answer in found if ("token", "inferred") in _joins(answer)]
    assert len(led) > 10
    for answer in led:
        assert [(each.role, each.grade) for each in answer.triggers] == [("direct", "inferred")], answer.sentence
        assert answer.triggers[0].who is not None


def test_a_parent_span_comes_before_what_began_the_trace(answers: tuple[str, list[Answer]]) -> None:
    name, found = answers
    if name != "otlp":
        return
    ways = [{join for join, _ in _joins(answer)} for answer in found if answer.operation == "get_weather"]
    assert ways
    assert any("span" in way for way in ways)
    assert any(each.grade == "asserted" for answer in found for each in answer.triggers)


def _by_hand(answer: Answer) -> tuple[str | None, str, tuple[str, ...], tuple[str, ...]]:
    """What somebody who reads the files would say of an action: class, reasons, and who did what."""
    triggers = (f"{each.who.label if each.who else 'nobody'} {each.role} {each.grade}" for each in answer.triggers)
    return answer.operation, answer.class_, answer.reasons, tuple(triggers)


def test_each_tool_call_leads_where_an_auditor_who_reads_the_file_would_go(answers: tuple[str, list[Answer]]) -> None:
    """Of nine traces one names its user; the workflow of another says nothing itself, and its first model call what was asked;
    the jokes' program was given a word, and made of it what its agent was asked."""
    name, found = answers
    if name != "otlp":
        return
    nobody = ("unattributed", ("no_subject",))
    asked, joined = ("nobody initiated asserted",), ("nobody initiated inferred",)
    handed_down = (*asked, "nobody steered asserted")
    assert sorted(_by_hand(each) for each in found) == sorted(
        [
            ("duckduckgo_search", *nobody, asked),
            ("Web-Search", *nobody, asked),
            ("say_hello", "attributed", (), ("demo-user initiated asserted",)),
            ("get_weather", *nobody, joined),
            ("get_pun_suggestion", *nobody, handed_down),
            ("get_dad_joke_suggestion", *nobody, handed_down),
            ("get_one_liner_suggestion", *nobody, handed_down),
            ("get_weather", *nobody, asked),
            ("mcp__weather__get_weather", *nobody, asked),
            ("mcp__weather__get_weather", *nobody, asked),
        ]
    )


def test_what_began_a_trace_is_no_link_where_a_parent_span_leads_on(answers: tuple[str, list[Answer]]) -> None:
    name, found = answers
    if name != "otlp":
        return
    ways = [{link.join for step in answer.path for link in step.links} for answer in found]
    assert [way for way in ways if "trace_start" in way] == [{"trace_start"}]


def test_each_call_leads_to_whom_its_record_names_or_to_who_obtained_its_key(answers: tuple[str, list[Answer]]) -> None:
    """The seventeen others: a role named `cli`, and the role of an instance, whose key somebody used from elsewhere. Nobody
    recorded who obtained these keys, and the name of a session is whatever its maker wrote."""
    name, found = answers
    if name != "cloudtrail":
        return
    counted = Counter((answer.class_, answer.reasons, _role_of(answer)) for answer in found)
    unknown = ("unattributed", ("token_not_recorded",))
    assert {key: count for key, count in counted.items() if key[0] != "attributed"} == {
        (*unknown, "test-role"): 15,
        (*unknown, "stratus-red-team-ec2-steal-credentials-role"): 2,
    }
    assert counted["attributed", (), "AWSReservedSSO_account-admin_599c9e90e350d2ff"] == 4
    assert counted["attributed", (), None] == 242
    assert not [each for answer in found for each in answer.contradictions]


def _role_of(answer: Answer) -> str | None:
    agent = answer.path[-1].agent_id
    return agent.rpartition("/")[2] if agent is not None else None


def test_every_assumed_role_that_was_used_has_a_lineage_and_none_is_made_up(stored: tuple[str, str]) -> None:
    """Of CloudTrail: the key of an AssumeRole leads up to the credential that asked for it, and down to what was done with it."""
    form, url = stored
    if form != "cloudtrail":
        pytest.skip("tokens are issued in CloudTrail alone")
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(_ISSUED).fetchall()
        nodes = [node for (event_id,) in rows for node in event_by_id(connection, reading(url), TENANT, event_id.bytes)]
        facts = [fact for node in nodes if isinstance(fact := node.fact, TokenIssuance) and fact.token is not None]
        assert facts
        used = 0
        for fact in facts:
            assert fact.token is not None
            asked = Asked(fact.token.issuer, fact.token.jti, fact.token.digest)
            found = token_lineage(connection, reading(url), TENANT, asked, now=START).lineage
            stated = {each.right.id for each in found.parents if each.depth == 1}
            expected = {token_text(each) for each in (fact.subject_token, fact.actor_token) if each is not None}
            assert stated >= expected - {found.asked.id}
            assert all(each.grade == "asserted" for each in found.parents)
            assert all(each.source == found.asked or not each.direct for each in found.happenings)
            used += found.counted.uses
        print(f"{len(facts)} tokens issued, {used} uses of them")
        assert used
