"""The projection's contract: identity, chains, trust that grows, erasure, positions; and one digest whatever the order."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.resources import files
from itertools import permutations

import psycopg
import pytest

from ledger.errors import BackendError, ConfigurationError
from ledger.format import ids
from ledger.format.batch import ChainHead, SealedBatch, join_batch, split_batch
from ledger.format.codec import Schemas
from ledger.format.content import Content, encode_content, record_key
from ledger.format.hashing import ZERO16, content_digest
from ledger.format.limits import CONTENT_BYTES, CONTENT_VALUE_BYTES
from ledger.ports import EVENTS, Record
from ledger.schema_files import directory, load_schemas
from ledger.store.digest import state_digest
from ledger.store.migrations import migrate
from ledger.store.partitions import make_years
from ledger.store.projection import PostgresProjection
from ledger.trust.bundle import TrustError
from tests.services import Databases
from tests.services.forge import LEDGER, START, Cause, Forge, Trust, blank, signer
from tests.services.stand import Stand, digest_of, migrated

HOUR = 3_600_000_000


@pytest.fixture
def fresh(postgres: Databases) -> Iterator[Callable[[], str]]:
    """Makes migrated databases."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres.fresh(migrated))
        return made[-1]

    yield make
    for url in made:
        postgres.drop(url)


@pytest.fixture
def trust() -> Trust:
    return Trust().key(signer("alpha")).key(signer("beta"))


@pytest.fixture
def stand(fresh: Callable[[], str], trust: Trust) -> Iterator[Stand]:
    made = Stand(fresh(), trust.bundle)
    yield made
    made.close()


def test_a_batch_becomes_rows_with_its_position(stand: Stand) -> None:
    forge = Forge()
    tally = stand.put(forge, forge.seal(forge.make(), forge.make(agent_id="spiffe://acme/agent")))
    assert tally.events == stand.count("events") == 3
    assert stand.rows("select next_offset from positions where topic = %s and partition = 0", EVENTS) == [(1,)]
    assert stand.findings() == stand.rejected() == []


def test_the_same_seal_again_is_counted_and_nothing_else(stand: Stand) -> None:
    forge = Forge()
    sealed = forge.seal(forge.make())
    stand.put(forge, sealed, at=START + 10)
    before = stand.count("events"), stand.count("sightings"), stand.findings()
    assert stand.put(forge, sealed, at=START + 20, partition=1).copies == 1
    assert (stand.count("events"), stand.count("sightings"), stand.findings()) == before
    assert stand.rows("select copies, append_time from seals") == [(2, START + 10)]


def test_an_earlier_copy_in_another_partition_takes_over_and_judges_again(stand: Stand) -> None:
    forge = Forge(now=START + HOUR)
    sealed = forge.seal(forge.make())
    stand.put(forge, sealed, at=START + 3 * HOUR)
    assert stand.findings() == ["late"]
    stand.put(forge, sealed, at=START + HOUR + 5_000, partition=1)
    assert stand.findings() == []
    assert stand.rows("select copies, append_time, partition from seals") == [(2, START + HOUR + 5_000, 1)]


def test_an_event_under_two_seals_is_one_event_with_two_sightings(stand: Stand) -> None:
    forge = Forge()
    made = forge.make()
    stand.put(forge, forge.seal(made))
    again = Forge()
    again.chain_id = bytes(15) + b"\1"
    stand.put(again, again.seal(again.open(), made))
    assert stand.rows("select count(*) from events where digest = %s", made.digest) == [(1,)]
    assert stand.rows("select count(*) from sightings where digest = %s", made.digest) == [(1,)]


