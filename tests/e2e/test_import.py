"""Real records, imported into a real log: all accounted for, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger.importers.run import import_files
from ledger.logs import open_log
from ledger.ports import EVENTS, Log
from ledger.trust.bundle import read_bundle
from ledger.trust.verdict import Judge, VerifiedBatch
from tests.importing import SCHEMAS, SECRET, data_files, importing_into
from tests.sealing import LEDGER, ROOT, bundle_of, key_statement, signer


@pytest.fixture
def log(database: str) -> Iterator[Log]:
    with closing(open_log(database)) as made:
        made.prepare()
        yield made


@pytest.mark.parametrize(("name", "records"), [("otlp", 56), ("cloudtrail", 310)])
def test_recorded_files_are_in_the_log_once(log: Log, tmp_path: Path, name: str, records: int) -> None:
    paths = data_files(name)
    with importing_into(log, tmp_path / "index") as opened:
        first = import_files(name, paths, opened, secret=SECRET)
    with importing_into(log, tmp_path / "index") as opened:
        again = import_files(name, paths[::-1], opened, secret=SECRET)
    assert (first.read, first.imported, again.duplicate, again.events) == (records, records, records, 0)
    judge = Judge(
        SCHEMAS, LEDGER, read_bundle(bundle_of(key_statement(signer("importer"), role="importer")), ROOT.public, LEDGER)
    )
    events = []
    for partition, bounds in log.bounds(EVENTS).items():
        for record in log.read(EVENTS, partition, bounds.first, bounds.end):
            batch = judge.judge(record.key, record.value, record.append_time)
            assert isinstance(batch, VerifiedBatch), batch
            assert batch.role == "importer"
            events += [each.digest for each in batch.events if not each.header.kind.startswith("chain_")]
    assert len(set(events)) == len(events) == first.events
