"""Verification from the log alone: what was changed is named, what is honest is not."""

from __future__ import annotations

from ledger.ports import EVENTS, Outgoing
from ledger.schema_files import load_schemas
from ledger.trust.verdict import Judge
from ledger.verify import ChainResult, Refusal, verify_log
from tests.services.forge import LEDGER, START, Cause, Forge, Trust, signer
from tests.services.memory_log import MemoryLog


class At:
    """A clock that stands."""

    def now(self) -> int:
        return START + 60_000


def verified(*values: tuple[Forge, bytes]) -> tuple[list[Refusal], list[ChainResult]]:
    log = MemoryLog(At())
    log.append([Outgoing(EVENTS, 0, forge.chain_id, value) for forge, value in values], timeout=1)
    judge = Judge(load_schemas(), LEDGER, Trust().key(signer("alpha")).key(signer("beta")).bundle, payloads=False)
    found = list(verify_log(log, judge, load_schemas()))
    return [f for f in found if isinstance(f, Refusal)], [f for f in found if isinstance(f, ChainResult)]


def changed(value: bytes, part: bytes) -> bytes:
    at = value.index(part)
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def test_an_honest_log_has_no_fault() -> None:
    forge = Forge()
    refused, chains = verified(*[(forge, forge.seal(forge.make(), forge.make()).value) for _ in range(4)])
    assert refused == []
    assert [(c.intervals, c.events, c.findings) for c in chains] == [(((0, 3),), 9, ())]


def test_a_changed_header_is_named_by_chain_seal_sequences_and_event_where_a_cause_knows_it() -> None:
    forge, other = Forge(), Forge(name="beta")
    made = forge.make(agent_id="spiffe://acme/agent")
    first, second, third = forge.seal(), forge.seal(forge.make(), made), forge.seal(forge.make())
    citing = other.seal(other.make(causes=[Cause(made.event_id, made.digest, "informed_by")]))
    tampered = changed(second.value, b"acme/agent")
    refused, chains = verified((forge, first.value), (forge, tampered), (forge, third.value), (other, citing.value))
    (one,) = refused
    assert (one.reason, one.chain_id, one.seal_number) == ("bad_root", forge.chain_id, 1)
    assert (one.first_sequence, one.last_sequence, one.events) == (1, 2, (made.digest,))
    assert [c.intervals for c in chains if c.chain == forge.chain] == [((0, 0), (2, 2))]


def test_a_record_that_no_longer_decodes_is_placed_by_its_neighbours() -> None:
    forge = Forge()
    values = [forge.seal(forge.make()).value for _ in range(3)]
    refused, _ = verified((forge, values[0]), (forge, values[1][:-1]), (forge, values[2]))
    (one,) = refused
    assert (one.reason, one.seal_number, one.first_sequence, one.last_sequence, one.inferred) == (
        "malformed",
        1,
        2,
        2,
        True,
    )


def test_a_fork_shows_both_seals_and_a_copy_shows_nothing() -> None:
    forge = Forge()
    first, second = forge.seal(forge.make()), forge.seal(forge.make())
    branch = forge.seal(forge.make(), head=first.head)
    _, chains = verified((forge, first.value), (forge, second.value), (forge, branch.value))
    assert [finding.name for finding in chains[0].findings] == ["fork", "fork"]
    refused, chains = verified((forge, first.value), (forge, second.value), (forge, first.value))
    assert (refused, chains[0].findings, chains[0].seals) == ([], (), 2)


def test_a_chain_whose_every_record_is_refused_is_still_named() -> None:
    forge = Forge()
    value = forge.seal(forge.make()).value
    refused, chains = verified((forge, value[:-70] + bytes([value[-70] ^ 1]) + value[-69:]))
    assert chains == []
    assert [each.chain_id for each in refused] == [forge.chain_id]
