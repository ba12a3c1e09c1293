"""Somebody who can write to the log, and maybe delete from it, and has no key."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from ledger.ask import who_triggered
from ledger.attribution.answer import Answer
from ledger.attribution.subgraph import Node
from ledger.cli.verify_text import print_report
from ledger.format.content import PRINCIPAL, Content, Person, encode_content, person_content, record_key
from ledger.format.event import Cause
from ledger.format.heads import KnownHead
from ledger.store.lineage import PostgresLineage
from ledger.store.nodes import Reading
from ledger.store.queries import event_by_id
from tests.services.forge import EMPTY, LEDGER, START, Forge, blank
from tests.services.stand import Stand
from tests.verifying import Written, names, verified

ALICE = person_content("acme", bytes(16), Person(issuer="idp", subject="alice", name="Alice"))


def reading(stand: Stand) -> Reading:
    return Reading(stand.schemas, LEDGER, lambda: stand.projection.bundle)


def answer_of(stand: Stand, event_id: bytes) -> Answer:
    lineage = PostgresLineage(lambda: psycopg.connect(stand.url, autocommit=True), reading(stand), lambda: START)
    return who_triggered(lineage, "acme", event_id)


def trigger_of(stand: Stand, event_id: bytes) -> tuple[str, str | None]:
    """Class of the answer, and who is named first."""
    answer = answer_of(stand, event_id)
    return answer.class_, next((each.who.name for each in answer.triggers if each.who is not None), None)


def under(stand: Stand, event_id: bytes) -> list[Node]:
    """Every event of an id."""
    with closing(psycopg.connect(stand.url, autocommit=True)) as connection:
        return list(event_by_id(connection, reading(stand), "acme", event_id))


def prompted(stand: Stand, by: Content = ALICE) -> tuple[Forge, bytes, bytes]:
    """Alice's prompt and the action that came of it, in the store: publisher, the prompt's id, the action's."""
    author = Forge()
    _, alice = encode_content(stand.schemas, by)
    prompt = author.make(principal=alice, contents=[alice])
    action = author.make(
        "api_action",
        blank("api_action") | {"action_id": "x", "phase": "completed", "operation": "book", "observer": "agent"},
        causes=[Cause(prompt.event_id, prompt.digest, "started_by")],
    )
    stand.put(author, author.seal(prompt, action))
    return author, prompt.event_id, action.event_id


def put_content(stand: Stand, content: Content, *, key: bytes | None = None) -> bytes:
    """Commits a content, under its own digest or another; returns the digest."""
    value, digest = encode_content(stand.schemas, content)
    stand.content(record_key(content.tenant, key or digest), value)
    return digest


@pytest.mark.parametrize(
    "forged",
    [
        person_content("acme", bytes(16), Person(issuer="idp", subject="mallory", name="Mallory")),
        Content("acme", bytes(16), PRINCIPAL, ["idp#mallory"], ALICE.bytes),
        Content("acme", bytes(16), "text/plain", list(ALICE.subjects), ALICE.bytes),
        Content("acme", bytes(15) + b"\1", PRINCIPAL, list(ALICE.subjects), ALICE.bytes),
        Content("other", bytes(16), PRINCIPAL, list(ALICE.subjects), ALICE.bytes),
    ],
    ids=["swapped", "other subjects", "other media type", "other salt", "other tenant"],
)
def test_a_content_swapped_or_relabelled_under_its_digest_is_refused_and_the_true_one_stands(
    stand: Stand, forged: Content
) -> None:
    _, _, action = prompted(stand)
    _, alice = encode_content(stand.schemas, ALICE)
    put_content(stand, forged, key=alice)
    assert stand.rejected() == ["wrong_key"]
    assert trigger_of(stand, action) == ("unattributed", None)
    put_content(stand, ALICE)
    assert trigger_of(stand, action) == ("attributed", "Alice")
    put_content(stand, forged, key=alice)
    assert trigger_of(stand, action) == ("attributed", "Alice")


