"""A superuser of Postgres: what rows say is believed by no answer unless their publisher signed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg
import pytest

from api.access import Tokens
from api.app import create_app
from api.store import Store
from ledger.ask import who_triggered
from ledger.attribution.answer import Answer
from ledger.format.batch import Seal, Signature, decode_seal
from ledger.format.content import Person, encode_content, person_content
from ledger.format.event import decode_header, encode_header
from ledger.format.hashing import ZERO16, event_digest, event_prefix, seal_digest, seal_message
from ledger.format.merkle import tree_head
from ledger.schema_files import load_schemas
from ledger.store import queries
from ledger.store.nodes import Reading
from ledger.trust.bundle import TrustBundle
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import lineage, reading, store, trust_of, trusts
from tests.e2e.test_api import serving
from tests.sealing import LEDGER as SEEDED_LEDGER
from tests.seeded import ACME, bundle, seed
from tests.seeded import story as seeded_story
from tests.services.databases import Databases
from tests.services.forge import LEDGER, START, Forge, signer

SCHEMAS = load_schemas()
TENANT = "acme"
TEXT = """
person alice Alice
person bob Bob
service feed importer
service plain unauthorized
p1 agent prompt trigger_kind=human trust=trusted principal=alice agent=travel channel=web
s1 agent reasoning_step status=completed visibility=full agent=travel <- p1:started_by
a1 agent api_action action_id=x phase=completed operation=book outcome=success observer=agent agent=travel <- s1:continues
i1 feed api_action action_id=y phase=completed operation=book outcome=success observer=importer
u1 plain api_action action_id=z phase=completed operation=book outcome=success observer=agent
"""


class Tampered(NamedTuple):
    """A store that holds the story, and a superuser's hand in it."""

    url: str
    story: Story
    run: Callable[..., Any]

    def change(self, name: str, what: str, *values: object) -> None:
        """Sets columns of one event's row."""
        assert self.run(f"update events set {what} where digest = %s", *values, self.digest(name)) == 1  # noqa: S608

    def change_seal(self, name: str, what: str, *values: object) -> None:
        """Sets columns of the row of an event's seal."""
        where = "where id = (select seal from events where digest = %s)"
        assert self.run(f"update seals set {what} {where}", *values, self.digest(name)) == 1  # noqa: S608

    def row(self, name: str, columns: str) -> tuple[Any, ...]:
        with psycopg.connect(self.url) as connection:
            query = f"select {columns} from events e join seals s on s.id = e.seal where e.digest = %s"  # noqa: S608
            found = connection.execute(query.encode(), [self.digest(name)]).fetchone()
        assert found is not None
        return found

    def digest(self, name: str) -> bytes:
        return self.story.events[name].made.digest

    def asked(self, name: str = "a1") -> Answer:
        return who_triggered(lineage(self.url), TENANT, self.story.events[name].made.event_id)

    def found(self, name: str) -> list[str]:
        """The findings with which an event is shown by itself."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            event_id = self.story.events[name].made.event_id
            return [
                finding
                for node in queries.event_by_id(connection, reading(self.url), TENANT, event_id)
                for finding in node.findings
            ]


STORY = read_scenario(TEXT, TENANT)
BUNDLES: list[TrustBundle] = []


def laid(url: str) -> None:
    """What the template of every test's database is made of."""
    BUNDLES.append(store(url, STORY))


@pytest.fixture
def store_of(postgres: Databases) -> Iterator[Tampered]:
    url = postgres.fresh(laid)
    trusts(url, BUNDLES[-1])

    def run(query: str, *values: object) -> int:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "set session_replication_role = replica"
            )  # no trigger and no key of Postgres is in the way
            return connection.execute(query.encode(), values).rowcount

    yield Tampered(url, STORY, run)
    postgres.drop(url)


