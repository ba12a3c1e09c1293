"""What doctor finds of logs, positions and spools that are not as they should be, and what it says to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from ledger.cli.doctor import log as log_checks
from ledger.cli.doctor import placement
from ledger.cli.doctor import spool as spool_checks
from ledger.cli.doctor.check import Check, Here, Topics
from ledger.cli.doctor.examine import examine
from ledger.format.content import Content, encode_content, record_key
from ledger.ports import CONTENTS, EVENTS, Log, Outgoing, partition_of, record_digest
from ledger.recorder.clock import SystemClock
from ledger.recorder.inventory import spools_below, unwritable
from ledger.schema_files import load_schemas
from ledger.settings import load_settings
from ledger.store.contents import PostgresContents
from ledger.store.overview import Reached, positions
from tests.contract.logs import PARTITIONS, TIMEOUT, Bench, KafkaBench, event
from tests.recording import LEDGER, SERVICE, STEP, recorder_on
from tests.services.databases import Databases
from tests.services.memory_log import MemoryLog
from tests.services.stand import migrated
from tests.waiting import until

LATER = 1 << 62
CHILD = """
import sys
from pathlib import Path
from ledger.recorder.clock import SystemClock
from tests.recording import STEP, recorder_on
from tests.services.memory_log import MemoryLog
log = MemoryLog(SystemClock())
log.gate.clear()
recorder_on(log, Path(sys.argv[1])).record(STEP)
print(1, flush=True)
sys.stdin.read()
"""


def here(**settings: object) -> Here:
    return Here(settings=load_settings(settings), clock=SystemClock(), bundle=None)


def looked_at(log: Log, *reached: Reached) -> list[Check]:
    return list(log_checks.positions(Topics(here=here(), log=log, reached=reached)))


def read(log: Log, topic: str, partition: int, offset: int) -> Reached:
    return Reached(topic, partition, log.identity(topic), offset, None)


@pytest.mark.parametrize("topic", [EVENTS, CONTENTS])
def test_a_log_whose_last_read_record_is_another_one_is_told_though_nothing_is_left_to_read(
    log: Log, topic: str
) -> None:
    log.append([Outgoing(topic, 0, b"key", b"one"), Outgoing(topic, 0, b"other", b"two")], timeout=TIMEOUT)
    one, two = log.read(topic, 0, 0, 2)
    position = read(log, topic, 0, 2)
    assert "ok" in {each.status for each in looked_at(log, position._replace(last_digest=record_digest(two)))}
    found = looked_at(log, position._replace(last_digest=record_digest(one)))
    wrong = [each for each in found if each.status == "wrong"]
    assert [each.detail for each in wrong] == [
        f"in partitions [0] of {topic} the last record that was read is another one now: a worker ends at once"
    ]
    assert "--accept-loss" in wrong[0].remedy
    assert not any(topic in each.detail for each in found if each.status == "ok")


def test_a_store_that_has_everything_is_well(log: Log) -> None:
    log.append([event(0), event(1)], timeout=TIMEOUT)
    assert [each.status for each in looked_at(log, read(log, EVENTS, 0, 2))] == ["ok", "ok"]


def test_records_that_nobody_read_are_counted_and_the_verb_is_named(log: Log) -> None:
    log.append([event(n) for n in range(5)], timeout=TIMEOUT)
    behind, _ = looked_at(log, read(log, EVENTS, 0, 2))
    assert (behind.status, behind.name) == ("note", "lag")
    assert behind.detail.startswith("3 records of ledger.events")
    assert behind.remedy == "is `answerable materialize` running? start it"


def test_of_records_that_a_worker_has_in_hand_it_is_not_asked_whether_one_runs(log: Log) -> None:
    log.append([event(n) for n in range(5)], timeout=TIMEOUT)
    behind, _ = looked_at(log, read(log, EVENTS, 0, 2)._replace(held=True))
    assert behind.remedy.startswith("`answerable materialize` has them in hand")
    assert "disk of Postgres" in behind.remedy


def test_a_position_is_held_while_its_owner_is_connected(postgres: Databases) -> None:
    url = postgres.fresh(migrated)
    with psycopg.connect(url, autocommit=True) as asking:
        worker = PostgresContents(url, load_schemas())
        worker.claim(CONTENTS, "one", [0])
        assert [each.held for each in positions(asking)] == [True]
        worker.close()
        until(lambda: [each.held for each in positions(asking)] == [False])
    postgres.drop(url)


@pytest.mark.parametrize("topic", [EVENTS, CONTENTS])
def test_a_store_that_read_further_than_the_log_goes_is_found(log: Log, topic: str) -> None:
    found = [each for each in looked_at(log, read(log, topic, 0, 7)) if each.status == "wrong"]
    assert [each.detail for each in found] == [f"the store has read further than {topic} goes, in partitions [0]"]
    assert "answerable rebuild" in found[0].remedy


@pytest.mark.parametrize("topic", [EVENTS, CONTENTS])
def test_a_topic_made_anew_is_found(bench: Bench, topic: str) -> None:
    log = bench.prepared()
    before = read(log, topic, 0, 1)
    bench.recreate(topic)
    (found,) = (each for each in looked_at(bench.log(), before) if each.status == "wrong")
    assert found.detail == f"{topic} was made anew since it was read"


def test_records_that_retention_dropped_unread_are_found(bench: Bench) -> None:
    log = bench.prepared()
    log.append([event(n) for n in range(4)], timeout=TIMEOUT)
    bench.truncate(EVENTS, 0, 3)
    (found,) = (each for each in looked_at(log, read(log, EVENTS, 0, 1)) if each.status == "wrong")
    assert found.detail == "retention dropped unread records of partitions [0]"


def placed(log: Log, store: str | None = None) -> list[Check]:
    """What is found of the places of contents, where the store says what it made of them, or does not."""
    if store is None:
        return list(placement.placed(Topics(here=here(), log=log, reached=None)))
    return list(placement.placed(Topics(here=here(store_url=store), log=log, reached=[])))


def contents(count: int, partitions: int = PARTITIONS) -> list[Outgoing]:
    """Contents where their keys say."""
    keys = [record_key("acme", sha256(b"%d" % n).digest()) for n in range(count)]
    return [Outgoing(CONTENTS, partition_of(key, partitions), key, b"value") for key in keys]


def test_partitions_that_were_added_to_the_contents_are_found(bench: Bench) -> None:
    log = bench.prepared()
    assert placed(log) == []
    kept = contents(12)
    stones = [each._replace(partition=(each.partition + 1) % PARTITIONS, value=None) for each in kept]
    others = [Outgoing(CONTENTS, number, b"no content's key", b"value") for number in range(PARTITIONS)]
    log.append([*others, *kept], timeout=TIMEOUT)
    log.append(stones, timeout=TIMEOUT)
    (well,) = placed(log)
    assert (well.status, well.detail) == ("ok", "contents lie where their keys say, by 12 of them")
    bench.widen(CONTENTS, PARTITIONS + 2)
    strays = sum(partition_of(each.key, PARTITIONS + 2) != each.partition for each in kept)
    (found,) = placed(bench.log())
    assert (found.name, found.status) == ("log", "wrong")
    assert found.detail.startswith(f"{strays} of 12 contents of {CONTENTS}")
    assert "partitions were added" in found.detail
    assert "answerable rebuild" in found.remedy


def test_contents_that_lie_elsewhere_are_no_fault_once_the_store_has_all_of_them(postgres: Databases) -> None:
    database = postgres.fresh(migrated)
    log = MemoryLog(SystemClock(), partitions=2)
    made = [encode_content(load_schemas(), Content("acme", bytes(16), "text/plain", [], b"%d" % n)) for n in range(9)]
    keys = {record_key("acme", digest): value for value, digest in made}
    kept, erased = [key for key in keys if partition_of(key, 2) == 0][:2]
    log.append([Outgoing(CONTENTS, 1, key, keys[key]) for key in (kept, erased)], timeout=TIMEOUT)
    records = [*log.read(CONTENTS, 1, 0, 2)]
    with (
        closing(PostgresContents(database, load_schemas())) as store,
        psycopg.connect(database, autocommit=True) as owner,
    ):
        store.claim(CONTENTS, log.identity(CONTENTS), [1])
        for part, told in ((records[:1], "1 kept, 1 not read"), (records[1:], "2 kept")):
            store.commit(store.prepare(part))
            (found,) = placed(log, database)
            assert found.detail.endswith(f"by the store they are: {told}")
            assert found.status == ("wrong" if "not read" in told else "note")
        owner.execute(
            "insert into erasures (tenant, digest, event_id, event_digest, append_time, is_event)"
            " select id, %s, gen_random_uuid(), '', 0, false from names where name = 'acme'",
            [erased[-32:]],
        )
        gone = store.sweep()
        (found,) = placed(log, database)
        assert (found.status, "1 kept, 1 to be erased" in found.detail) == ("wrong", True)
        assert "1/1" in found.remedy
        store.swept(gone)
    (found,) = placed(log, database)
    assert (found.status, "1 erased, 1 kept" in found.detail) == ("note", True)
    assert "nothing is lost" in found.remedy
    postgres.drop(database)


def test_of_many_contents_the_first_and_the_last_are_looked_at() -> None:
    for stray, status in ((0, "wrong"), (placement.SAMPLE, "ok"), (149, "wrong")):
        log = MemoryLog(SystemClock(), partitions=2)
        records = [each for each in contents(600, 2) if each.partition == 0][:150]
        odd = next(each for each in contents(9, 2) if each.partition == 1)
        records[stray] = odd._replace(partition=0)
        log.append(records, timeout=TIMEOUT)
        (found,) = placed(log)
        assert found.status == status
        assert f"{2 * placement.SAMPLE} " in found.detail


def test_large_contents_are_looked_at_in_smaller_numbers() -> None:
    log = MemoryLog(SystemClock(), partitions=1)
    large = bytes(placement.SAMPLE_BYTES // 2)
    log.append([each._replace(value=large) for each in contents(placement.SAMPLE, 1)], timeout=TIMEOUT)
    (found,) = placed(log)
    assert found.detail.endswith("by 3 of them")


def test_a_log_whose_clock_is_ahead_is_found(log: Log) -> None:
    ahead = Reached(EVENTS, 0, log.identity(EVENTS), 1, LATER)
    (found,) = log_checks.clock(Topics(here=here(), log=log, reached=[ahead]))
    assert "ahead of this machine's" in found.detail
    past = ahead._replace(last_append=1)
    assert list(log_checks.clock(Topics(here=here(), log=log, reached=[past]))) == []


def test_topics_that_are_missing_and_settings_that_are_wrong_are_told_apart(
    kafka: str, topic_prefix: str, database: str, tmp_path: Path
) -> None:
    bench = KafkaBench(kafka, topic_prefix)
    given = {"data_dir": tmp_path, "log_url": bench.url, "store_url": database}

    def wrong() -> list[str]:
        return [
            f"{c.detail} {c.remedy}" for c in examine(load_settings(given)) if c.name == "log" and c.status == "wrong"
        ]

    assert all("does not exist: run 'answerable migrate'" in each for each in wrong())
    assert len(wrong()) == 2
    bench.prepared()
    assert wrong() == []
    from tests.contract.test_log_kafka import set_on

    set_on(bench, EVENTS, retention_ms="1000")
    assert len(wrong()) == 1
    assert "set retention.ms=-1 (kafka-configs" in wrong()[0]
    bench.close()


@pytest.fixture
def orphan(tmp_path: Path) -> Path:
    """A spool root with what a killed process left."""
    root = tmp_path / "spool"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root / SERVICE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == b"1\n"
    assert [seen.held for seen in spools_below(root)] == [True]
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    child.stdin.close()
    return root


def test_a_spool_whose_process_died_is_found_and_is_left_to_its_adopter(orphan: Path) -> None:
    def found() -> list[Check]:
        return list(spool_checks.orphans(here(spool_dir=orphan)))

    (left,) = found()
    assert f"{SERVICE} of {LEDGER}" in left.detail
    assert f"start {SERVICE}" in left.remedy
    log = MemoryLog(SystemClock())
    with closing(recorder_on(log, orphan / SERVICE)) as recorder:
        recorder.record(STEP)
        assert recorder.flush(20)
        assert recorder.health().adopted_spools == 1
        assert found() == []
    assert list(spools_below(orphan)) == []


@pytest.mark.parametrize("owner", [b"", b"\xff", b"[" * 100_000, b"[]"])
def test_a_spool_that_nobody_can_adopt_is_found_with_what_to_do(orphan: Path, owner: bytes) -> None:
    (left,) = spools_below(orphan)
    assert list(spool_checks.unreadable(here(spool_dir=orphan))) == []
    (left.directory / "owner.json").write_bytes(owner)
    (found,) = spool_checks.unreadable(here(spool_dir=orphan))
    assert found.status == "wrong"
    assert str(left.directory) in found.detail
    assert "start the service again" in found.remedy


def test_a_place_where_no_spool_can_be_made_is_found(tmp_path: Path) -> None:
    assert unwritable(tmp_path / "not" / "yet") is None
    (tmp_path / "file").write_text("")
    assert "is no directory" in (unwritable(tmp_path / "file") or "")
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name)
        closed.chmod(0o555)
        assert as_somebody(lambda: unwritable(closed / "spool") or "") == f"this account may not write {closed}"
        closed.chmod(0o700)
        assert "cannot be looked at" in as_somebody(lambda: unwritable(closed / "spool") or "") or os.geteuid() != 0
    assert {each.status for each in spool_checks.place(here(spool_dir=tmp_path / "file"))} == {"wrong"}


@pytest.mark.parametrize("mode", [0o700, 0o744])
def test_spools_that_this_account_may_not_look_at_are_told_once_and_end_no_look_at_the_rest(mode: int) -> None:
    def look() -> str:
        return " ".join(each.status for check in spool_checks.CHECKS for each in check(seen))

    with tempfile.TemporaryDirectory() as name:
        closed = Path(name)
        seen = here(spool_dir=closed / "spool")
        (closed / "spool" / SERVICE / "1-00000000").mkdir(parents=True)
        closed.chmod(mode)
        assert as_somebody(look) == "wrong" or os.geteuid() != 0
        closed.chmod(0o755)
        (closed / "spool").chmod(mode)
        assert as_somebody(look) == "wrong" or os.geteuid() != 0


def as_somebody(ask: Callable[[], str]) -> str:
    """What ``ask`` returns for an account that is not root's."""
    if os.geteuid() != 0:
        return ask()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            os.write(writing, ask().encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as told:
        return told.read()


def test_a_disk_that_is_nearly_full_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_room(size: int) -> list[str]:
        monkeypatch.setattr(spool_checks, "room", lambda _: size)
        return [each.status for each in spool_checks.place(here(spool_dir=tmp_path))]

    assert [with_room(1 << 40), with_room(100 << 20), with_room(1 << 20)] == [[], ["note"], ["wrong"]]


def test_the_store_is_asked_for_its_positions_once_and_a_store_that_is_away_hides_nothing_of_the_log(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    bench = KafkaBench(kafka, topic_prefix)
    bench.prepared()
    given = {"data_dir": tmp_path, "log_url": bench.url, "store_url": "postgresql://nobody@127.0.0.1:1/none"}
    found = {each.name: each.status for each in examine(load_settings(given))}
    assert found["store"] == "wrong"
    assert found["log"] == "ok"
    bench.close()
