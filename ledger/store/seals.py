"""The seals that rows of events stand under, verified by whoever reads: signature and root, once a process for each seal.

The store is not believed: what a seal says is read from its signed bytes, and the digests under it are those of its root.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import psycopg

from ledger.errors import VerificationError
from ledger.format.batch import Seal, decode_seal
from ledger.format.codec import Schemas
from ledger.format.hashing import event_prefix, seal_digest, seal_message
from ledger.format.merkle import tree_head
from ledger.store.copies import read_signatures
from ledger.store.kept import Kept, weight
from ledger.trust.bundle import TrustBundle

KEPT: Final = 64 << 20
"""Bytes that the seals of one process take: a million events' and more, where a seal covers a hundred."""
CHANGED: Final = "row_changed"
_HASH: Final = 32
_SEALS: Final = b"select digest, seal, signatures, leaves from seals where id = any(%s)"


class VerifiedSeal(NamedTuple):
    """A seal whose signature and root hold. ``prefix`` is what its events' digests begin with, ``leaves`` those digests."""

    seal: Seal
    prefix: bytes
    leaves: bytes

    def covers(self, digest: bytes, at: int) -> bool:
        """Whether the event of this digest stands at index ``at`` of the batch."""
        return at >= 0 and self.leaves[at * _HASH : (at + 1) * _HASH] == digest


class Seals:
    """Verifies seals and keeps those that hold, by their digests: a signature that once verified does so for ever."""

    def __init__(self, schemas: Schemas, ledger: str) -> None:
        self._schemas, self._ledger = schemas, ledger
        self._kept = Kept[bytes, VerifiedSeal](KEPT)

    def of(
        self, connection: psycopg.Connection[Any], wanted: Collection[tuple[bytes, int]], bundle: TrustBundle
    ) -> Mapping[bytes, VerifiedSeal | str]:
        """Of each digest, with its row's id, the verified seal, or the name of what is wrong; none where nothing is there.

        Of rows that bear one digest, which a superuser can arrange, the one whose seal has it counts.
        """
        kept = ((digest, self._kept.find(digest)) for digest, _ in wanted)
        found: dict[bytes, VerifiedSeal | str] = {digest: sealed for digest, sealed in kept if sealed is not None}
        missing = [id_ for digest, id_ in wanted if digest not in found]
        for digest, seal, signatures, leaves in connection.execute(_SEALS, [missing], binary=True) if missing else ():
            verified = self._verify(digest, seal, signatures, leaves, bundle)
            if isinstance(verified, VerifiedSeal):
                found[digest] = verified
                self._kept.keep(digest, verified, weight(digest) + weight(verified))
            else:
                found.setdefault(digest, verified)
        return found

    def _verify(
        self, digest: bytes, data: bytes, signatures: bytes, leaves: bytes, bundle: TrustBundle
    ) -> VerifiedSeal | str:
        try:
            seal = decode_seal(self._schemas, data)
            first = read_signatures(signatures)[0]
        except (VerificationError, ValueError, IndexError):
            return CHANGED
        key = bundle.keys.get(seal.key_id)
        if key is None:
            return "unknown_key"
        digests = [leaves[at : at + _HASH] for at in range(0, len(leaves), _HASH)]
        holds = (
            seal_digest(data) == digest
            and seal.ledger == self._ledger
            and first.key_id == seal.key_id
            and key.public.verifies(seal_message(data), first.signature)
            and len(digests) == seal.event_count
            and tree_head(digests) == seal.events_root
        )
        return VerifiedSeal(seal, event_prefix(seal.ledger, seal.tenant, seal.service), leaves) if holds else CHANGED