def flipped(data: bytes, at: int = -1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def test_an_untouched_store_answers_without_a_finding(store_of: Tampered) -> None:
    answer = store_of.asked()
    assert (answer.class_, answer.findings) == ("attributed", ())
    assert store_of.found("p1") == store_of.found("i1") == []
    assert store_of.found("u1") == ["unauthorized_kind"]


def header_changed(store_of: Tampered) -> None:
    store_of.change("p1", "header = %s", flipped(store_of.row("p1", "e.header")[0]))


def other_principal(store_of: Tampered) -> tuple[bytes, bytes]:
    """The prompt's header with Bob in Alice's place, and its digest: consistent, and signed by nobody."""
    header = decode_header(SCHEMAS, store_of.row("p1", "e.header")[0])
    data = encode_header(SCHEMAS, header._replace(principal=store_of.story.people["bob"].digest))
    return data, event_digest(event_prefix(LEDGER, TENANT, "agent"), data)


def header_and_digest_changed(store_of: Tampered) -> None:
    data, digest = other_principal(store_of)
    cited = store_of.row("s1", "e.header")[0].replace(store_of.digest("p1"), digest)
    store_of.change("s1", "header = %s", cited)
    store_of.change("p1", "header = %s, digest = %s", data, digest)


def all_but_the_signature_changed(store_of: Tampered) -> None:
    """Header, digest, leaves, root and the seal's digest, all consistent: only the key is missing."""
    data, digest = other_principal(store_of)
    raw, leaves = store_of.row("p1", "s.seal, s.leaves")
    leaves = leaves.replace(store_of.digest("p1"), digest)
    fields = decode_seal(SCHEMAS, raw)._replace(events_root=tree_head([leaves[:32], leaves[32:]]))
    seal = SCHEMAS.encode("Seal", fields._asdict())
    store_of.change_seal("p1", "seal = %s, digest = %s, leaves = %s", seal, seal_digest(seal), leaves)
    store_of.change("p1", "header = %s, digest = %s", data, digest)


def row_deleted_and_another_in_its_place(store_of: Tampered) -> None:
    store_of.change("p1", "header = %s, salt = %s, payload = %s", *store_of.row("s1", "e.header, e.salt, e.payload"))


def moved_to_another_index(store_of: Tampered) -> None:
    store_of.change("p1", "at = 0")


def moved_to_another_seal(store_of: Tampered) -> None:
    store_of.change("p1", "seal = %s", store_of.row("s1", "e.seal")[0])


def moved_in_time(store_of: Tampered) -> None:
    store_of.change("p1", "occurred_at = occurred_at - 1")


def signature_changed(store_of: Tampered) -> None:
    key_id, signature = store_of.row("p1", "s.signatures")[0].decode().split()
    raw = flipped(bytes.fromhex(signature)).hex()
    store_of.change_seal("p1", "signatures = %s", f"{key_id}\n{raw}\n".encode())


def seal_changed(store_of: Tampered) -> None:
    store_of.change_seal("p1", "seal = %s", flipped(store_of.row("p1", "s.seal")[0], 40))


def leaves_changed(store_of: Tampered) -> None:
    store_of.change_seal("p1", "leaves = %s", flipped(store_of.row("p1", "s.leaves")[0], 0))


def leaves_garbled(store_of: Tampered) -> None:
    store_of.change_seal("p1", "leaves = '', signatures = 'x', seal = 'y'")


def seal_deleted(store_of: Tampered) -> None:
    assert store_of.run(
        "delete from seals where id = (select seal from events where digest = %s)", store_of.digest("p1")
    )


CHANGES = [
    header_changed,
    header_and_digest_changed,
    all_but_the_signature_changed,
    row_deleted_and_another_in_its_place,
    moved_to_another_index,
    moved_to_another_seal,
    moved_in_time,
    signature_changed,
    seal_changed,
    leaves_changed,
    leaves_garbled,
    seal_deleted,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.__name__)
def test_a_changed_row_answers_nothing_and_the_answer_says_so(
    store_of: Tampered, change: Callable[[Tampered], None]
) -> None:
    change(store_of)
    answer = store_of.asked()
    assert answer.class_ == "unattributed"
    assert {"row_changed", "cause_mismatch"} & set(answer.reasons)
    assert "row_changed" in {each.name for each in answer.findings}
    assert answer.triggers == ()
    assert "Alice" not in answer.sentence
    assert "Bob" not in answer.sentence
    assert store_of.found("p1") == ["row_changed"]
    with psycopg.connect(store_of.url, autocommit=True) as connection:
        page = queries.find_events(connection, reading(store_of.url), TENANT, queries.Search(kind="prompt"))
    (node,) = page.events
    assert (node.kind, node.payload, node.service, node.header.principal, node.effective) == ("", None, "", None, False)


ROWS_CHANGED = [
    each for each in CHANGES if each not in (signature_changed, seal_changed, leaves_changed, leaves_garbled)
]
"""Those that change no seal alone: a seal that verified is kept by its digest, and need not be there any more."""


@pytest.mark.parametrize("change", ROWS_CHANGED, ids=lambda each: each.__name__)
def test_what_was_read_before_is_not_believed_of_a_row_that_was_changed_since(
    store_of: Tampered, change: Callable[[Tampered], None]
) -> None:
    source, event_id = lineage(store_of.url), store_of.story.events["a1"].made.event_id
    for _ in range(2):
        assert who_triggered(source, TENANT, event_id).class_ == "attributed"
    change(store_of)
    answer = who_triggered(source, TENANT, event_id)
    assert (answer.class_, answer.triggers) == ("unattributed", ())
    assert "row_changed" in {each.name for each in answer.findings}


@pytest.mark.parametrize("what", ["payload", "salt", "both taken away"])
def test_a_payload_that_was_read_before_is_not_said_by_a_row_that_has_it_no_more(store_of: Tampered, what: str) -> None:
    source, event_id = lineage(store_of.url), store_of.story.events["a1"].made.event_id
    assert who_triggered(source, TENANT, event_id).operation == "book"
    if what == "both taken away":
        store_of.change("a1", "payload = null, salt = %s", ZERO16)
    else:
        store_of.change("a1", f"{what} = %s", flipped(store_of.row("a1", f"e.{what}")[0]))
    answer = who_triggered(source, TENANT, event_id)
    assert (answer.operation, {each.name for each in answer.findings}) == (None, {"row_changed"})


def test_an_event_that_was_read_before_counts_no_more_once_its_key_is_revoked(store_of: Tampered) -> None:
    trust = trust_of(STORY)
    bundles = [trust.bundle]
    rows = Reading(SCHEMAS, LEDGER, lambda: bundles[-1])
    event_id = store_of.story.events["p1"].made.event_id
    with psycopg.connect(store_of.url, autocommit=True) as connection:
        (node,) = queries.event_by_id(connection, rows, TENANT, event_id)
        (again,) = queries.event_by_id(connection, rows, TENANT, event_id)
        assert node.effective
        assert again is node  # it was not read a second time
        bundles.append(trust.revoke(signer("agent"), since=0).bundle)
        (after,) = queries.event_by_id(connection, rows, TENANT, event_id)
    assert (after.effective, after.findings) == (False, ("revoked_key",))


def test_what_was_asked_about_may_be_the_changed_row(store_of: Tampered) -> None:
    store_of.change("a1", "header = %s", flipped(store_of.row("a1", "e.header")[0]))
    answer = store_of.asked()
    assert (answer.class_, answer.reasons) == ("unattributed", ("row_changed",))
    assert (answer.operation, answer.path) == (None, answer.path)
    assert [(each.kind, each.findings) for each in answer.path] == [("", ("row_changed",))]


@pytest.mark.parametrize("what", ["payload", "salt"])
def test_a_changed_payload_says_nothing_and_its_header_stands(store_of: Tampered, what: str) -> None:
    store_of.change("a1", f"{what} = %s", flipped(store_of.row("a1", f"e.{what}")[0]))
    answer = store_of.asked()
    assert answer.operation is None
    assert answer.class_ == "attributed"
    assert {each.name for each in answer.findings} == {"row_changed"}
    assert store_of.found("a1") == ["row_changed"]


def test_a_payload_taken_away_is_no_erasure(store_of: Tampered) -> None:
    store_of.change("a1", "payload = null, salt = %s", ZERO16)
    assert store_of.found("a1") == ["row_changed"]


@pytest.mark.parametrize("by", ["nobody", "an event of another kind"])
def test_an_erasure_made_up_in_the_store_erases_nothing(store_of: Tampered, by: str) -> None:
    made = store_of.story.events["s1"].made
    event_id, digest = (made.event_id, made.digest) if by != "nobody" else (made.event_id, bytes(32))
    alice = store_of.story.people["alice"].digest
    for what, is_event in ((store_of.digest("a1"), True), (alice, False)):
        store_of.run(
            "insert into erasures (tenant, digest, event_id, event_digest, append_time, is_event)"
            " select id, %s, %s::uuid, %s, 0, %s from names where name = 'acme'",
            *(what, event_id.hex(), digest, is_event),
        )
    store_of.change("a1", "payload = null, salt = %s", ZERO16)
    assert store_of.found("a1") == ["row_changed"]
    assert store_of.asked("s1").class_ == "attributed"
    store_of.run("delete from contents where digest = %s", alice)
    assert store_of.asked("s1").reasons == ("principal_unresolved",)


def test_the_name_of_a_person_exchanged_in_the_store_names_nobody(store_of: Tampered) -> None:
    mallory = person_content(TENANT, bytes(16), Person(issuer="idp", subject="mallory", name="Mallory"))
    value, _ = encode_content(SCHEMAS, mallory)
    digest = store_of.story.people["alice"].digest
    assert store_of.run("update contents set value = %s where digest = %s", value, digest) == 1
    answer = store_of.asked()
    assert answer.reasons == ("principal_unresolved",)
    assert "Mallory" not in answer.sentence


def test_a_row_added_under_a_seal_that_is_there_is_not_under_it(store_of: Tampered) -> None:
    made = Forge(name="agent", service="agent", tenant=TENANT, now=START + 1_000_000_000).make(agent_id="travel")
    store_of.run(
        "insert into events select %s::uuid, %s, tenant, seal, 2, kind, %s, null, agent, true, null, null, %s, %s, %s"
        " from events where digest = %s",
        *(made.event_id.hex(), made.digest, made.header.occurred_at, *made.event, store_of.digest("p1")),
    )
    with psycopg.connect(store_of.url, autocommit=True) as connection:
        (node,) = queries.event_by_id(connection, reading(store_of.url), TENANT, made.event_id)
    assert (node.findings, node.effective) == (("row_changed",), False)


def sealed_by(who: str, service: str, store_of: Tampered) -> None:
    """The prompt's seal made anew for Bob under another key, every digest right."""
    data, _ = other_principal(store_of)
    digest = event_digest(event_prefix(LEDGER, TENANT, service), data)
    raw, leaves = store_of.row("p1", "s.seal, s.leaves")
    leaves = leaves[:32] + digest
    key = signer(who)
    fields: Seal = decode_seal(SCHEMAS, raw)._replace(
        events_root=tree_head([leaves[:32], digest]), key_id=key.key_id, service=service
    )
    seal = SCHEMAS.encode("Seal", fields._asdict())
    signature = Signature(key.key_id, key.sign(seal_message(seal)))
    lines = f"{signature.key_id}\n{signature.signature.hex()}\n".encode()
    store_of.change_seal(
        "p1", "seal = %s, digest = %s, leaves = %s, signatures = %s", seal, seal_digest(seal), leaves, lines
    )
    store_of.change("p1", "header = %s, digest = %s", data, digest)


@pytest.mark.parametrize(("who", "finding"), [("stranger", "unknown_key"), ("feed", "wrong_scope")])
def test_a_seal_made_anew_by_another_key_is_that_keys_word_and_counts_for_nothing(
    store_of: Tampered, who: str, finding: str
) -> None:
    sealed_by(who, "agent", store_of)
    assert store_of.found("p1") == [finding]
    answer = store_of.asked()
    assert (answer.class_, answer.triggers) == ("unattributed", ())
    assert finding in {each.name for each in answer.findings}


def test_what_a_key_may_not_state_gets_no_effect_by_a_column(store_of: Tampered) -> None:
    store_of.change("u1", "effective = true")
    answer = store_of.asked("u1")
    assert (answer.class_, answer.reasons) == ("unattributed", ("unauthorized_kind",))
    assert store_of.found("u1") == ["unauthorized_kind"]


def test_what_a_key_may_not_state_gets_no_effect_by_a_sighting_that_is_none(store_of: Tampered) -> None:
    store_of.change("u1", "effective = true")
    store_of.run(
        "insert into sightings select u.event_id, u.digest, p.seal, 1, true from events u, events p"
        " where u.digest = %s and p.digest = %s",
        store_of.digest("u1"),
        store_of.digest("p1"),
    )
    assert store_of.found("u1") == ["unauthorized_kind"]


def test_an_imported_event_does_not_become_its_sources_own_by_a_column(store_of: Tampered) -> None:
    store_of.change_seal("i1", "importer = false")
    assert [each.importer for each in store_of.asked("i1").path] == [True]


def test_services_and_keys_are_those_that_were_signed_whatever_names_and_chains_say(store_of: Tampered) -> None:
    store_of.run("update names set name = 'innocent' where name = 'agent'")
    store_of.run("update chains set key_id = 'another', chain_id = %s", bytes(16))
    answer = store_of.asked()
    assert {each.service for each in answer.path} == {"agent"}
    assert {each.key_id for each in answer.path} == {signer("agent").key_id}


def test_an_event_moved_to_another_tenant_in_the_store_says_nothing_there(store_of: Tampered) -> None:
    store_of.run("insert into names (name) values ('other')")
    store_of.run("update events set tenant = (select id from names where name = 'other')")
    event_id = store_of.story.events["a1"].made.event_id
    answer = who_triggered(lineage(store_of.url), "other", event_id)
    assert answer.reasons == ("row_changed",)


def test_a_deleted_row_is_a_dangling_cause_of_what_cites_it(store_of: Tampered) -> None:
    store_of.run("delete from events where digest = %s", store_of.digest("p1"))
    answer = store_of.asked()
    assert (answer.class_, answer.reasons) == ("unattributed", ("dangling_cause",))


def test_causes_cut_off_in_the_store_are_missed_by_the_header_that_states_them(store_of: Tampered) -> None:
    store_of.change("s1", "causes = null")
    assert store_of.asked().reasons == ("dangling_cause",)


def test_a_seal_under_a_new_number_of_row_is_verified_anew(store_of: Tampered) -> None:
    """After a rebuild the same numbers are other seals: what was verified is kept by digest."""
    source = lineage(store_of.url)
    event_id = store_of.story.events["a1"].made.event_id
    assert who_triggered(source, TENANT, event_id).class_ == "attributed"
    store_of.run("update seals set id = -id")
    store_of.run("update events set seal = -seal")
    assert who_triggered(source, TENANT, event_id).class_ == "attributed"
    store_of.run("update seals set signatures = %s", b"nobody\n00\n")
    assert who_triggered(source, TENANT, event_id).class_ == "attributed"
    assert store_of.asked().reasons == ("row_changed",)


def test_a_seal_under_the_digest_of_another_does_not_take_its_place(store_of: Tampered) -> None:
    """Neither in one question nor in what a process keeps: the other one's events are as good as before."""
    source = lineage(store_of.url)
    store_of.run(
        "update seals set digest = (select s.digest from seals s join events e on e.seal = s.id where e.digest = %s)"
        " where id = (select seal from events where digest = %s)",
        store_of.digest("s1"),
        store_of.digest("p1"),
    )
    for asked in ("p1", "a1", "s1"):
        answer = who_triggered(source, TENANT, store_of.story.events[asked].made.event_id)
        changed = {each.event_id for each in answer.findings if each.name == "row_changed"}
        assert changed == {store_of.story.events["p1"].made.event_id}


def test_http_shows_no_answer_from_a_changed_row(postgres: Databases) -> None:
    url = postgres.fresh(seed)
    told = seeded_story(url)
    app = create_app(store=Store(url), ledger=SEEDED_LEDGER, tokens=Tokens(None, ACME), bundle=bundle)
    with psycopg.connect(url, autocommit=True) as connection:
        query = "update events set header = set_byte(header, 30, get_byte(header, 30) # 1) where event_id = %s::uuid"
        connection.execute(query, [told.prompt])
    with serving(app) as client:
        (event,) = client.get(f"/v1/events/{told.prompt}").raise_for_status().json()["items"]
        assert (event["findings"], event["payload"], event["kind"]) == (["row_changed"], None, "")
        answer = client.get(f"/v1/events/{told.outcome}/who-triggered").raise_for_status().json()
        assert "row_changed" in {each["name"] for each in answer["findings"]}
        assert answer["class"] == "unattributed"
        assert client.get(f"/v1/events/{told.outcome}/lineage").status_code == 200
        assert client.get("/v1/events?kind=prompt").raise_for_status().json()["items"][0]["findings"] == ["row_changed"]


def test_http_answers_nothing_that_it_cannot_verify(postgres: Databases) -> None:
    url = postgres.fresh(seed)
    told = seeded_story(url)
    app = create_app(store=Store(url), ledger=SEEDED_LEDGER, tokens=Tokens(None, ACME), bundle=lambda: None)
    with serving(app) as client:
        response = client.get(f"/v1/events/{told.outcome}/who-triggered")
    assert (response.status_code, response.json()["type"]) == (503, "urn:answerable:problem:misconfigured")