def test_an_event_stands_under_the_first_of_its_seals_in_the_log_in_whatever_order_they_are_judged(
    fresh: Callable[[], str],
) -> None:
    """Three chains hold the same event: it is of the earlier one of the two that may state its kind, and of the other where
    the key of that one is taken back."""
    trust = Trust()
    forges = [Forge(), Forge(name="beta"), Forge(name="gamma")]
    for forge in forges:
        kinds = ["chain_open"] if forge is forges[2] else ["*"]
        trust.key(forge.signer, kinds=kinds)
    made = forges[0].make()
    sealed = []
    for number, forge in enumerate(forges):
        forge.chain_id = bytes(15) + bytes([number])
        sealed.append(forge.seal(forge.open(), made))
    times = (HOUR, 2 * HOUR, 0)
    records = [
        forge.record(each, append_time=START + times[number], partition=number)
        for number, (forge, each) in enumerate(zip(forges, sealed, strict=True))
    ]
    query = "select s.append_time, e.at, e.effective from events e join seals s on s.id = e.seal where e.digest = %s"
    bundle = trust.bundle
    revoked = trust.revoke(forges[0].signer, since=START).bundle
    held = set()
    for order in permutations(range(3)):
        with closing(Stand(fresh(), bundle)) as stand:
            for number in order:
                stand.take(records[number])
            assert stand.rows(query, made.digest) == [(START + HOUR, 1, True)], order
            stand.projection.adopt(revoked)
            assert stand.rows(query, made.digest) == [(START + 2 * HOUR, 1, True)], order
            held.add(str(state_digest(stand.url)))
    assert len(held) == 1


def test_a_fork_of_a_chain_that_promises_no_next_seal_is_found_in_a_later_transaction(stand: Stand) -> None:
    forge = Forge(next_within=None)
    first, second = forge.seal(forge.make()), forge.seal(forge.make())
    for each in (first, second):
        stand.put(forge, each)
    stand.put(forge, forge.seal(forge.make(), head=first.head))
    assert stand.findings() == ["fork", "fork"]


def test_an_event_without_effect_that_another_seal_gives_one_gets_its_edges_in_either_order(
    fresh: Callable[[], str],
) -> None:
    """The same event under a key that may not state it, and under one that may: whichever came first."""
    trust = Trust().key(signer("alpha")).key(signer("mute"), kinds=["chain_open"])
    forge, mute = Forge(), Forge(name="mute")
    cause, other = forge.make(), ids.uuid7(START, bytes(10))
    made = forge.make(
        "api_action", blank("api_action") | {"action_id": "a"}, causes=[Cause(other, None, "informed_by")]
    )
    records = [
        forge.record(forge.seal(cause, made), append_time=START + 10),
        mute.record(mute.seal(mute.open(), made), append_time=START + 20, partition=1),
    ]
    for order in (records, records[::-1]):
        stand = Stand(fresh(), trust.bundle)
        for record in order:
            stand.take(record)
        assert stand.count("causes") == 1
        assert stand.count("joins") > 0
        assert stand.rows("select effective from events where digest = %s", made.digest) == [(True,)]
        stand.close()
    assert len({digest_of(fresh(), trust.bundle, order, flush=1) for order in (records, records[::-1])}) == 1


def test_one_id_with_two_digests_keeps_both_events(stand: Stand) -> None:
    forge = Forge()
    first = forge.make()
    second = forge.make(event_id=first.event_id)
    stand.put(forge, forge.seal(first, second))
    assert stand.rows("select count(*) from events where event_id = %s::uuid", first.event_id.hex()) == [(2,)]


def test_the_digest_is_the_same_in_any_order_and_flush_size(fresh: Callable[[], str], trust: Trust) -> None:
    records = messy_records(trust)
    rng = random.Random(7)
    digests = set()
    for flush in (1, 3, 100):
        by_partition = [[r for r in records if r.partition == p] for p in range(3)]
        mixed: list[Record] = []
        while any(by_partition):  # order is kept inside a partition, not between them
            mixed.append(rng.choice([each for each in by_partition if each]).pop(0))
        digests.add(digest_of(fresh(), trust.bundle, mixed, flush=flush))
    assert len(digests) == 1
    assert digest_of(fresh(), trust.bundle, records[:-1], flush=5) not in digests


