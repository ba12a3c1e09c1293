"""Real records, imported into a real log and store, and the answer for each action in them, counted by class and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psycopg

from ledger.attribution.answer import Answer
from ledger.attribution.explain import explain
from ledger.importers.run import import_files
from ledger.logs import open_log
from ledger.ports import CONTENTS, EVENTS
from ledger.store.contents import PostgresContents
from ledger.store.lineage import PostgresLineage
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from ledger.store.rebuild import fill
from ledger.trust.bundle import read_bundle
from tests.attribution.stored import lineage, trusts
from tests.importing import SCHEMAS, SECRET, TENANT, data_files, importing_into
from tests.sealing import LEDGER, ROOT, START, bundle_of, key_statement, signer

_ACTIONS = "select e.event_id from events e join names k on k.id = e.kind where k.name = 'api_action' order by 1"


class Answered(NamedTuple):
    """The answers for the actions of one format. ``named`` has the source's own id of each event, by event id."""

    answers: list[Answer]
    named: dict[bytes, str]
    lineage: PostgresLineage

    def name(self, event_id: bytes) -> str:
        return self.named[event_id]


class Line(NamedTuple):
    """So many actions of a format have this class, these reasons, and triggers of these roles and grades."""

    format: str
    class_: str
    reasons: str
    triggers: str
    count: int


def imported(name: str, url: str, work: Path) -> Answered:
    """Imports every file of a format into a fresh database, and asks about each action."""
    migrate(url)
    with closing(open_log(url)) as log:
        log.prepare()
        with importing_into(log, work / f"{name}.index") as sink:
            import_files(name, data_files(name), sink, secret=SECRET)
        bundle = read_bundle(bundle_of(key_statement(signer("importer"), role="importer")), ROOT.public, LEDGER)
        trusts(url, bundle, LEDGER)
        with closing(PostgresProjection(url, SCHEMAS, LEDGER, bundle)) as events:
            fill(log, EVENTS, events, lambda *_: None)
        with closing(PostgresContents(url, SCHEMAS)) as contents:
            fill(log, CONTENTS, contents, lambda *_: None)
    with psycopg.connect(url) as connection:
        actions = [row[0].bytes for row in connection.execute(_ACTIONS)]
    port = lineage(url, START)
    graphs = [port.above(TENANT, each) for each in actions]
    named = {
        node.event_id: said for graph in graphs for node in graph.nodes if (said := _source_id(node.header.correlation))
    }
    named |= {
        node.event_id: named[cause.event_id]
        for graph in graphs
        for node in graph.nodes
        for cause in node.header.causes
        if node.kind == "token_issuance" and cause.event_id in named
    }
    return Answered([explain(graph) for graph in graphs], named, port)


def _source_id(correlation: object) -> str | None:
    stated = (
        [each for each in correlation if each.startswith("aws_event:")]
        if isinstance(correlation, (list, tuple))
        else []
    )
    return stated[0].removeprefix("aws_event:") if stated else None


def table(name: str, answered: Answered) -> Iterator[Line]:
    """The answers of a format counted, the most first."""
    counted = Counter((each.class_, " ".join(each.reasons), _triggers(each)) for each in answered.answers)
    for (class_, reasons, triggers), count in sorted(counted.items(), key=lambda each: (-each[1], each[0])):
        yield Line(name, class_, reasons, triggers, count)


def _triggers(answer: Answer) -> str:
    return ", ".join(sorted({f"{each.role} {each.grade}" for each in answer.triggers})) or "none"


def row(line: Line) -> str:
    """The line as the page has it."""
    return f"| {line.format} | {line.class_} | {line.reasons or '–'} | {line.triggers} | {line.count} |"
