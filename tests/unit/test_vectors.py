"""The published vectors: our own verifier gives what each states, and they come out the same when made again."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ledger.trust.bundle import TrustBundle, TrustError, read_bundle
from ledger.trust.chain import ChainState, Mark, Near, advance, mark_of, needs, replay
from ledger.trust.keys import read_jwk
from ledger.trust.reasons import REASONS
from ledger.trust.verdict import Judge, Rejected, VerifiedBatch
from tests.judged import described
from tests.make_vectors import chain_stated, files
from tests.sealing import SCHEMAS

FOLDER = Path(__file__).parents[1] / "vectors"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return files()


def test_the_vectors_are_those_that_the_generator_makes(made: dict[str, bytes]) -> None:
    assert {path.name: path.read_bytes() for path in FOLDER.glob("*.json")} == made


def test_the_vectors_are_small_enough_to_read() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_every_reason_and_finding_that_follows_from_bytes_has_a_vector() -> None:
    seen: set[str] = set()
    for name in NAMES:
        vector = load(name)
        for record in vector["expect"]:
            seen |= {record["verdict"], *record.get("findings", [])}
            seen |= {each["verdict"] for each in record.get("events", [])}
            seen |= {finding for each in record.get("events", []) for finding in each["findings"]}
        seen |= {finding["name"] for chain in vector["chains"] for finding in chain["findings"]}
    elsewhere = {"unauthorized_erasure"}  # about contents, not about the log of events
    assert seen - {"admitted"} == {each.name for each in REASONS.values() if each.scope != "read"} - elsewhere


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_judged_as_it_states(name: str) -> None:
    vector = load(name)
    data = base64.b64decode(vector["bundle"], validate=True)
    if vector["bundle_verdict"] == "refused":
        with pytest.raises(TrustError):
            read_bundle(data, read_jwk(vector["root"]), vector["ledger"])
        return
    judged = judge_all(vector, read_bundle(data, read_jwk(vector["root"]), vector["ledger"]))
    assert [described(each) for each in judged] == vector["expect"]
    assert chains_of([each for each in judged if isinstance(each, VerifiedBatch)]) == vector["chains"]


def load(name: str) -> dict[str, Any]:
    vector: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_bytes())
    return vector


def judge_all(vector: dict[str, Any], bundle: TrustBundle) -> list[VerifiedBatch | Rejected]:
    judge = Judge(SCHEMAS, vector["ledger"], bundle, canonical=True)
    erased = {(each["tenant"], bytes.fromhex(each["event"])) for each in vector["erased"]}
    found: list[VerifiedBatch | Rejected] = []
    for record in vector["records"]:
        key, value = (None if record[each] is None else bytes.fromhex(record[each]) for each in ("key", "value"))
        if value is not None:
            value += bytes(record.get("zeros", 0))
        record_of = (
            key,
            value,
            record["append_time"],
            lambda tenant, digests: {d for d in digests if (tenant, d) in erased},
        )
        found.append(judge.judge(*record_of))
        assert described(judge.checking().judge(*record_of)) == described(found[-1])
    return found


def chains_of(batches: list[VerifiedBatch]) -> list[dict[str, Any]]:
    marks: dict[tuple[str, str, str, bytes], list[Mark]] = {}
    for batch in batches:
        chain = batch.chain
        identity = (chain.tenant, chain.service, chain.key_id, chain.chain_id)
        marks.setdefault(identity, []).append(mark_of(batch))
    return [_chain(identity, marks[identity]) for identity in sorted(marks)]


def _chain(identity: tuple[str, str, str, bytes], marks: list[Mark]) -> dict[str, Any]:
    state, findings, seen = ChainState(), frozenset[Any](), dict[int, frozenset[Mark]]()
    for mark in marks:
        near: Near = {number: seen.get(number, frozenset()) for number in needs(state, mark.number)}
        step = advance(state, mark, near)
        state, findings = step.state, (findings | step.opened) - step.closed
        seen[mark.number] = seen.get(mark.number, frozenset()) | {mark}
    assert (state, findings) == replay(marks)
    return chain_stated(identity, (state, findings))
