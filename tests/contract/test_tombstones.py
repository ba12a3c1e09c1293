"""What an erasure names is tombstoned wherever in the log it lies, and no tombstone is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from consumers import contents as worker
from ledger.errors import BackendError
from ledger.format.content import Content, encode_content, record_key
from ledger.ports import CONTENTS, EVENTS, Log, Outgoing, partition_of
from ledger.recorder.clock import SystemClock
from ledger.store.contents import PostgresContents
from ledger.store.rebuild import rebuild
from tests.contract.logs import PARTITIONS, TIMEOUT, Bench
from tests.services import Databases
from tests.services.forge import EMPTY, LEDGER, Forge, Trust, signer
from tests.services.memory_log import MemoryLog
from tests.services.stand import Stand, migrated

TRUST = Trust().key(signer("alpha"))


class Narrow(MemoryLog):
    """Fails once, at its second append."""

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:
        super().append(records, timeout=timeout)
        self.fail_before = int(len(self.appends) == 1)


@pytest.fixture
def stand(postgres: Databases) -> Iterator[Stand]:
    url = postgres.fresh(migrated)
    with closing(Stand(url, TRUST.bundle)) as made:
        yield made
    postgres.drop(url)


def kept(stand: Stand, count: int) -> dict[bytes, bytes]:
    """Digests and values of contents that the store has."""
    made = {}
    for number in range(count):
        content = Content("acme", bytes([number] * 16), "text/plain", [], b"hello")
        value, digest = encode_content(stand.schemas, content)
        stand.content(record_key("acme", digest), value)
        made[digest] = value
    return made


def erase(stand: Stand, digests: list[bytes]) -> Outgoing:
    """Commits an erasure; returns the record."""
    forge = Forge()
    sealed = forge.seal(forge.make("content_erasure", {**EMPTY["content_erasure"], "contents": digests}))
    stand.put(forge, sealed)
    return Outgoing(EVENTS, 0, forge.chain_id, sealed.value)


def values(log: Log, key: bytes) -> list[list[bytes | None]]:
    """What each partition holds of a key."""
    bounds = log.bounds(CONTENTS).items()
    return [[r.value for r in log.read(CONTENTS, n, of.first, of.end) if r.key == key] for n, of in bounds]


def test_a_tombstone_meets_its_content_where_partitions_were_added_and_where_a_publisher_chose_another(
    bench: Bench, stand: Stand
) -> None:
    log = bench.prepared()
    (digest, value), *_ = kept(stand, 1).items()
    key = record_key("acme", digest)
    here = partition_of(key, PARTITIONS)
    elsewhere = (here + 1) % PARTITIONS
    log.append([Outgoing(CONTENTS, number, key, value) for number in (here, elsewhere)], timeout=TIMEOUT)
    bench.widen(CONTENTS, PARTITIONS + 2)
    erase(stand, [digest])
    assert worker.sweep(log, stand.contents) == 1
    found = values(bench.log(), key)
    assert [each[-1:] for each in found] == [[None]] * (PARTITIONS + 2)
    assert worker.sweep(log, stand.contents) == 0


def test_tombstones_of_many_contents_that_do_not_all_reach_the_log_are_sent_on_from_there(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TOMBSTONES", 4)
    log = Narrow(SystemClock(), partitions=2)
    made = kept(stand, 5)
    erase(stand, list(made))
    with pytest.raises(BackendError):
        worker.sweep(log, stand.contents)
    assert len(log.contents) == 4
    assert worker.sweep(log, stand.contents) == 3
    assert worker.sweep(log, stand.contents) == 0
    keys = [record_key("acme", digest) for digest in made]
    assert sorted((r.partition, r.key) for r in log.contents) == sorted((n, key) for key in keys for n in range(2))
    assert max(map(len, log.appends)) == 4


def test_a_rebuilt_store_has_every_tombstone_sent_again(stand: Stand) -> None:
    log = MemoryLog(SystemClock(), partitions=2)
    (digest, value), *_ = kept(stand, 1).items()
    key = record_key("acme", digest)
    missed = 1 - partition_of(key, 2)
    log.append([Outgoing(CONTENTS, missed, key, value), erase(stand, [digest])], timeout=TIMEOUT)
    log.append([Outgoing(CONTENTS, 1 - missed, key, None)], timeout=TIMEOUT)
    stand.contents.swept(stand.contents.sweep())
    rebuild(stand.url, [log], stand.schemas, LEDGER, TRUST.bundle)
    with closing(PostgresContents(stand.url, stand.schemas)) as contents:
        assert worker.sweep(log, contents) == 1
    assert [each[-1] for each in values(log, key)] == [None, None]
