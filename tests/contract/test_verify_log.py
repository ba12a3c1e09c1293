"""Verification from the log alone: what was changed is named, what is missing is named, what is honest is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ledger.errors import ConfigurationError
from ledger.format.batch import Seal, SealedBatch, join_batch, split_batch
from ledger.format.hashing import ZERO16
from ledger.format.heads import KnownHead
from ledger.logs.archive import ArchiveLog, write_archive
from ledger.ports import EVENTS, Bounds
from ledger.verification import NamedEvent, report
from tests.services.forge import EMPTY, START, Cause, Forge, Made, Trust, signer
from tests.verifying import Written, names, trust, verified

HOUR = 3_600_000_000
MINUTE = 60_000_000


def changed(value: bytes, part: bytes) -> bytes:
    at = value.index(part)
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def stripped(forge: Forge, value: bytes, index: int) -> bytes:
    """A batch whose event at ``index`` lost its payload, as an erasure takes it."""
    batch = split_batch(forge.schemas, value)
    events = list(batch.events)
    events[index] = events[index]._replace(payload=None, salt=ZERO16)
    return join_batch(forge.schemas, SealedBatch(batch.seal, batch.signatures, events))


def erasing(forge: Forge, *events: Made) -> Made:
    return forge.make("content_erasure", {**EMPTY["content_erasure"], "events": [each.digest for each in events]})


def test_an_honest_log_has_no_fault() -> None:
    forge, log = Forge(), Written()
    for _ in range(4):
        log.put(forge, forge.seal(forge.make(), forge.make()))
    found = verified(log)
    assert found.holds
    assert found.faults == []
    assert [(c.intervals, c.events, c.counted) for c in found.chains] == [(((0, 3),), 9, {})]
    assert (found.records, found.events) == (4, 9)


def test_a_changed_header_is_named_by_chain_seal_sequences_and_event_where_a_cause_knows_it() -> None:
    forge, other, log = Forge(), Forge(name="beta"), Written()
    made = forge.make(agent_id="spiffe://acme/agent")
    first, second, third = forge.seal(), forge.seal(forge.make(), made), forge.seal(forge.make())
    citing = other.seal(other.make(causes=[Cause(made.event_id, made.digest, "informed_by")]))
    for each in (first.value, changed(second.value, b"acme/agent"), third.value):
        log.put(forge, each)
    log.put(other, citing)
    found = verified(log)
    assert names(found.faults) == ["bad_root", "gap"]
    bad, gap = found.faults
    assert (bad.chain_id, bad.seal, bad.first, bad.last) == (forge.chain_id, 1, 1, 2)
    assert bad.events == (NamedEvent(made.event_id, made.digest),)
    assert (gap.seal, gap.until, gap.first, gap.last) == (1, 1, 1, 2)
    assert [c.intervals for c in found.chains if c.chain == forge.chain] == [((0, 0), (2, 2))]


def test_a_changed_header_is_named_where_the_store_knows_it() -> None:
    forge, log = Forge(), Written()
    made = forge.make(agent_id="spiffe://acme/agent")
    first, second = forge.seal(), forge.seal(forge.make(), made)
    log.put(forge, first)
    log.put(forge, changed(second.value, b"acme/agent"))

    def known(seal: Seal) -> Mapping[int, NamedEvent]:
        assert seal.seal_number == 1
        return {1: NamedEvent(made.event_id, made.digest)}

    (bad,) = verified(log, known=known).faults
    assert bad.events == (NamedEvent(made.event_id, made.digest),)


def test_a_changed_payload_names_its_event() -> None:
    forge, log = Forge(), Written()
    made = forge.make(payload={**EMPTY["prompt"], "channel": "telephone"})
    log.put(forge, changed(forge.seal(forge.make(), made).value, b"telephone"))
    (bad,) = verified(log).faults
    assert (bad.name, bad.events) == ("bad_payload", (NamedEvent(made.event_id, made.digest),))


def test_a_record_that_no_longer_decodes_is_placed_by_its_neighbours() -> None:
    forge, log = Forge(), Written()
    values = [forge.seal(forge.make()).value for _ in range(3)]
    for value in (values[0], values[1][:-1], values[2]):
        log.put(forge, value)
    bad, gap = verified(log).faults
    assert (bad.name, bad.seal, bad.first, bad.last, bad.inferred) == ("malformed", 1, 2, 2, True)
    assert gap.name == "gap"


def test_a_fork_shows_both_seals_and_a_copy_shows_nothing() -> None:
    forge, log, copied = Forge(), Written(), Written()
    first, second = forge.seal(forge.make()), forge.seal(forge.make())
    branch = forge.seal(forge.make(), forge.make(), head=first.head)
    for each in (first, second, branch):
        log.put(forge, each)
    for each in (first, second, first, second):
        copied.put(forge, each)
    found = verified(log)
    assert names(found.of("integrity")) == ["fork", "fork"]
    assert found.events == 2 + 1 + 2
    assert {head.seal_digest for head in found.heads} == {second.seal_digest, branch.seal_digest}
    twice = verified(copied)
    assert (twice.faults, twice.chains[0].seals, twice.events) == ([], 2, 3)


def test_a_fork_in_the_middle_and_what_goes_on_from_each_side() -> None:
    forge, log = Forge(), Written()
    seals = [forge.seal(forge.make()) for _ in range(4)]
    branch = forge.seal(forge.make(), forge.make(), head=seals[0].head)
    for each in (*seals, branch, seals[2], branch):
        log.put(forge, each)
    found = verified(log)
    assert [(f.name, f.seal) for f in found.faults] == [("fork", 1), ("fork", 1)]
    assert found.chains[0].intervals == ((0, 3),)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_whatever_the_order_of_its_seals_a_chain_has_the_same_faults(order: tuple[int, ...]) -> None:
    forge, log = Forge(), Written()
    seals = [forge.seal(forge.make()) for _ in range(3)]
    seals.append(forge.seal(forge.make(), head=seals[0].head._replace(previous_seal=bytes(31) + b"\1")))
    for index in order:
        log.put(forge, seals[index])
    found = verified(log)
    assert sorted(names(found.faults)) == ["broken_link", "fork", "fork"]


def test_what_comes_after_the_close_is_named() -> None:
    forge, log = Forge(), Written()
    log.put(forge, forge.seal(forge.make()))
    log.put(forge, forge.seal(forge.close()))
    log.put(forge, forge.seal(forge.make()))
    assert names(verified(log).faults) == ["sealed_after_close"]


def test_a_chain_whose_every_record_is_refused_is_still_named() -> None:
    forge, log = Forge(), Written()
    value = forge.seal(forge.make()).value
    log.put(forge, value[:-70] + bytes([value[-70] ^ 1]) + value[-69:])
    found = verified(log)
    assert found.chains == []
    assert [each.chain_id for each in found.faults] == [forge.chain_id]


def test_an_erasure_that_follows_explains_a_payload_that_is_gone() -> None:
    forge, other, log = Forge(), Forge(name="beta"), Written()
    made = forge.make()
    log.put(forge, stripped(forge, forge.seal(made, forge.make()).value, 1))
    log.put(forge, forge.seal(forge.make()))
    assert names(verified(log).faults) == ["bad_payload", "gap"]
    log.put(other, other.seal(erasing(other, made)), partition=1)
    found = verified(log)
    assert found.faults == []
    assert found.events == 3 + 1 + 2
    assert [each.number for each in found.unknown if each.name == "erased_payloads"] == [1]


def test_an_erasure_inside_a_batch_that_another_erasure_explains_counts_too() -> None:
    forge, other, log = Forge(), Forge(name="beta"), Written()
    first, second = forge.make(), other.make()
    log.put(forge, stripped(forge, forge.seal(first).value, 1))
    log.put(other, stripped(other, other.seal(erasing(other, first), second).value, 2))
    log.put(forge, forge.seal(erasing(forge, second)))
    assert verified(log).faults == []


def test_a_seal_that_came_before_its_key_was_valid_and_again_after_is_refused_as_in_the_store() -> None:
    forge = Forge()
    bundle = Trust().key(signer("alpha"), valid_from=START + HOUR).bundle
    sealed, more = forge.seal(forge.make()), forge.seal(forge.make())
    for early, late in ((0, 1), (1, 0)):  # whichever is read first
        log = Written()
        log.put(forge, sealed, at=START + 1, partition=early)
        log.put(forge, sealed, at=START + 2 * HOUR, partition=late)
        found = verified(log, bundle)
        assert names(found.faults) == ["expired_key", "expired_key"]
        assert (found.chains, found.events) == ([], 0)
        log.put(forge, more, at=START + 2 * HOUR, partition=late)
        assert sorted(names(verified(log, bundle).of("completeness"))) == ["gap"]


def test_a_copy_that_came_after_its_key_was_revoked_is_only_a_copy() -> None:
    forge, log = Forge(next_within=None), Written()
    bundle = trust().revoke(signer("alpha"), since=START + HOUR).bundle
    sealed = forge.seal(forge.make())
    log.put(forge, sealed, at=START + 2 * HOUR, partition=0)
    log.put(forge, sealed, at=START + 1, partition=1)
    log.put(forge, sealed, at=START + 3 * HOUR, partition=2)
    found = verified(log, bundle)
    assert (found.faults, found.events) == ([], 2)
    log.put(forge, forge.seal(forge.make()), at=START + 2 * HOUR)
    assert names(verified(log, bundle).faults) == ["revoked_key"]


def test_what_a_refused_copy_took_back_erases_nothing() -> None:
    """The erasure is under a seal that the earliest of its copies takes away: the payload is missing without a reason."""
    forge, late, log = Forge(), Forge(name="late"), Written()
    bundle = Trust().key(signer("alpha")).key(signer("late"), valid_from=START + HOUR).bundle
    made = forge.make()
    erasure = late.seal(erasing(late, made))
    log.put(late, erasure, at=START + 2 * HOUR)
    log.put(forge, stripped(forge, forge.seal(made).value, 1), at=START + 2 * HOUR)
    assert verified(log, bundle).of("integrity") == []
    log.put(late, erasure, at=START, partition=2)
    assert sorted(names(verified(log, bundle).of("integrity"))) == ["bad_payload", "expired_key", "expired_key"]


def test_the_time_of_a_seal_is_that_of_its_earliest_copy_whichever_is_read_first() -> None:
    forge, log = Forge(now=START + HOUR, next_within=None), Written()
    sealed = forge.seal(forge.make())
    log.put(forge, sealed, at=START + 3 * HOUR)
    assert names(verified(log).of("note")) == ["late"]
    log.put(forge, sealed, at=START + HOUR + 5_000, partition=1)
    assert verified(log).faults == []


def test_late_seals_and_skewed_clocks_are_notes_and_no_faults() -> None:
    forge, log = Forge(), Written()
    log.put(forge, forge.seal(forge.make()), at=START + 3 * HOUR)
    log.put(forge, forge.seal(forge.make(occurred_at=START + 90 * HOUR)), at=START + 3 * HOUR)
    found = verified(log)
    assert sorted(names(found.of("note"))) == ["clock_skew", "late", "late"]
    assert found.holds


def test_events_that_their_key_may_not_state_and_second_encodings_are_faults_of_integrity() -> None:
    forge, log = Forge(), Written()
    bundle = Trust().key(signer("alpha"), kinds=["chain_open"]).bundle
    made = forge.make()
    log.put(forge, forge.seal(made))
    (found,) = verified(log, bundle).of("integrity")
    assert (found.name, found.first, found.events) == (
        "unauthorized_kind",
        1,
        (NamedEvent(made.event_id, made.digest),),
    )


def test_a_promise_that_the_log_outlived_is_overdue_and_one_that_it_did_not_is_open() -> None:
    forge, other, log = Forge(), Forge(name="beta"), Written()
    log.put(forge, forge.seal(forge.make()), at=START)
    log.put(other, other.seal(other.make()), at=START + MINUTE)
    assert verified(log).holds
    assert {each.name: each.number for each in verified(log).unknown}["open_tail"] == 2
    log.put(other, other.seal(other.make()), at=START + MINUTE + 1)
    (late,) = verified(log).faults
    assert (late.group, late.name, late.chain, late.seal) == ("completeness", "overdue", forge.chain, 1)
    assert verified(log, at=START + MINUTE).holds
    assert names(verified(log, at=START + HOUR).faults) == ["overdue", "overdue"]


def test_a_chain_that_closed_or_that_a_successor_continues_owes_nothing() -> None:
    closed, continued, successor, log = Forge(), Forge(name="beta"), Forge(next_within=None), Written()
    successor.chain_id = bytes(16)
    log.put(closed, closed.seal(closed.make(), closed.close()), at=START)
    last = continued.seal(continued.make())
    log.put(continued, last, at=START)
    assert names(verified(log, at=START + HOUR).faults) == ["overdue"]
    log.put(successor, successor.seal(opening(successor, continued, 0, last.seal_digest)))
    assert verified(log, at=START + HOUR).faults == []


def opening(successor: Forge, of: Forge, number: int | None, digest: bytes | None, next_sequence: int = 2) -> Made:
    continued = {
        "chain_id": of.chain_id, "key_id": of.signer.key_id, "next_sequence": next_sequence,
        "last_seal_number": number, "last_seal_digest": digest,
    }  # fmt: skip
    return successor.open(continues=[continued])


def test_a_chain_that_promises_nothing_may_have_lost_its_end_and_that_is_said() -> None:
    forge, log = Forge(next_within=None), Written()
    log.put(forge, forge.seal(forge.make()))
    found = verified(log, at=START + 1000 * HOUR)
    assert found.holds
    assert {each.name: each.number for each in found.unknown}["unpromised_tail"] == 1


def test_a_successor_tells_of_a_tail_that_was_cut_off_a_chain_that_is_missing_and_a_seal_that_was_replaced() -> None:
    forge, successor = Forge(), Forge(name="beta")
    first, second = forge.seal(forge.make()), forge.seal(forge.make(), forge.make())
    third = forge.seal(forge.make())
    opened = successor.seal(opening(successor, forge, 1, second.seal_digest, 4))
    for seals, expected in (
        ((first, second), []),
        ((first, second, third), []),  # an earlier head than the log holds is no finding
        ((first,), ["truncated"]),
        ((), ["missing_chain"]),
        ((first, forge.seal(forge.make(), head=first.head)), ["other_seal"]),
        ((first, forge.seal(forge.make(), head=first.head), third), ["broken_link", "other_seal"]),
    ):
        log = Written()
        for each in seals:
            log.put(forge, each)
        log.put(successor, opened)
        found = verified(log)
        assert names(found.faults) == expected
        if expected == ["truncated"]:
            (cut,) = found.faults
            assert (cut.chain, cut.seal, cut.until, cut.first, cut.last) == (forge.chain, 1, 1, 2, 3)


def test_two_successors_of_one_chain_are_a_copied_spool() -> None:
    forge, log = Forge(), Written()
    last = forge.seal(forge.make())
    log.put(forge, last)
    for chain_id in (bytes(15) + b"\1", bytes(15) + b"\2"):
        successor = Forge(name="beta")
        successor.chain_id = chain_id
        log.put(successor, successor.seal(opening(successor, forge, 0, last.seal_digest)))
    assert names(verified(log).faults) == ["double_continuation"]


def test_nobody_ends_the_promise_of_another_services_chain() -> None:
    forge, stranger, log = Forge(), Forge(name="beta", service="other"), Written()
    last = forge.seal(forge.make())
    log.put(forge, last, at=START)
    log.put(stranger, stranger.seal(opening(stranger, forge, 0, last.seal_digest)), at=START + HOUR)
    found = verified(log)
    assert ("overdue", forge.chain) in [(each.name, each.chain) for each in found.faults]


def head_of(forge: Forge, number: int, digest: bytes, next_sequence: int) -> KnownHead:
    return KnownHead(forge.chain, number, digest, next_sequence, START)


def test_heads_tell_of_a_tail_that_was_cut_off_a_chain_that_is_missing_and_a_seal_that_was_replaced() -> None:
    forge, gone, log = Forge(), Forge(name="beta"), Written()
    seals = [forge.seal(forge.make()) for _ in range(3)]
    for each in seals[:2]:
        log.put(forge, each)
    held = [head_of(forge, n, seals[n].seal_digest, n + 2) for n in range(2)]
    assert verified(log, heads=held).holds
    cut = verified(log, heads=[*held, head_of(forge, 2, seals[2].seal_digest, 4)]).faults
    assert [(f.name, f.seal, f.until, f.first, f.last) for f in cut] == [("truncated", 2, 2, 3, 3)]
    missing = verified(log, heads=[head_of(gone, 5, bytes(32), 9)]).faults
    assert [(f.name, f.chain) for f in missing] == [("missing_chain", gone.chain)]
    for number in range(2):
        other = verified(log, heads=[head_of(forge, number, bytes(32), 2)]).faults
        assert [(f.group, f.name, f.seal) for f in other] == [("integrity", "other_seal", number)]


def test_heads_that_a_verification_gave_hold_for_the_log_as_it_grows_and_not_for_one_that_was_cut() -> None:
    forge, log = Forge(), Written()
    for _ in range(3):
        log.put(forge, forge.seal(forge.make()))
    heads = verified(log).heads
    log.put(forge, forge.seal(forge.make()))
    assert verified(log, heads=heads).holds
    del log.records[2:]
    assert names(verified(log, heads=heads).faults) == ["truncated"]
    log.records.clear()
    assert names(verified(log, heads=heads).faults) == ["missing_chain"]


class Retained(Written):
    """A log that lost its first record of partition 0."""

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        return {p: Bounds(1 if p == 0 and b.end else 0, b.end) for p, b in super().bounds(topic).items()}


def test_what_retention_took_is_missing_unless_an_archive_has_it(tmp_path: Path) -> None:
    forge, log = Forge(), Written()
    log.put(forge, forge.seal(forge.make()))
    log.put(forge, forge.seal(forge.make()))
    write_archive(log, tmp_path / "whole.avro", (EVENTS,))
    log.put(forge, forge.seal(forge.make()))
    kept = Retained()
    kept.records = log.records
    found = verified(kept)
    assert sorted(names(found.of("completeness"))) == ["gap", "lost_to_retention"]
    archive = ArchiveLog(tmp_path / "whole.avro")
    both = verified(kept, archives=[archive])
    assert (both.faults, both.records) == ([], 3)
    archive.close()


def test_an_archive_of_another_topic_is_not_read_before_the_log(tmp_path: Path) -> None:
    class Other(Written):
        def identity(self, topic: str) -> str:
            return f"{topic} made anew"

    write_archive(Written(), tmp_path / "other.avro", (EVENTS,))
    archive = ArchiveLog(tmp_path / "other.avro")
    with pytest.raises(ConfigurationError, match="not of the same topic"):
        verified(Other(), archives=[archive])
    archive.close()


def test_offsets_without_a_record_are_said() -> None:
    forge, log = Forge(), Written()
    for _ in range(2):
        log.put(forge, forge.seal(forge.make()))

    class Holed(Written):
        def bounds(self, topic: str) -> Mapping[int, Bounds]:
            return {0: Bounds(0, 5) if topic == EVENTS else Bounds(0, 0)}

    holed = Holed()
    holed.records = log.records
    assert {each.name: each.number for each in verified(holed).unknown}["holes"] == 3


def test_a_flood_of_junk_is_counted_in_full_and_listed_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    forge, log = Forge(), Written()
    log.put(forge, forge.seal(forge.make()))
    junk = [b"junk %d" % n for n in range(report.LISTED + 50)]
    log.records += [log.records[0]._replace(offset=n + 1, value=each, key=each) for n, each in enumerate(junk)]
    found = verified(log)
    assert found.counts["malformed"] == len(junk)
    assert len(found.faults) == report.LISTED
    assert not found.holds


def test_a_squatted_chain_id_under_another_key_is_another_chain() -> None:
    forge, squatter, log = Forge(), Forge(name="beta"), Written()
    squatter.chain_id = forge.chain_id
    log.put(squatter, squatter.seal(squatter.make()))
    log.put(forge, forge.seal(forge.make()))
    found = verified(log)
    assert found.holds
    assert len(found.chains) == 2
