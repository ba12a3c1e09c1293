"""RFC 6962 §2.1 Merkle trees over leaf hashes: head, inclusion proof, consistency proof, and their checks.

Leaves come in already hashed (``SHA-256(0x00 ‖ entry)``); nodes are ``SHA-256(0x01 ‖ left ‖ right)``; the empty tree is
``SHA-256("")``. Index and sizes alone fix a proof's length and sides, so a proof carries hashes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()


class ProofError(ValueError):
    """A proof that does not lead to the tree head it was given for."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def tree_head(leaves: Sequence[bytes]) -> bytes:
    """The head over ``leaves``, level by level; an odd last node moves up as it is (it is never doubled)."""
    level = list(leaves)
    if not level:
        return EMPTY
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        pairs = zip(level[0::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0]


def prove_inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of ``leaves[index]``, from the leaf upwards."""
    if not 0 <= index < len(leaves):
        raise ProofError(f"index {index} is not in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*prove_inclusion(leaves[:split], index), tree_head(leaves[split:])]
    return [*prove_inclusion(leaves[split:], index - split), tree_head(leaves[:split])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], head: bytes) -> None:
    """Raises ``ProofError`` unless ``leaf`` stands at ``index`` in the tree of ``size`` under ``head`` (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        raise ProofError(f"index {index} is not in a tree of {size}")
    _check_hashes(leaf, head, *proof)
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the proof is longer than the path")
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise ProofError("the proof is shorter than the path")
    if computed != head:
        raise ProofError("the path does not lead to the tree head")


def prove_consistency(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The proof that the tree over the first ``old_size`` leaves is a prefix of the whole; empty where sizes are equal or 0."""
    if not 0 <= old_size <= len(leaves):
        raise ProofError(f"size {old_size} is not in a tree of {len(leaves)}")
    if old_size in (0, len(leaves)):
        return []
    return _subproof(leaves, old_size, complete=True)


def verify_consistency(old_size: int, new_size: int, old_head: bytes, new_head: bytes, proof: Sequence[bytes]) -> None:
    """Raises ``ProofError`` unless the tree of ``old_size`` is a prefix of that of ``new_size`` (RFC 9162 §2.1.4.2).

    From size 0 everything is consistent with an empty proof, and the head of size 0 is that of the empty tree.
    """
    if not 0 <= old_size <= new_size:
        raise ProofError(f"sizes {old_size} and {new_size} do not grow")
    _check_hashes(old_head, new_head, *proof)
    if old_size in (0, new_size):
        _verify_trivial(old_size, new_size, old_head, new_head, proof)
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_head)
    if not path:
        raise ProofError("the proof is shorter than the path")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old_computed = new_computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("the proof is longer than the path")
        if node & 1 or node == last:
            old_computed = node_hash(sibling, old_computed)
            new_computed = node_hash(sibling, new_computed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new_computed = node_hash(new_computed, sibling)
        node >>= 1
        last >>= 1
    if last or old_computed != old_head or new_computed != new_head:
        raise ProofError("the path does not lead to both tree heads")


def _check_hashes(*hashes: bytes) -> None:
    """A shorter or longer string could stand for two hashes, or for none."""
    if any(len(each) != len(EMPTY) for each in hashes):
        raise ProofError("a hash in the proof has not 32 bytes")


def _verify_trivial(old_size: int, new_size: int, old_head: bytes, new_head: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofError("a proof between these sizes is empty")
    if old_size == 0 and old_head != EMPTY:
        raise ProofError("the head of size 0 is not that of the empty tree")
    if old_size == new_size and old_head != new_head:
        raise ProofError("two heads of one size differ")


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def _subproof(leaves: Sequence[bytes], old_size: int, *, complete: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if complete else [tree_head(leaves)]
    split = _split(len(leaves))
    if old_size <= split:
        return [*_subproof(leaves[:split], old_size, complete=complete), tree_head(leaves[split:])]
    return [*_subproof(leaves[split:], old_size - split, complete=False), tree_head(leaves[:split])]