def test_a_content_that_no_event_cites_names_nobody(stand: Stand) -> None:
    """Not even somebody whom a cited one leaves without a name."""
    nameless = person_content("acme", bytes(16), Person(issuer="idp", subject="alice"))
    _, _, action = prompted(stand, nameless)
    put_content(stand, nameless)
    put_content(stand, person_content("acme", bytes(15) + b"\2", Person(issuer="idp", subject="alice", name="Mallory")))
    assert trigger_of(stand, action) == ("attributed", None)


def test_a_tombstone_by_a_log_writer_is_found_and_takes_nothing_from_the_answer(stand: Stand) -> None:
    _, _, action = prompted(stand)
    digest = put_content(stand, ALICE)
    stand.content(record_key("acme", digest), None)
    assert stand.findings() == ["unauthorized_erasure"]
    assert trigger_of(stand, action) == ("attributed", "Alice")


def test_a_content_sent_again_after_its_erasure_names_nobody_again(stand: Stand) -> None:
    author, _, action = prompted(stand)
    digest = put_content(stand, ALICE)
    stand.put(author, author.seal(author.make("content_erasure", {**EMPTY["content_erasure"], "contents": [digest]})))
    assert stand.contents.sweep() == [("acme", digest)]
    stand.contents.swept([("acme", digest)])
    assert trigger_of(stand, action)[0] == "erased_principal"
    put_content(stand, ALICE)
    assert stand.count("contents") == 0
    assert trigger_of(stand, action)[0] == "erased_principal"
    assert stand.contents.sweep() == [("acme", digest)], "it is tombstoned again"


def test_an_event_copied_and_sent_first_is_not_the_one_that_causes_cite(stand: Stand) -> None:
    """Beta, who may sign for flights, seals the agent's prompt byte for byte before the agent's batch arrives."""
    author, thief = Forge(), Forge(name="beta", service="flights")
    prompt = author.make(agent_id="spiffe://acme/agent")
    citing = author.make(causes=[Cause(prompt.event_id, prompt.digest, "started_by")])
    stand.put(thief, thief.seal(thief.open(), prompt))
    stand.put(author, author.seal(prompt, citing))
    both = under(stand, prompt.event_id)
    assert {(each.service, each.digest == prompt.digest) for each in both} == {("agent", True), ("flights", False)}
    answer = answer_of(stand, citing.event_id)
    assert {each.service for each in answer.path} == {"agent"}
    assert "duplicate_event_id" in {each.name for each in answer.findings}


def test_a_squatted_id_is_found_and_a_cause_with_a_digest_is_not_led_astray(stand: Stand) -> None:
    author, squatter = Forge(), Forge(name="beta", service="flights")
    prompt = author.make()
    citing = author.make(causes=[Cause(prompt.event_id, prompt.digest, "started_by")])
    stand.put(squatter, squatter.seal(squatter.make(event_id=prompt.event_id)))
    stand.put(author, author.seal(prompt, citing))
    answer = answer_of(stand, citing.event_id)
    assert {each.service for each in answer.triggers} == {"agent"}
    assert "duplicate_event_id" in {each.name for each in answer.findings}
    assert len(under(stand, prompt.event_id)) == 2


def head_of(forge: Forge) -> KnownHead:
    """What a recorder would have exported."""
    return KnownHead(
        forge.chain, forge.head.seal_number - 1, forge.head.previous_seal, forge.head.first_sequence, forge.now
    )


def a_log(*forges: Forge, seals: int = 4) -> Written:
    log = Written()
    for _ in range(seals):
        for partition, forge in enumerate(forges):
            log.put(forge, forge.seal(forge.make()), partition=partition)
    return log


def without(log: Written, keep: slice) -> Written:
    cut = Written()
    cut.records = log.records[keep]
    return cut


def test_a_tail_cut_off_is_overdue_as_soon_as_its_promise_is_over() -> None:
    forge, other = Forge(), Forge(name="beta")
    log = a_log(forge, other)
    log.records = [each for each in log.records if each.key != forge.chain_id or each.append_time < START + 10_000]
    assert names(verified(log, at=START + 59 * 1_000_000).faults) == []
    report = verified(log, at=START + 3600 * 1_000_000)
    assert forge.chain in {each.chain for each in report.faults if each.name == "overdue"}


