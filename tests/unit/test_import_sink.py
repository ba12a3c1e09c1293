"""Imported events reach the log once: contents first, sealed by an importer's key, whatever fails on the way."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import BackendError, ConfigurationError
from ledger.format.batch import decode_seal, split_batch
from ledger.importers.account import Account, Refusal
from ledger.importers.index import FileIndex
from ledger.importers.run import import_files
from ledger.importers.sink import Sink
from ledger.ports import CONTENTS, EVENTS
from ledger.trust.bundle import read_bundle
from ledger.trust.verdict import Judge, VerifiedBatch
from tests.importing import SCHEMAS, SECRET, TENANT, call, data_files, span, trace
from tests.sealing import LEDGER, ROOT, START, bundle_of, key_statement, signer
from tests.services.memory_log import MemoryLog

IMPORTER = signer("importer")
SERVICE = "import"


class Ticking:
    """A clock that goes on by a millisecond whenever it is read."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        self.time += 1000
        return self.time


class Bench:
    """A log, an index and what imports into them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = MemoryLog(Ticking())
        self.index = directory / "imported.sqlite"
        self.closing = ExitStack()

    def sink(self, identity: str = "log") -> Sink:
        return Sink(
            log=self.log,
            signer=IMPORTER,
            clock=Ticking(),
            schemas=SCHEMAS,
            known=self.closing.enter_context(closing(FileIndex(self.index, identity))),
            ledger=LEDGER,
            tenant=TENANT,
            service=SERVICE,
        )

    def run(self, format_name: str, *paths: Path, identity: str = "log", **more: Any) -> Account:
        return import_files(format_name, paths, self.sink(identity), secret=SECRET, **more)

    def write(self, name: str, *documents: Any) -> Path:
        path = self.directory / name
        path.write_text("\n".join(map(json.dumps, documents)))
        return path

    def batches(self) -> list[VerifiedBatch]:
        """Every batch in the log, verified; fails where one is not."""
        bundle = read_bundle(bundle_of(key_statement(IMPORTER, role="importer")), ROOT.public, LEDGER)
        judge = Judge(SCHEMAS, LEDGER, bundle, canonical=True)
        found = [judge.judge(each.key, each.value, each.append_time) for each in self.log.events]
        good = [each for each in found if isinstance(each, VerifiedBatch)]
        assert len(good) == len(found), found
        return good

    def events(self) -> list[tuple[bytes, bytes]]:
        """Id and digest of every imported event in the log."""
        found = [event for batch in self.batches() for event in batch.events]
        return [(each.header.event_id, each.digest) for each in found if not each.header.kind.startswith("chain_")]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    with made.closing:
        yield made


def calls(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [call(eventID=f"event-{number}", requestID=f"request-{number}") for number in range(start, start + count)]


def test_an_import_is_one_verified_chain_signed_as_importer(bench: Bench) -> None:
    account = bench.run("cloudtrail", bench.write("a.json", *calls(600)))
    assert account.line() == "read 600 = imported 600 + refused 0 + duplicate 0"
    batches = bench.batches()
    assert {batch.role for batch in batches} == {"importer"}
    assert all(not batch.refused and not batch.findings for batch in batches)
    kinds = [event.header.kind for batch in batches for event in batch.events]
    assert (kinds[0], kinds[-1], len(kinds)) == ("chain_open", "chain_close", 602)
    assert len({batch.seal.chain_id for batch in batches}) == 1
    assert [batch.seal.seal_number for batch in batches] == list(range(len(batches)))


def test_contents_are_in_the_log_before_the_events_that_cite_them(bench: Bench) -> None:
    bench.run("cloudtrail", bench.write("a.json", *calls(600)))
    there: set[bytes] = set()
    bundle = {batch.seal.seal_number: batch for batch in bench.batches()}
    for record in bench.log.records:
        if record.topic == CONTENTS:
            assert record.key is not None
            there.add(record.key[-32:])
        else:
            assert record.value is not None
            seal = decode_seal(SCHEMAS, split_batch(SCHEMAS, record.value).seal)
            cited = {digest for event in bundle[seal.seal_number].events for digest in event.header.contents}
            assert cited <= there


def test_importing_again_in_any_order_and_cut_adds_no_event(bench: Bench) -> None:
    records = [*calls(300), *calls(10)]
    first = bench.run("cloudtrail", bench.write("a.json", *records))
    assert (first.imported, first.duplicate) == (300, 10)
    before = len(bench.log.records)
    random.Random(1).shuffle(records)
    parts = [bench.write("b.json", {"Records": records[:99]}), bench.write("c.json", records[99:])]
    again = bench.run("cloudtrail", *parts)
    assert (again.read, again.duplicate, again.events) == (310, 310, 0)
    assert len(bench.log.records) == before


def test_without_the_index_the_same_bytes_are_sent_and_no_event_is_added(bench: Bench) -> None:
    path = bench.write("a.json", *calls(300))
    bench.run("cloudtrail", path)
    first = set(bench.events())
    bench.index = bench.directory / "lost.sqlite"
    assert bench.run("cloudtrail", path).imported == 300
    assert set(bench.events()) == first
    assert len({batch.seal.chain_id for batch in bench.batches()}) == 2


def test_the_index_holds_for_one_log_only(bench: Bench) -> None:
    path = bench.write("a.json", *calls(3))
    bench.run("cloudtrail", path)
    assert bench.run("cloudtrail", path, identity="made anew").imported == 3


def test_a_record_that_says_something_else_under_one_id_is_kept_beside(bench: Bench) -> None:
    path = bench.write("a.json", call(), call(userAgent="another"), call(errorCode="AccessDenied"))
    assert bench.run("cloudtrail", path).imported == 3
    events = bench.events()
    assert len({event_id for event_id, _ in events}) == 1
    assert len(set(events)) == 3


def test_a_failed_import_is_completed_by_the_next(bench: Bench) -> None:
    path = bench.write("a.json", *calls(600))
    for number in range(1, 6):
        bench.log.fail_before = bench.log.fail_after = 0
        if number % 2:
            bench.log.fail_before = 1
        else:
            bench.log.fail_after = 1
        with pytest.raises(BackendError):
            bench.run("cloudtrail", path)
    bench.log.fail_before = bench.log.fail_after = 0
    bench.run("cloudtrail", path)
    assert len(set(bench.events())) == 600
    bench.batches()


@pytest.mark.parametrize("failure", ["fail_before", "fail_after"])
def test_a_sink_that_goes_on_after_a_failure_seals_nothing_twice_under_one_number(bench: Bench, failure: str) -> None:
    from ledger.importers import cloudtrail
    from tests.importing import PUBLICATION

    sink = bench.sink()
    for number, record in enumerate(calls(700)):
        imported = cloudtrail.read_record(PUBLICATION, record)
        assert not isinstance(imported, Refusal)
        setattr(bench.log, failure, int(number % 100 == 0))
        while True:
            try:
                sink.add(imported)
            except BackendError:
                continue
            break
    setattr(bench.log, failure, 1)
    with pytest.raises(BackendError):
        sink.close()
    sink.close()
    batches = bench.batches()
    assert len({(batch.seal.seal_number, batch.seal_digest) for batch in batches}) == len(
        {batch.seal.seal_number for batch in batches}
    )
    assert len(set(bench.events())) == 700


def test_an_import_of_nothing_new_opens_no_chain(bench: Bench) -> None:
    refusals: list[tuple[Path, Refusal]] = []
    path = bench.write("a.json", {"Records": []}, 5, {"eventName": "x"})
    account = bench.run("cloudtrail", path, refused=lambda at, refusal: refusals.append((at, refusal)))
    assert account.line() == "read 2 = imported 0 + refused 2 + duplicate 0"
    assert dict(account.reasons) == {"bad_time": 1, "not_a_record": 1}
    assert [at for at, _ in refusals] == [path, path]
    assert bench.log.records == []


def test_an_unknown_format_is_misuse(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="cloudtrail, otlp"):
        bench.run("csv", bench.write("a.json"))


def test_large_records_go_through_in_bounded_batches(bench: Bench) -> None:
    big = [span({"input.value": "x" * 3_000_000}, spanId=f"{number:016x}") for number in range(1, 6)]
    account = bench.run("otlp", bench.write("a.json", trace(*big)))
    assert account.imported == 5
    sizes: Sequence[int] = [
        sum(len(each.value or b"") for each in append) for append in bench.log.appends if append[0].topic != EVENTS
    ]
    assert max(sizes) < 9_000_000


@pytest.mark.parametrize(("name", "records"), [("otlp", 56), ("cloudtrail", 310)])
def test_every_recorded_file_goes_into_the_log_and_verifies(bench: Bench, name: str, records: int) -> None:
    paths = data_files(name)
    account = bench.run(name, *paths)
    assert (account.read, account.imported) == (records, records)
    events = bench.events()
    assert len(set(events)) == len(events) == account.events
    again = bench.run(name, *reversed(paths))
    assert (again.duplicate, again.events) == (records, 0)
