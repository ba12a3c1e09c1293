"""Erasure reaches what was refused whole: payloads go, and what is judged again comes to what it would have come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from ledger.format.batch import SealedBatch, join_batch, split_batch
from ledger.ports import EVENTS, Record
from ledger.trust.bundle import TrustBundle
from tests.services import Databases
from tests.services.forge import EMPTY, Forge, Made, Trust, signer
from tests.services.stand import Stand, migrated

SECRET = b"what Alice asked for"


@pytest.fixture
def fresh(postgres: Databases) -> Iterator[Callable[[], str]]:
    """Makes migrated databases."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres.fresh(migrated))
        return made[-1]

    yield make
    for url in made:
        postgres.drop(url)


def secret(forge: Forge) -> Made:
    """A prompt that says in clear what ought to be in a content."""
    return forge.make("prompt", {**EMPTY["prompt"], "origin": SECRET.decode()})


def erasure(forge: Forge, *digests: bytes) -> Made:
    return forge.make("content_erasure", {**EMPTY["content_erasure"], "events": list(digests)})


def record(forge: Forge, value: bytes, at: int) -> Record:
    """A record in a partition of its publisher's own, where it comes to the same offset whatever came before it."""
    partition = ("alpha", "beta", "weak").index(forge.name)
    return Record(EVENTS, partition if forge.tenant == "acme" else 3, 0, at, forge.chain_id, value)


def taken(url: str, bundle: TrustBundle, *flushes: Sequence[Record], then: TrustBundle | None = None) -> Stand:
    """The store that took these, in flushes, and a longer bundle after them."""
    stand = Stand(url, bundle)
    for flush in flushes:
        stand.take(*flush)
    if then is not None:
        stand.projection.adopt(then)
    stand.close()
    return stand


def everything(stand: Stand) -> bytes:
    """All bytes in which a payload could be."""
    raws = stand.rows("select raw from rejected union all select payload from events")
    return b"".join(row[0] or b"" for row in raws)


def test_the_payload_of_an_erased_event_goes_from_a_record_that_was_refused(fresh: Callable[[], str]) -> None:
    alpha, beta, trust = Forge(), Forge(name="beta"), Trust().key(signer("alpha"))
    made, kept = secret(beta), beta.make()
    refused = record(beta, beta.seal(made, kept).value, beta.now + 1)
    erased = record(alpha, alpha.seal(erasure(alpha, made.digest)).value, beta.now + 2)
    first, bundle = trust.bundle, trust.key(signer("beta")).bundle
    orders = ([[refused], [erased]], [[erased], [refused]], [[refused, erased]], [[erased, refused, refused]])
    stands = [taken(fresh(), first, *order) for order in orders]
    for stand in stands:
        assert SECRET not in everything(stand)
        assert kept.event.payload in everything(stand)
        assert stand.rejected() == ["unknown_key"]
    assert len({stand.digest for stand in stands[:3]}) == 1
    assert stands[3].rows("select copies from rejected") == [(2,)]
    at_once = taken(fresh(), bundle, *orders[0])
    for order in orders[:3]:
        later = taken(fresh(), first, *order, then=bundle)
        assert later.rejected() == later.findings() == []
        assert later.rows("select payload is null from events where digest = %s", made.digest) == [(True,)]
        assert later.rows("select payload is null from events where digest = %s", kept.digest) == [(False,)]
        assert later.digest == at_once.digest
        assert SECRET not in everything(later)


def test_a_record_with_another_payload_than_was_sealed_stays_refused(fresh: Callable[[], str]) -> None:
    alpha, beta, trust = Forge(), Forge(name="beta"), Trust().key(signer("alpha"))
    made, other = beta.make(), secret(beta)
    batch = split_batch(beta.schemas, beta.seal(made).value)
    events = [*batch.events[:-1], batch.events[-1]._replace(payload=other.event.payload)]
    forged = join_batch(beta.schemas, SealedBatch(batch.seal, batch.signatures, events))
    first, bundle = trust.bundle, trust.key(signer("beta")).bundle
    refused = record(beta, forged, beta.now)
    erased = record(alpha, alpha.seal(erasure(alpha, made.digest)).value, beta.now)
    digests = set()
    for order in ([[refused], [erased]], [[erased], [refused]]):
        stand = taken(fresh(), first, *order, then=bundle)
        assert stand.rejected() == ["bad_payload"]
        assert SECRET not in everything(stand)
        assert stand.rows("select count(*) from events where digest = %s", made.digest) == [(0,)]
        digests.add(stand.digest)
    digests.add(taken(fresh(), bundle, [erased], [refused]).digest)
    assert len(digests) == 1


def test_an_erasure_that_is_erased_itself_keeps_its_effect(fresh: Callable[[], str]) -> None:
    alpha, beta, trust = Forge(), Forge(name="beta"), Trust().key(signer("alpha"))
    made = secret(alpha)
    inner = erasure(beta, made.digest)
    refused = record(beta, beta.seal(inner).value, beta.now)
    outer = record(alpha, alpha.seal(made, erasure(alpha, inner.digest)).value, beta.now)
    first, bundle = trust.bundle, trust.key(signer("beta")).bundle
    stand = Stand(fresh(), first)
    stand.take(refused)
    stand.take(outer)
    stand.projection.adopt(bundle)
    stand.contents.sweep()
    stand.close()
    assert stand.rejected() == []
    assert SECRET not in everything(stand)


def test_neither_another_tenants_erasure_nor_one_without_authority_takes_anything(fresh: Callable[[], str]) -> None:
    beta, other, weak = Forge(name="beta"), Forge(tenant="other"), Forge(name="weak")
    trust = Trust().key(signer("alpha")).key(signer("weak"), kinds=["*"])
    made = secret(beta)
    refused = record(beta, beta.seal(made).value, beta.now)
    erased = [record(each, each.seal(erasure(each, made.digest)).value, beta.now) for each in (other, weak)]
    for order in ([[refused], erased], [erased, [refused]]):
        stand = taken(fresh(), trust.bundle, *order)
        assert SECRET in everything(stand)
        assert stand.rejected() == ["unknown_key"]