def messy_records(trust: Trust) -> list[Record]:
    """Two honest chains, copies at other times and partitions, a fork, a gap, an event sealed twice, refused records."""
    trust.key(signer("short"), valid_from=START + 50_000, until=START + 90_000)
    alpha, beta, short = Forge(), Forge(name="beta", service="tool"), Forge(name="short", service="other")
    shared = alpha.make()
    batches = [alpha.seal(shared, alpha.make()), alpha.seal(alpha.make()), alpha.seal(alpha.make())]
    head = ChainHead(1, batches[0].seal_digest, 3)
    fork = alpha.seal(alpha.make(), head=head)
    resealed = Forge()
    resealed.chain_id = bytes(16)
    again = resealed.seal(resealed.open(), shared)
    missing = [beta.seal(beta.make()) for _ in range(4)]
    del missing[2]
    untimely = short.seal(short.make())
    made = [(alpha, each.value, START + 100 + n, 0) for n, each in enumerate(batches)]
    made += [(alpha, batches[1].value, START + 90, 1), (alpha, batches[1].value, START + 200, 2)]
    made += [(alpha, fork.value, START + 150, 1), (resealed, again.value, START + 160, 2)]
    made += [(beta, each.value, START + 300 + n, n % 2) for n, each in enumerate(missing)]
    made += [(short, untimely.value, START + t, p) for t, p in ((60_000, 0), (95_000, 1), (40_000, 2))]
    made += [(alpha, b"junk", START + 500, p) for p in range(3)]
    return [Record(EVENTS, p, 0, at, forge.chain_id, value) for forge, value, at, p in made]


def test_what_is_wrong_with_one_side_of_a_fork_stays_when_the_other_is_judged_again(
    fresh: Callable[[], str], trust: Trust
) -> None:
    forge = Forge()
    other = copy.deepcopy(forge)
    sides = [forge.seal(forge.make()).value, other.seal(other.make(), other.make()).value]
    came = [(sides[0], 20), (sides[1], 2 * HOUR), (sides[0], 10)]
    records = [
        Record(EVENTS, partition, 0, START + at, forge.chain_id, value) for partition, (value, at) in enumerate(came)
    ]
    assert len({digest_of(fresh(), trust.bundle, order, flush=1) for order in (records, records[::-1])}) == 1


def test_what_came_after_the_end_of_a_chain_is_dated_alike_in_any_order(fresh: Callable[[], str], trust: Trust) -> None:
    forge = Forge()
    values = [forge.seal(*made).value for made in ([forge.make()], [forge.close()], [forge.make()], [forge.make()])]
    records = [
        Record(EVENTS, partition, 0, START + at, forge.chain_id, value)
        for partition, (value, at) in enumerate(zip(values, (10, 40, 30, 20), strict=True))
    ]
    orders = (records, records[::-1], [records[each] for each in (3, 1, 0, 2)])
    assert len({digest_of(fresh(), trust.bundle, order, flush=1) for order in orders}) == 1


def test_a_copy_before_its_key_was_valid_takes_the_seal_away(fresh: Callable[[], str]) -> None:
    trust = Trust().key(signer("alpha"), valid_from=START + HOUR)
    stand, forge = Stand(fresh(), trust.bundle), Forge()
    sealed = forge.seal(forge.make())
    stand.put(forge, sealed, at=START + 2 * HOUR)
    assert stand.count("events") == 2
    stand.put(forge, sealed, at=START, partition=1)
    assert stand.count("events") == stand.count("seals") == stand.count("runs") == 0
    assert stand.rows("select reason, copies, append_time from rejected") == [("expired_key", 2, START)]
    stand.close()


def test_a_longer_bundle_admits_what_it_trusts(stand: Stand, trust: Trust) -> None:
    forge = Forge(name="gamma")
    for _ in range(3):
        stand.put(forge, forge.seal(forge.make()))
    assert stand.rejected() == ["unknown_key"] * 3
    assert stand.projection.adopt(trust.key(signer("gamma")).bundle) == 3
    assert stand.rejected() == stand.findings() == []
    assert stand.rows("select start, stop from runs") == [(0, 2)]


def test_a_revocation_dated_back_takes_away_what_came_after_it(stand: Stand, trust: Trust) -> None:
    forge = Forge()
    for n in range(4):
        stand.put(forge, forge.seal(forge.make()), at=START + n * HOUR)
    stand.projection.adopt(trust.revoke(signer("alpha"), since=START + 2 * HOUR).bundle)
    assert stand.rejected() == ["revoked_key"] * 2
    assert stand.rows("select start, stop from runs") == [(0, 1)]
    assert stand.count("events") == 3


def test_a_growing_bundle_comes_to_what_the_whole_one_gives_at_once(fresh: Callable[[], str], trust: Trust) -> None:
    records = messy_records(trust)
    stand = Stand(fresh(), Trust().key(signer("alpha")).bundle)
    stand.take(*records)
    trust.revoke(signer("alpha"), since=START + 101).key(signer("alpha"), kinds=["prompt"])
    stand.projection.adopt(trust.bundle)
    stand.close()
    assert digest_of(fresh(), trust.bundle, records, flush=2) == stand.digest


