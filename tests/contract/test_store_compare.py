"""A store against its log: whatever a superuser did to the rows is seen, and the first difference is named."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import psycopg
import pytest

from ledger.errors import ConfigurationError, LedgerError, PositionLost
from ledger.format.content import Content, encode_content, record_key
from ledger.ports import CONTENTS, EVENTS, Bounds, Record
from ledger.schema_files import load_schemas
from ledger.store.compare import SCHEMA, Compared, Difference, compare, side_by_side
from ledger.store.connect import connect
from ledger.store.migrations import LIVE
from ledger.store.rebuild import refill
from tests.contract.uncompared import COLUMNS, WHOLE
from tests.services import Databases
from tests.services.forge import EMPTY, LEDGER, START, Cause, Forge, Trust, blank, signer
from tests.services.stand import Stand, migrated
from tests.verifying import Written, trust

SALT = bytes(16)


class Log(Written):
    """What the stand took, under its identity."""

    def identity(self, topic: str) -> str:  # noqa: ARG002 - both have one
        return "one"

    def bounds(self, topic: str) -> dict[int, Bounds]:
        ends = [r for r in self.records if r.topic == topic]
        return {p: Bounds(0, max((r.offset + 1 for r in ends if r.partition == p), default=0)) for p in range(4)}


def content(text: bytes) -> tuple[bytes, bytes]:
    """Key and value of a content of acme's."""
    value, digest = encode_content(load_schemas(), Content("acme", SALT, "text/plain", ["https://i#alice"], text))
    return record_key("acme", digest), value


def known() -> Trust:
    """Whose key counts; one may state prompts alone."""
    return trust().key(signer("limited"), kinds=["prompt"])


KEPT, ERASED = content(b"kept"), content(b"erased")


def filled(url: str) -> Log:
    """A store with something of everything, and its log. Deterministic."""
    migrated(url)
    stand, log = Stand(url, known().bundle), Log()
    alpha, beta, unknown = Forge(), Forge(name="beta", tenant="other"), Forge(name="unknown")
    prompt = alpha.make(agent_id="spiffe://acme/agent", contents=[KEPT[0][-32:], ERASED[0][-32:]])
    named = {"token": {"issuer": "https://as", "jti": "1", "digest": None}, "grant_id": "g", "status": "issued"}
    token = blank("token_issuance") | named
    issued = alpha.make("token_issuance", token, causes=[Cause(prompt.event_id, prompt.digest, "authorized_by")])
    gone = alpha.make()
    erasure = {**EMPTY["content_erasure"], "events": [gone.digest], "contents": [ERASED[0][-32:]]}
    stand.content(*KEPT)
    stand.content(*ERASED)
    stand.put(alpha, alpha.seal(prompt, issued, gone))
    stand.put(alpha, alpha.seal(alpha.make("content_erasure", erasure)), partition=1)
    seals = [beta.seal(beta.make(), beta.make(event_id=bytes(16))) for _ in range(3)]
    stand.put(beta, seals[0], partition=2)
    stand.put(beta, seals[2], partition=2)
    stand.put(unknown, unknown.seal(unknown.make()), partition=2)
    again = Forge(tenant="acme")
    again.chain_id = bytes(16)
    stand.put(again, again.seal(again.open(), prompt), partition=3)
    limited = Forge(name="limited")
    stand.put(limited, limited.seal(limited.make("token_issuance", token), issued, prompt), partition=3)
    forked = Forge(name="beta", tenant="other")
    forked.chain_id = bytes(15) + b"1"
    stand.put(forked, forked.seal(forked.open()), partition=1)
    other = copy.deepcopy(forked)  # the later seal comes first
    stand.put(forked, forked.seal(forked.make()), partition=1, at=START + 9_000_000)
    stand.put(other, other.seal(other.make(), other.make()), partition=2, at=START + 8_000_000)
    stand.contents.sweep()
    stand.contents.swept([("acme", ERASED[0][-32:])])
    log.records = [*stand.taken]
    log.records += [Record(CONTENTS, 0, n, 0, *each) for n, each in enumerate((KEPT, ERASED))]
    stand.close()
    return log


LOGS: dict[str, Log] = {}


def prepared(url: str) -> None:
    LOGS["log"] = filled(url)


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    made = postgres.fresh(prepared)
    yield made
    postgres.drop(made)