def test_what_is_overdue_by_now_is_said_of_a_log_judged_as_of_its_last_record(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = verified(a_log(Forge(), Forge(name="beta")))
    assert report.holds
    print_report(report, now=START, utc=True)
    assert "overdue" not in capsys.readouterr().out
    print_report(report, now=START + 3600 * 1_000_000, utc=True)
    text = " ".join(capsys.readouterr().out.split())
    assert ", as of 20" in text
    assert "; 2 open chains are overdue by now (--at " in text


def test_a_tail_cut_off_is_told_by_the_chain_that_goes_on_from_it() -> None:
    forge = Forge()
    log = a_log(forge)
    head = {
        "chain_id": forge.chain_id,
        "key_id": forge.signer.key_id,
        "next_sequence": forge.head.first_sequence,
        "last_seal_number": forge.head.seal_number - 1,
        "last_seal_digest": forge.head.previous_seal,
    }
    successor = Forge(now=forge.now)
    successor.chain_id = bytes(15) + b"\1"
    del log.records[-1]
    log.put(successor, successor.seal(successor.open(continues=[head])))
    assert "truncated" in names(verified(log).faults)


def test_a_tail_cut_off_is_told_by_heads_kept_elsewhere() -> None:
    forge = Forge()
    log = a_log(forge)
    assert verified(log, heads=[head_of(forge)]).holds
    assert names(verified(without(log, slice(-1)), heads=[head_of(forge)]).faults) == ["truncated"]


def test_a_whole_chain_deleted_leaves_a_log_in_which_nothing_is_wrong_and_heads_tell() -> None:
    forge, gone = Forge(), Forge(name="beta")
    log = a_log(forge, gone)
    log.records = [each for each in log.records if each.key != gone.chain_id]
    assert verified(log).holds
    assert names(verified(log, heads=[head_of(forge), head_of(gone)]).faults) == ["missing_chain"]


def test_an_event_of_a_deleted_chain_is_missed_by_whoever_cited_it(stand: Stand) -> None:
    gone, forge = Forge(name="beta", service="flights"), Forge()
    event = gone.make()
    citing = forge.make(causes=[Cause(event.event_id, event.digest, "started_by")])
    stand.put(forge, forge.seal(citing))
    answer = answer_of(stand, citing.event_id)
    assert "dangling_cause" in {each.name for each in answer.findings}


def test_a_log_replaced_by_an_older_copy_or_by_another_log_is_told_by_heads_alone() -> None:
    forge, other = Forge(), Forge(name="beta")
    log = a_log(forge)
    for replaced, fault in ((without(log, slice(2)), "truncated"), (a_log(other), "missing_chain")):
        assert verified(replaced).holds
        assert names(verified(replaced, heads=[head_of(forge)]).faults) == [fault]


def test_a_chain_replaced_by_one_that_its_own_key_signed_is_told_by_heads_alone() -> None:
    """Who has log and key can write another past: only what was known outside tells the two apart."""
    forge, again = Forge(), Forge()
    a_log(forge)
    another = a_log(again, seals=2)
    again.make()
    another.put(again, again.seal(again.make()))
    another.put(again, again.seal(again.make()))
    assert verified(another).holds
    assert names(verified(another, heads=[head_of(forge)]).faults) == ["other_seal"]


def test_junk_in_the_log_is_kept_counted_and_stops_nothing(stand: Stand) -> None:
    forge = Forge()
    for number in range(50):
        stand.put(forge, b"junk %d" % number)
    stand.put(forge, forge.seal(forge.make()))
    assert (stand.count("rejected"), stand.count("events")) == (50, 2)


def test_a_batch_sent_again_by_anybody_is_counted_and_nothing_else(stand: Stand) -> None:
    forge = Forge()
    sealed = forge.seal(forge.make())
    stand.put(forge, sealed)
    before = stand.count("events"), stand.findings()
    for partition in range(4):
        stand.put(forge, sealed, partition=partition, at=forge.now + 10_000)
    assert (stand.count("events"), stand.findings()) == before