def test_a_bundle_that_is_cut_short_or_another_is_refused(stand: Stand, trust: Trust) -> None:
    with pytest.raises(TrustError, match="cut short"):
        stand.projection.adopt(Trust().key(signer("alpha")).bundle)
    with pytest.raises(TrustError, match="differs"):
        stand.projection.adopt(Trust().key(signer("beta")).key(signer("alpha")).key(signer("gamma")).bundle)


def test_a_worker_with_the_older_bundle_commits_nothing_more(stand: Stand, trust: Trust) -> None:
    newer = Stand(stand.url, trust.key(signer("gamma")).bundle)
    stand.offsets = {n: p.next_offset for n, p in stand.projection.claim(EVENTS, "one", range(4)).items()}
    forge = Forge()
    with pytest.raises(BackendError, match="another trust bundle"):
        stand.put(forge, forge.seal(forge.make()))
    newer.close()


def test_a_schema_that_comes_later_admits_what_waited_for_it(fresh: Callable[[], str], trust: Trust) -> None:
    texts = [path.read_bytes() for path in sorted(directory().glob("*.avsc"))]
    older = Schemas(text for text in texts if b'"name": "event_header"' not in text and b'"EventHeader"' not in text)
    url = fresh()
    stand, forge = Stand(url, trust.bundle, schemas=older), Forge()
    stand.put(forge, forge.seal(forge.make()))
    assert stand.rejected() == ["schema_unknown"]
    stand.close()
    newer = Stand(url, trust.bundle)
    assert newer.rejected() == []
    assert newer.count("events") == 2
    newer.close()
    with pytest.raises(ConfigurationError, match="update the ledger"):
        Stand(url, trust.bundle, schemas=older)


def test_a_payload_of_an_unknown_kind_is_admitted_and_read_when_its_schema_comes(
    fresh: Callable[[], str], trust: Trust
) -> None:
    texts = [path.read_bytes() for path in sorted(directory().glob("*.avsc"))]
    older = Schemas(text for text in texts if b'"name": "prompt"' not in text)
    url = fresh()
    stand, forge = Stand(url, trust.bundle, schemas=older), Forge()
    stand.put(forge, forge.seal(forge.make()))
    assert stand.findings() == ["schema_unknown"]
    stand.close()
    newer = Stand(url, trust.bundle)
    assert newer.findings() == []
    assert newer.count("events") == 2
    newer.close()


def test_an_erased_event_loses_its_payload_whether_it_came_before_or_after(stand: Stand) -> None:
    forge = Forge()
    before, after = forge.make(), forge.make()
    erasure = forge.make("content_erasure", {**EMPTY_ERASURE, "events": [before.digest, after.digest]})
    stand.put(forge, forge.seal(before))
    stand.put(forge, forge.seal(erasure))
    stand.put(forge, forge.seal(after))
    assert stand.rows("select payload is null, salt from events where digest = %s", after.digest) == [(True, ZERO16)]
    assert stand.rows("select payload is null from events where digest = %s", before.digest) == [(False,)]
    stand.contents.sweep()
    assert stand.rows("select payload is null, salt from events where digest = %s", before.digest) == [(True, ZERO16)]
    assert stand.findings() == []


EMPTY_ERASURE = {"contents": [], "events": [], "basis": "gdpr_art_17", "by": None, "request": None}


def stripped(schemas: Schemas, value: bytes, index: int) -> bytes:
    batch = split_batch(schemas, value)
    events = list(batch.events)
    events[index] = events[index]._replace(salt=ZERO16, payload=None)
    return join_batch(schemas, SealedBatch(batch.seal, batch.signatures, events))


def test_a_stripped_payload_is_refused_until_an_erasure_names_its_event(stand: Stand) -> None:
    forge = Forge()
    made = forge.make()
    stand.put(forge, stripped(forge.schemas, forge.seal(made).value, 1))
    assert stand.rejected() == ["bad_payload"]
    stand.put(forge, forge.seal(forge.make("content_erasure", {**EMPTY_ERASURE, "events": [made.digest]})))
    assert stand.rejected() == stand.findings() == []
    assert stand.rows("select payload is null from events where digest = %s", made.digest) == [(True,)]