class Sides(NamedTuple):
    """A store, and its rows recomputed."""

    live: psycopg.Connection[Any]
    made: psycopg.Connection[Any]


@pytest.fixture(scope="module")
def sides(postgres: Databases) -> Iterator[Sides]:
    url, scratch = postgres.fresh(prepared), postgres.fresh()
    refill(scratch, SCHEMA, [LOGS["log"]], load_schemas(), LEDGER, known().bundle)
    with connect(url, schema=LIVE) as live, connect(scratch, schema=SCHEMA) as made:
        yield Sides(live, made)
    postgres.drop(url)
    postgres.drop(scratch)


def compared(url: str, log: Log | None = None, **options: Any) -> Compared:
    return compare(url, [log or LOGS["log"]], load_schemas(), LEDGER, known().bundle, **options)


def tamper(url: str, *statements: str) -> None:
    """As a superuser, past every trigger and constraint."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        for statement in statements:
            assert connection.execute(statement.encode()).rowcount != 0, statement


def test_an_honest_store_is_what_its_log_says_and_nothing_is_left_behind(url: str) -> None:
    found = compared(url)
    assert found.difference is None
    assert {table for table, count in found.rows.items() if not count} == {"quarantine"}
    with psycopg.connect(url) as connection:
        assert connection.execute("select 1 from pg_namespace where nspname = %s", [SCHEMA]).fetchone() is None


ADDED = """insert into events (event_id, digest, tenant, seal, at, kind, occurred_at, effective, header, salt)
    select '01900000-0000-7000-8000-000000000000', sha256('x'), tenant, seal, 9, kind, occurred_at, true, header, salt
    from events limit 1"""
PROMPT = "kind = (select id from names where name = 'prompt') and agent is not null"


@pytest.mark.parametrize(
    ("statements", "table", "how", "columns"),
    [
        ([f"update events set payload = payload || '\\x00' where {PROMPT}"], "events", "changed", ("payload",)),
        ([f"update events set header = header || '\\x00' where {PROMPT}"], "events", "changed", ("header",)),
        ([f"update events set salt = sha256(salt) where {PROMPT}"], "events", "changed", ("salt",)),
        ([f"update events set occurred_at = 0 where {PROMPT}"], "events", "changed", ("occurred_at",)),
        ([f"update events set execution_id = gen_random_uuid() where {PROMPT}"], "events", "changed", ("execution_id",)),
        ([f"update events set agent = tenant where {PROMPT}"], "events", "changed", ("agent",)),
        (["update events set causes = null where causes is not null"], "events", "changed", ("causes",)),
        (["update events set effective = false where effective"], "events", "changed", ("effective",)),
        ([f"update events set kind = (select id from names where name = 'chain_open') where {PROMPT}"], "events", "changed", ("kind",)),
        ([f"update events set digest = sha256(digest) where {PROMPT}"], "events", None, ()),
        (["update events set tenant = (select id from names where name = 'other') where causes is not null"], "events", "changed", ("tenant",)),
        (["update events set follows = array[1::bigint] where follows is null and payload is not null"], "events", "changed", ("follows",)),
        (["delete from events where causes is not null"], "events", "deleted", ()),
        ([ADDED], "events", "added", ()),
        (["update events set at = 7 where causes is not null"], "sightings", None, ()),
        (["update events set seal = (select max(id) from seals) where causes is not null"], "sightings", None, ()),
        (["update events set seal = -1 where causes is not null"], "sightings", None, ()),
        (["delete from sightings"], "sightings", "deleted", ()),
        (["update sightings set effective = false where effective"], "sightings", "changed", ("effective",)),
        (["update sightings set effective = true where not effective"], "sightings", "changed", ("effective",)),
        (["delete from causes"], "causes", "deleted", ()),
        (["insert into causes select effect, cause from causes"], "causes", "added", ()),
        (["delete from joins where ctid in (select ctid from joins limit 1)"], "joins", "deleted", ()),
        (["update joins set key = key + 1"], "joins", None, ()),
        (["delete from rights"], "rights", "deleted", ()),
        (["update rights set how = 1"], "rights", None, ()),
        (["update seals set sealed_at = 0 where number = 1"], "seals", "changed", ("sealed_at",)),
        (["update seals set append_time = append_time + 1"], "seals", "changed", ("append_time",)),
        (["update seals set seal = seal || '\\x00'"], "seals", "changed", ("seal",)),
        (["update seals set signatures = ''"], "seals", "changed", ("signatures",)),
        (["update seals set next_within = null where next_within is not null"], "seals", "changed", ("next_within",)),
        (["delete from seals where number = 1"], "seals", "deleted", ()),
        (["update chains set closed_at = 0"], "chains", "changed", ("closed_at",)),
        (["update runs set stop = stop + 1"], "chains", "changed", ("runs.stop",)),
        (["delete from runs"], "chains", "changed", ("runs.start", "runs.stop")),
        (["update findings set closed_at = 1 where name = 'gap'"], "findings", "deleted", ()),
        (["delete from findings where name = 'gap'"], "findings", "deleted", ()),
        (["update findings set until = 99 where name = 'gap'"], "findings", None, ()),
        (["delete from rejected where at = -1"], "rejected", "deleted", ()),
        (["update rejected set reason = 'malformed' where at = -1"], "rejected", "changed", ("reason",)),
        (["update rejected set raw = '' where at = -1"], "rejected", "changed", ("raw",)),
        (["delete from rejected where at >= 0"], "rejected events", "deleted", ()),
        (["delete from erasures where is_event"], "events", "changed", ("salt",)),
        (["delete from erasures where not is_event"], "erasures", "deleted", ()),
        (["update erasures set digest = sha256(digest) where not is_event"], "erasures", None, ()),
        (["insert into quarantine values ('ledger.events', 0, 0, 2, true, '')"], "quarantine", "added", ()),
        (["update contents set value = value || '\\x00'"], "contents", "changed", ("value",)),
        (["update contents set subjects = '{}'"], "contents", "changed", ("subjects",)),
        (["update contents set media_type = 'x'"], "contents", "changed", ("media_type",)),
        (["update contents set append_time = 9000000000000000000"], "contents", "changed", ("append_time",)),
        (["delete from contents"], "contents", "deleted", ()),
        (["update findings set opened_at = 9000000000000000000 where name = 'fork'"], "findings", "changed", ("opened_at",)),
        (["update findings set opened_at = opened_at - 1 where name = 'gap'"], "findings", "changed", ("opened_at",)),
        (["update findings set opened_at = 0 where name = 'unauthorized_kind'"], "findings", "changed", ("opened_at",)),
        (["insert into findings (name, tenant, chain, number, digest, opened_at, closed_at) select 'fork', tenant, chain, number, digest, 1, 2 from findings where name = 'fork' limit 1"], "findings", "changed", ("closed_at",)),
        (["update erasures set append_time = append_time + 1 where is_event"], "erasures", "changed", ("append_time",)),
        (["update erasures set append_time = append_time - 1 where not is_event"], "erasures", "changed", ("append_time",)),
        (["update rejected set append_time = append_time + 1 where at >= 0"], "rejected events", "changed", ("append_time",)),
    ],
)  # fmt: skip
def test_what_a_superuser_did_to_a_row_is_named(
    sides: Sides, statements: list[str], table: str, how: str | None, columns: tuple[str, ...]
) -> None:
    with sides.live.transaction(force_rollback=True):
        sides.live.execute("set local session_replication_role = replica")
        for statement in statements:
            assert sides.live.execute(statement.encode()).rowcount != 0
        found = side_by_side(sides.live, sides.made, load_schemas()).difference
    assert found is not None
    assert found.table == table
    assert how in (None, found.how)
    assert set(columns) <= set(found.columns)
    assert found.key


OTHER = {
    "bigint": "coalesce({0}, 0) + 1000",
    "boolean": "not {0}",
    "bytea": "coalesce({0}, '') || '\\x00'",
    "integer": "coalesce({0}, 0) + 1000",
    "smallint": "coalesce({0}, 0) + 1000",
    "text": "coalesce({0}, '') || 'x'",
    "timestamp with time zone": "clock_timestamp()",
    "uuid": "gen_random_uuid()",
    "bigint[]": "array_append({0}, 1::bigint)",
    "text[]": "array_append({0}, 'x')",
    "uuid[]": "array_append({0}, gen_random_uuid())",
}
"""Another value than the one that is there, by type."""
EVERY_COLUMN = b"""
select c.relname, a.attname, format_type(a.atttypid, null), a.attidentity <> ''
  from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
   and a.attnum > 0 and not a.attisdropped order by 1, 2"""
SET_ASIDE = "insert into quarantine values ('ledger.events', 0, 0, 2, true, '')"


def test_a_change_of_any_column_is_a_difference_or_there_is_a_reason_why_it_need_not_be(sides: Sides) -> None:
    unseen = set()
    columns = [each for each in sides.live.execute(EVERY_COLUMN).fetchall() if each[0] not in WHOLE]
    for table, column, kind, identity in columns:
        with sides.live.transaction(force_rollback=True), sides.made.transaction(force_rollback=True):
            sides.live.execute("set local session_replication_role = replica")
            for side in sides if table == "quarantine" else ():
                side.execute(SET_ASIDE.encode())
            if identity:
                sides.live.execute(f"alter table {table} alter {column} drop identity".encode())
            changed = sides.live.execute(f"update {table} set {column} = {OTHER[kind].format(column)}".encode())
            assert changed.rowcount, f"{table} has no row to change"
            if side_by_side(sides.live, sides.made, load_schemas()).difference is None:
                unseen.add(f"{table}.{column}")
    assert unseen == set(COLUMNS)
    assert {each[0] for each in sides.live.execute(EVERY_COLUMN)} >= set(WHOLE)


@pytest.mark.parametrize(
    ("statements", "table", "how", "columns"),
    [
        (["update positions set next_offset = next_offset - 1 where partition = 2 and topic = 'ledger.events'"], "positions", "changed", ("last_digest",)),
        (["update positions set next_offset = next_offset + 5 where partition = 2 and topic = 'ledger.events'"], "positions", "changed", ("next_offset",)),
        (["update trust set line = sha256(line) where number = 1"], "trust", "changed", ("line",)),
        (["insert into trust values (99, '\\x00')"], "trust", "added", ("line",)),
        (["update schema_set set file_digest = sha256(file_digest) where frame = (select max(frame) from schema_set)"], "schema_set", "changed", ("file_digest",)),
    ],
)  # fmt: skip
def test_a_position_or_a_standing_that_was_moved_is_named(
    url: str, statements: list[str], table: str, how: str, columns: tuple[str, ...]
) -> None:
    tamper(url, *statements)
    found = compared(url).difference
    assert found is not None
    assert (found.table, found.how) == (table, how)
    assert set(columns) <= set(found.columns)


def test_two_names_that_were_swapped_are_named_by_the_rows_that_they_stand_for(url: str) -> None:
    tamper(
        url,
        "alter table names drop constraint names_name_key",
        "update names set name = case name when 'acme' then 'other' else 'acme' end where name in ('acme', 'other')",
    )
    found = compared(url).difference
    assert found is not None
    assert (found.table, found.how) in {("chains", "added"), ("chains", "deleted")}


def test_an_agents_name_that_was_changed_is_named(url: str) -> None:
    tamper(url, "update names set name = 'spiffe://acme/other' where name = 'spiffe://acme/agent'")
    found = compared(url).difference
    assert found is not None
    assert (found.table, found.how, found.columns) == ("events", "changed", ("agent",))
    assert set(found.key) == {"event_id", "digest"}


def test_an_erased_payload_or_content_that_was_put_back_is_named(url: str) -> None:
    tamper(url, "update events set payload = '\\x00' where payload is null")
    assert compared(url).difference == Difference("events", "changed", _key_of(url, "payload = '\\x00'"), ("payload",))


def test_a_content_that_was_put_back_after_its_erasure_is_named(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into contents select id, %s, 'text/plain', '{https://i#alice}', %s, 0 from names where name = 'acme'",
            [ERASED[0][-32:], ERASED[1]],
        )
    found = compared(url).difference
    assert found == Difference("contents", "added", {"tenant": "acme", "digest": ERASED[0][-32:].hex()})


def _key_of(url: str, where: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        query = f"select event_id, digest from events where {where}"
        event_id, digest = connection.execute(query.encode()).fetchall()[0]
    return {"event_id": str(event_id), "digest": digest.hex()}


def test_a_policy_that_hides_rows_from_a_reader_is_an_error_and_no_answer(url: str, database: str) -> None:
    tamper(url, ADDED)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create policy hide on events using (at <> 9)")
        connection.execute("alter table events enable row level security")
    reader = f"{url}&options={quote('-c role=answerable_reader')}"
    with pytest.raises(LedgerError, match="row-level security"):
        compared(reader, scratch=database)


def test_a_trigger_and_a_function_of_the_owners_change_nothing(url: str) -> None:
    tamper(url, "delete from events where causes is not null")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create function sha256(text) returns bytea language sql as $$ select ''::bytea $$")
        connection.execute(
            "create function undone() returns trigger language plpgsql as $$ begin return null; end $$;"
            "create trigger undone before insert or update or delete on events for each row execute function undone()"
        )
    found = compared(url).difference
    assert found is not None
    assert (found.table, found.how) == ("events", "deleted")


def test_a_store_that_is_behind_its_log_is_compared_as_far_as_it_is(url: str) -> None:
    forge, log = Forge(name="beta"), Log()
    log.records = [*LOGS["log"].records]
    end = log.bounds(EVENTS)[0].end
    log.records.append(Record(EVENTS, 0, end, START, forge.chain_id, forge.seal(forge.make()).value))
    assert compared(url, log).difference is None


def test_a_store_under_an_older_bundle_is_judged_under_that(url: str) -> None:
    longer = (
        Trust()
        .key(signer("alpha"))
        .key(signer("beta"))
        .key(signer("limited"), kinds=["prompt"])
        .key(signer("unknown"))
        .bundle
    )
    found = compare(url, [LOGS["log"]], load_schemas(), LEDGER, longer)
    assert found.difference is None


def test_a_record_that_was_changed_in_the_log_is_a_difference_too(url: str) -> None:
    log = Log()
    log.records = [*LOGS["log"].records]
    changed = log.records[0]
    assert changed.value is not None
    log.records[0] = changed._replace(value=changed.value[:-1] + bytes([changed.value[-1] ^ 1]))
    assert compared(url, log).difference is not None


TAIL = 3
"""A partition with two batches."""


def tail_of(log: Log, partition: int) -> Record:
    return max((r for r in log.records if r.topic == EVENTS and r.partition == partition), key=lambda r: r.offset)


def cut(log: Log) -> None:
    """The last batch is gone, and what its partition ends with is what was before it."""
    log.records.remove(tail_of(log, TAIL))


def renumbered(log: Log) -> None:
    """The last batch stands at a later offset: something was there, and is gone."""
    tail = tail_of(log, TAIL)
    log.records[log.records.index(tail)] = tail._replace(offset=tail.offset + 1)


def replaced(log: Log) -> None:
    """Where the last batch stood is another, signed by a key that counts."""
    tail, other = tail_of(log, TAIL), Forge(name="beta", tenant="other")
    batch = other.seal(other.make())
    log.records[log.records.index(tail)] = tail._replace(key=other.chain_id, value=batch.value)


@pytest.mark.parametrize(
    ("done", "columns"),
    [(cut, {"next_offset", "last_digest"}), (renumbered, {"next_offset"}), (replaced, {"last_digest"})],
)
def test_a_tail_of_the_log_that_was_cut_renumbered_or_replaced_is_named(
    url: str, done: Callable[[Log], None], columns: set[str]
) -> None:
    log = Log()
    log.records = [*LOGS["log"].records]
    done(log)
    found = compared(url, log).difference
    assert found is not None
    assert (found.table, found.how, found.key["partition"]) == ("positions", "changed", str(TAIL))
    assert columns <= set(found.columns), found


def test_records_that_no_log_has_any_more_are_an_error_that_asks_for_the_archive(url: str) -> None:
    class Short(Log):
        def bounds(self, topic: str) -> dict[int, Bounds]:
            return {p: b._replace(first=min(1, b.end)) for p, b in super().bounds(topic).items()}

    short = Short()
    short.records = LOGS["log"].records
    with pytest.raises(PositionLost, match="add the archive"):
        compared(url, short)


def test_fewer_schemas_than_the_release_has_are_told(url: str) -> None:
    tamper(url, "delete from schema_set where frame = (select max(frame) from schema_set)")
    with pytest.raises(ConfigurationError, match="fewer schemas"):
        compared(url)


def test_the_rows_can_be_recomputed_in_another_database(url: str, database: str) -> None:
    assert compared(url, scratch=database).difference is None
    tamper(url, "delete from causes")
    assert compared(url, scratch=database).difference is not None
    with psycopg.connect(url) as connection:
        assert connection.execute("select 1 from pg_namespace where nspname = %s", [SCHEMA]).fetchone() is None
