"""Makes any one thing wrong in a store: for every name of ``ledger.trust.reasons``, records that show it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from ledger.format.content import Content, encode_content, record_key
from ledger.format.event import Cause
from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.store.projection import PostgresProjection
from ledger.trust.bundle import TrustBundle, read_bundle
from ledger.trust.keys import read_jwk
from tests.services.forge import LEDGER, Forge, Made, Trust, signer
from tests.services.stand import Stand

TENANT: Final = "acme"
VECTORS: Final = Path(__file__).parent / "vectors"
SHOWN_BY: Final = {
    "malformed": "malformed-cut-short",
    "oversize": "oversize-one-byte",
    "wrong_ledger": "wrong_ledger-other",
    "wrong_key": "wrong_key-other",
    "schema_unknown": "schema_unknown-frame",
    "unknown_key": "unknown_key-never-named",
    "wrong_scope": "wrong_scope-crossed",
    "revoked_key": "revoked_key-at",
    "expired_key": "expired_key-at-until",
    "bad_signature": "bad_signature-bit",
    "bad_root": "bad_root-other",
    "bad_payload": "bad_payload-stripped",
    "unprojectable": "event-unprojectable-other-kind",
    "gap": "chain-gap",
    "fork": "chain-fork",
    "broken_link": "chain-broken-digest",
    "sealed_after_close": "chain-sealed-after-close",
    "late": "seal-late",
    "clock_skew": "seal-clock_skew",
    "unauthorized_kind": "event-unauthorized_kind-named",
    "unknown_relation": "event-unknown_relation-strange",
    "non_canonical": "event-non_canonical-header-overlong",
}
"""Names that a vector of the format shows."""


class Vector(NamedTuple):
    """A file of ``tests/vectors``: its ledger and bundle, and its records."""

    ledger: str
    bundle: TrustBundle
    records: Sequence[Record]


def read_vector(name: str) -> Vector:
    """A vector whose bundle is accepted."""
    told: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    bundle = read_bundle(base64.b64decode(told["bundle"]), read_jwk(told["root"]), told["ledger"])
    records = [
        Record(
            EVENTS,
            0,
            offset,
            each["append_time"],
            None if each["key"] is None else bytes.fromhex(each["key"]),
            None if each["value"] is None else bytes.fromhex(each["value"]) + bytes(each.get("zeros", 0)),
        )
        for offset, each in enumerate(told["records"])
    ]
    return Vector(told["ledger"], bundle, records)


def make_wrong(url: str, name: str) -> tuple[str, TrustBundle]:
    """Commits, to a migrated store, records that show ``name``; returns the ledger's name and bundle."""
    if name in SHOWN_BY:
        vector = read_vector(SHOWN_BY[name])
        with closing(PostgresProjection(url, load_schemas(), vector.ledger, vector.bundle)) as projection:
            projection.claim(EVENTS, "vector", [0])
            projection.commit(projection.prepare(vector.records))
        return vector.ledger, vector.bundle
    bundle = Trust().key(signer("alpha")).bundle
    with closing(Stand(url, bundle)) as stand:
        MADE[name](stand)
    return LEDGER, bundle


def cite(event: Made, relation: str = "started_by", digest: bytes | None = None) -> Cause:
    return Cause(event.event_id, digest, relation)


def _overdue(stand: Stand) -> None:
    """A promise of 60 s, made in January 2026 and never kept."""
    forge = Forge()
    stand.put(forge, forge.seal(forge.make()))


def _dangling(stand: Stand) -> None:
    forge = Forge()
    stand.put(forge, forge.seal(forge.make(causes=[cite(forge.make())])))


def _mismatch(stand: Stand) -> None:
    forge = Forge()
    cited = forge.make()
    stand.put(forge, forge.seal(cited, forge.make(causes=[cite(cited, digest=bytes(32))])))


def _cycle(stand: Stand) -> None:
    forge = Forge()
    names = [forge.make() for _ in range(3)]
    made = [forge.make(event_id=names[at].event_id, causes=[cite(names[(at + 1) % 3])]) for at in range(3)]
    stand.put(forge, forge.seal(*made[:2]))
    stand.put(forge, forge.seal(made[2]))


def _duplicate(stand: Stand) -> None:
    forge = Forge()
    first = forge.make()
    stand.put(forge, forge.seal(first, forge.make(event_id=first.event_id)))


def _changed(stand: Stand) -> None:
    """Somebody wrote to the store."""
    forge = Forge()
    stand.put(forge, forge.seal(forge.make()))
    with psycopg.connect(stand.url) as connection:
        connection.execute("update events set payload = payload || '\\x00'::bytea where at = 1")


def _doubled(stand: Stand) -> None:
    first = Forge()
    sealed = first.seal(first.make())
    stand.put(first, sealed)
    head = {
        "chain_id": first.chain_id,
        "key_id": first.signer.key_id,
        "next_sequence": 2,
        "last_seal": bytes(32),
    }
    for number in (1, 2):
        after = Forge()
        after.chain_id = bytes([number]) * 16
        stand.put(after, after.seal(after.open(continues=[head])))


def _lost(stand: Stand) -> None:
    stand.projection.lost(EVENTS, 1, 5, 9, "retention ate records 5 to 9")


def _unauthorized_erasure(stand: Stand) -> None:
    value, digest = encode_content(load_schemas(), Content(TENANT, bytes(16), "text/plain", [], b"hello"))
    stand.content(record_key(TENANT, digest), value)
    stand.content(record_key(TENANT, digest), None)


MADE: Final[dict[str, Callable[[Stand], None]]] = {
    "overdue": _overdue,
    "dangling_cause": _dangling,
    "cause_mismatch": _mismatch,
    "cause_cycle": _cycle,
    "duplicate_event_id": _duplicate,
    "double_continuation": _doubled,
    "row_changed": _changed,
    "lost_to_retention": _lost,
    "unauthorized_erasure": _unauthorized_erasure,
}
"""Names that records sealed here show."""