def test_a_store_that_goes_while_an_erasure_is_looked_up_is_no_fault_of_the_record(stand: Stand) -> None:
    forge = Forge()
    value = stripped(forge.schemas, forge.seal(forge.make()).value, 1)
    stand.rows("select pg_terminate_backend(%s)", stand.projection._looks.info.backend_pid)
    with pytest.raises(BackendError):
        stand.put(forge, value)


def test_another_tenants_erasure_touches_nothing(stand: Stand) -> None:
    forge, other = Forge(), Forge(name="beta", tenant="other")
    made = forge.make()
    stand.put(other, other.seal(other.make("content_erasure", {**EMPTY_ERASURE, "events": [made.digest]})))
    stand.put(forge, forge.seal(made))
    stand.contents.sweep()
    assert stand.rows("select payload is null from events where digest = %s", made.digest) == [(False,)]


def test_erased_content_goes_and_what_comes_again_is_to_be_tombstoned_again(stand: Stand) -> None:
    forge = Forge()
    value, digest = encode_content(forge.schemas, Content("acme", bytes(16), "text/plain", ["alice"], b"hello"))
    key = record_key("acme", digest)
    stand.content(key, value)
    assert stand.count("contents") == 1
    stand.put(forge, forge.seal(forge.make("content_erasure", {**EMPTY_ERASURE, "contents": [digest]})))
    assert stand.contents.sweep() == [("acme", digest)]
    stand.contents.swept([("acme", digest)])
    assert stand.count("contents") == 0
    stand.content(key, None)
    assert (stand.contents.sweep(), stand.findings()) == ([], [])
    stand.content(key, value)
    assert stand.count("contents") == 0
    assert stand.contents.sweep() == [("acme", digest)]


def test_a_bare_tombstone_is_found_and_the_content_stays(stand: Stand) -> None:
    forge = Forge()
    value, digest = encode_content(forge.schemas, Content("acme", bytes(16), "text/plain", [], b"hello"))
    stand.content(record_key("acme", digest), value)
    stand.content(record_key("acme", digest), None)
    assert stand.findings() == ["unauthorized_erasure"]
    assert stand.count("contents") == 1


@pytest.mark.parametrize("tenant", ["ac\0me", "a" * 5000])
def test_a_tombstone_of_a_tenant_that_no_store_can_hold_is_refused(stand: Stand, tenant: str) -> None:
    stand.content(record_key(tenant, bytes(32)), None)
    assert stand.rejected() == ["malformed"]


def test_a_record_with_a_key_longer_than_an_index_takes_is_kept_and_the_stream_goes_on(stand: Stand) -> None:
    forge = Forge()
    key = random.Random(1).randbytes(9000)
    stand.put(forge, b"no batch", key=key)
    stand.put(forge, b"no batch", key=key)
    stand.content(key, None)
    assert stand.rejected() == ["malformed", "malformed"]


def test_a_content_with_a_subject_too_long_to_be_found_by_is_refused(stand: Stand) -> None:
    forge = Forge()
    fields = {"tenant": "acme", "salt": bytes(16), "media_type": "text/plain", "bytes": b"hello"}
    for subjects in (["s" * 5000], ["s"] * 1000):
        value = forge.schemas.encode("Content", {**fields, "subjects": subjects})
        stand.content(record_key("acme", content_digest(value)), value)
    assert stand.rejected() == ["malformed", "malformed"]


def test_a_content_at_the_limit_of_its_record_is_kept_and_one_beyond_it_is_refused(stand: Stand) -> None:
    fields = {"tenant": "acme", "salt": bytes(16), "media_type": "text/plain", "bytes": bytes(CONTENT_BYTES)}
    schemas = load_schemas()
    subjects = ["s" * 2000] * 32
    short = len(schemas.encode("Content", {**fields, "subjects": [*subjects, "s" * 64]}))
    for size in (CONTENT_VALUE_BYTES, CONTENT_VALUE_BYTES + 1):
        value = schemas.encode("Content", {**fields, "subjects": [*subjects, "s" * (64 + size - short)]})
        assert len(value) == size
        stand.content(record_key("acme", content_digest(value)), value)
    assert (stand.count("contents"), stand.rejected()) == (1, ["oversize"])


