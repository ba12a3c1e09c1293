"""Who triggered what real records tell: imported into a real log and store, and asked as anybody asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from ledger.attribution.answer import REASONS, Answer
from ledger.attribution.explain import explain
from ledger.importers.index import FileIndex
from ledger.importers.run import import_files
from ledger.importers.sink import Sink
from ledger.logs import open_log
from ledger.ports import CONTENTS, EVENTS, Log
from ledger.store.contents import PostgresContents
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from ledger.store.rebuild import fill
from ledger.trust.bundle import read_bundle
from tests.attribution.stored import lineage
from tests.importing import SCHEMAS, SECRET, TENANT, data_files
from tests.sealing import LEDGER, ROOT, START, bundle_of, key_statement, signer
from tests.services.databases import Databases

_ACTIONS = "select e.event_id from events e join names k on k.id = e.kind where k.name = 'api_action' order by 1"


class Stopped:
    """A clock that stands still."""

    def now(self) -> int:
        return START


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
        index = FileIndex(work / f"{request.param}.index", log.identity(EVENTS))
        import_files(request.param, paths, _sink(log, index), secret=SECRET)
        _materialize(url, log)
    yield request.param, url
    postgres.drop(url)


def _sink(log: Log, index: FileIndex) -> Sink:
    return Sink(
        log=log,
        signer=signer("importer"),
        clock=Stopped(),
        schemas=SCHEMAS,
        known=index,
        ledger=LEDGER,
        tenant=TENANT,
        service="import",
    )


def _materialize(url: str, log: Log) -> None:
    statements = bundle_of(key_statement(signer("importer"), role="importer"))
    bundle = read_bundle(statements, ROOT.public, LEDGER)
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
