"""Bytes of refused records that no erasure reaches are taken away after a time; what is known of the records stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256

import psycopg
import pytest

from ledger.format.content import Content, encode_content
from ledger.format.limits import BATCH_BYTES
from ledger.ports import EVENTS, Record
from ledger.store.purging import UNREADABLE, purge
from tests.services import Databases
from tests.services.forge import EMPTY, Forge, Trust, signer
from tests.services.stand import Stand, migrated

SECRET = b"what Alice asked for"
KEPT = "select reason, detail, append_time, partition, log_offset, copies, raw_digest, raw_length from rejected order by id"
TRUST = Trust().key(signer("alpha"), tenants=["acme"])


@pytest.fixture
def stand(postgres: Databases) -> Iterator[Stand]:
    """A store that refused what does not decode, what is too large, a batch of an unknown key, and a content."""
    url = postgres.fresh(migrated)
    with closing(Stand(url, TRUST.bundle)) as made:
        forge, unknown = Forge(), Forge("unknown")
        made.take(Record(EVENTS, 0, 0, forge.now, bytes(16), SECRET))
        made.take(Record(EVENTS, 0, 0, forge.now, bytes(16), SECRET * (BATCH_BYTES // len(SECRET) + 1)))
        asked = unknown.make("prompt", {**EMPTY["prompt"], "origin": SECRET.decode()})
        made.put(unknown, unknown.seal(asked), at=forge.now)
        value, _ = encode_content(made.schemas, Content("acme", bytes(16), "text/plain", [], SECRET))
        made.content(b"acme\0" + bytes(32), value, at=forge.now)
        assert made.rejected()[-1] not in UNREADABLE
        yield made
    postgres.drop(url)


def purged(stand: Stand, before: int, page: int = 500) -> int:
    with psycopg.connect(stand.url, autocommit=True) as connection:
        return purge(connection, before, page=page)


def holding(stand: Stand) -> list[str]:
    """Reasons of the records whose bytes are kept and hold the secret."""
    rows = stand.rows("select reason, topic, raw from rejected order by id")
    return [reason if topic == EVENTS else topic for reason, topic, raw in rows if raw is not None and SECRET in raw]


@pytest.mark.parametrize("page", [1, 500])
def test_what_nobody_can_read_loses_its_bytes_and_what_is_judged_again_keeps_them(stand: Stand, page: int) -> None:
    digest, kept = stand.digest, stand.rows(KEPT)
    assert holding(stand) == ["malformed", "oversize", "unknown_key", "ledger.contents"]
    assert purged(stand, Forge().now + 1, page) == 3
    assert holding(stand) == ["unknown_key"]
    assert (stand.digest, stand.rows(KEPT)) == (digest, kept)
    assert purged(stand, Forge().now + 1) == 0


def test_what_came_later_is_kept(stand: Stand) -> None:
    assert purged(stand, Forge().now) == 0
    assert "malformed" in holding(stand)


def test_the_same_bytes_again_are_counted_and_not_kept_again(stand: Stand) -> None:
    purged(stand, Forge().now + 1)
    stand.take(Record(EVENTS, 0, 0, Forge().now + 5, bytes(16), SECRET))
    query = "select raw, copies from rejected where raw_digest = %s and topic = %s"
    assert stand.rows(query, sha256(SECRET).digest(), EVENTS) == [(None, 2)]


def test_what_is_judged_again_comes_to_the_same_after_a_purge(stand: Stand, postgres: Databases) -> None:
    """A longer bundle admits the batch of the key that was unknown, in both stores."""
    longer = Trust().key(signer("alpha"), tenants=["acme"]).key(signer("unknown"), tenants=["acme"]).bundle
    purged(stand, Forge().now + 1)
    stand.projection.adopt(longer)
    url = postgres.fresh(migrated)
    with closing(Stand(url, longer)) as other:
        other.take(*stand.taken)
        assert other.digest == stand.digest
    postgres.drop(url)