def test_a_content_under_a_key_that_is_not_its_own_is_refused(stand: Stand) -> None:
    value, digest = encode_content(load_schemas(), Content("acme", bytes(16), "text/plain", [], b"hello"))
    stand.content(record_key("other", digest), value)
    stand.content(record_key("acme", bytes(32)), value)
    stand.content(b"short", value)
    stand.content(record_key("acme", digest), value[:-1])
    assert stand.rejected() == ["wrong_key", "wrong_key", "malformed", "malformed"]


def test_a_second_owner_ends_the_first_ones_commits(stand: Stand, trust: Trust) -> None:
    other = PostgresProjection(stand.url, load_schemas(), LEDGER, trust.bundle)
    other.claim(EVENTS, "one", [0])
    forge = Forge()
    with pytest.raises(BackendError, match="another worker"):
        stand.put(forge, forge.seal(forge.make()))
    assert stand.count("events") == 0
    other.close()


@pytest.mark.parametrize("moved", [-1, 1])
def test_an_owner_whose_position_was_moved_commits_nothing_from_another_offset(stand: Stand, moved: int) -> None:
    forge = Forge()
    stand.put(forge, forge.seal(forge.make()))
    before = stand.digest
    with psycopg.connect(stand.url) as connection:
        connection.execute("update positions set next_offset = next_offset + %s where partition = 0", [moved])
    with pytest.raises(BackendError, match=f"partition 0 of {EVENTS} is at {1 + moved}, not 1"):
        stand.put(forge, forge.seal(forge.make()))
    assert stand.digest == before


def test_a_predecessor_that_is_stuck_in_a_transaction_is_terminated(stand: Stand, trust: Trust) -> None:
    stand.projection._commits.autocommit = False
    stand.projection._commits.execute("select 1 from positions for update")
    other = PostgresProjection(stand.url, load_schemas(), LEDGER, trust.bundle, stuck=0.2)
    assert other.claim(EVENTS, "one", [0])[0].next_offset == 0
    with pytest.raises(psycopg.OperationalError):
        stand.projection._commits.execute("select 1")
    other.close()


def test_rows_of_a_far_year_lie_in_default_until_their_partition_is_made(stand: Stand) -> None:
    forge = Forge()
    old = bytes.fromhex("00dc6acfac00") + bytes.fromhex("7000") + b"\x80" + bytes(7)  # 1 January 2000
    stand.put(forge, forge.seal(forge.make(event_id=old)))
    assert stand.count("events_default") == 1
    with psycopg.connect(stand.url, autocommit=True) as connection:
        assert make_years(connection, [2000]) == [2000]
    assert (stand.count("events_default"), stand.count("events_2000"), stand.count("events")) == (0, 1, 2)


def test_migrations_are_applied_once_and_a_changed_one_is_refused(database: str) -> None:
    published = sorted(each.name for each in files("ledger.store").joinpath("migrations").iterdir())
    assert migrate(database) == [name for name in published if name.endswith(".sql")]
    assert migrate(database) == []
    with psycopg.connect(database) as connection:
        connection.execute("update migrations set checksum = 'other' where name like '0001%%'", [])
    with pytest.raises(ConfigurationError, match="0001_ledger"):
        migrate(database)


@pytest.mark.parametrize(
    ("role", "statement", "allowed"),
    [
        ("answerable_reader", "select count(*) from events", True),
        ("answerable_reader", "delete from events", False),
        ("answerable_writer", "insert into names (name) values ('x')", True),
        ("answerable_writer", "drop table events", False),
        ("answerable_appender", "select count(*) from events", False),
    ],
)
def test_a_role_can_do_only_its_part(stand: Stand, role: str, statement: str, *, allowed: bool) -> None:
    with psycopg.connect(stand.url) as connection:
        connection.execute(f"set role {role}".encode())
        if allowed:
            connection.execute(statement.encode())
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_digest_does_not_depend_on_contents(stand: Stand) -> None:
    before = state_digest(stand.url)
    value, digest = encode_content(load_schemas(), Content("acme", bytes(16), "text/plain", [], b"hello"))
    stand.content(record_key("acme", digest), value)
    stand.content(record_key("acme", digest), None)
    assert state_digest(stand.url).digest == before.digest
