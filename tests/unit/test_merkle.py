"""RFC 6962 trees: every tree up to 64 leaves proves and verifies, and nothing changed does; the published vectors too."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.format.merkle import (
    EMPTY,
    ProofError,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    tree_head,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(b"%d" % n) for n in range(64)]
HEADS = [tree_head(LEAVES[:size]) for size in range(65)]
VECTORS = Path(__file__).parents[1] / "vectors" / "merkle"


def reference_head(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + reference_head(leaves[:split]) + reference_head(leaves[split:])).digest()


def test_every_head_up_to_64_leaves_is_that_of_the_definition() -> None:
    assert [reference_head(LEAVES[:size]) for size in range(65)] == HEADS
    assert HEADS[0] == EMPTY


def test_every_leaf_of_every_tree_is_proved_and_at_no_other_place_or_size() -> None:
    for size in range(1, 65):
        for index in range(size):
            proof = prove_inclusion(LEAVES[:size], index)
            verify_inclusion(LEAVES[index], index, size, proof, HEADS[size])
            for wrong in {index ^ 1, (index + 1) % size} - {index}:
                refuse_inclusion(LEAVES[index], wrong, size, proof, HEADS[size])
            refuse_inclusion(LEAVES[index], index, size, [*proof, LEAVES[0]], HEADS[size])
            refuse_inclusion(LEAVES[index], index, size, proof, HEADS[size - 1])
            if proof:
                refuse_inclusion(LEAVES[index], index, size, proof[:-1], HEADS[size])
                refuse_inclusion(LEAVES[index], index, size, [EMPTY, *proof[1:]], HEADS[size])


def test_every_pair_of_sizes_is_proved_consistent_and_no_changed_proof_is() -> None:
    for new in range(65):
        for old in range(new + 1):
            proof = prove_consistency(LEAVES[:new], old)
            verify_consistency(old, new, HEADS[old], HEADS[new], proof)
            refuse_consistency(old, new, HEADS[old], HEADS[new], [*proof, LEAVES[0]])
            if 0 < old < new:
                refuse_consistency(old, new, HEADS[old - 1], HEADS[new], proof)
                refuse_consistency(old, new, HEADS[old], HEADS[new - 1], proof)
                refuse_consistency(old, new, HEADS[old], HEADS[new], proof[:-1])
                refuse_consistency(old, new, HEADS[old], HEADS[new], [EMPTY, *proof[1:]])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 4), (4, 4)])
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    refuse_inclusion(LEAVES[0], index, size, [], HEADS[size])
    with pytest.raises(ProofError):
        prove_inclusion(LEAVES[:size], index)


def test_sizes_that_shrink_are_refused() -> None:
    refuse_consistency(3, 2, HEADS[3], HEADS[2], [])
    refuse_consistency(-1, 2, EMPTY, HEADS[2], [])
    refuse_consistency(0, 2, HEADS[1], HEADS[2], [])
    refuse_consistency(2, 2, HEADS[1], HEADS[2], [])
    with pytest.raises(ProofError):
        prove_consistency(LEAVES[:2], 3)


def refuse_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], head: bytes) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(leaf, index, size, proof, head)


def refuse_consistency(old: int, new: int, old_head: bytes, new_head: bytes, proof: Sequence[bytes]) -> None:
    with pytest.raises(ProofError):
        verify_consistency(old, new, old_head, new_head, proof)


def published(kind: str) -> list[dict[str, Any]]:
    """The vectors of github.com/transparency-dev/merkle, a file of theirs a row."""
    rows: list[dict[str, Any]] = json.loads((VECTORS / f"{kind}.json").read_bytes())
    assert {each["wantErr"] for each in rows} == {True, False}
    return rows


NOT_HASHES = {
    "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json",
}
"""Published as good, with heads that are not hashes ("don't care"): here every hash has 32 bytes."""


def fails(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except ProofError:
        return True
    return False


def test_published_inclusion_proofs_are_judged_as_they_say() -> None:
    for each in published("inclusion"):
        proof = [b64decode(hash_) for hash_ in each["proof"] or []]
        arguments = (b64decode(each["leafHash"]), each["leafIdx"], each["treeSize"], proof, b64decode(each["root"]))
        assert fails(verify_inclusion, *arguments) == each["wantErr"], each["file"]


def test_published_consistency_proofs_are_judged_as_they_say() -> None:
    for each in published("consistency"):
        proof = [b64decode(hash_) for hash_ in each["proof"] or []]
        arguments = (each["size1"], each["size2"], b64decode(each["root1"]), b64decode(each["root2"]), proof)
        expected = each["wantErr"] or each["file"] in NOT_HASHES
        assert fails(verify_consistency, *arguments) == expected, each["file"]
