"""Verification of the log and the store come to one judgement, whatever order the records come in."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from ledger.ports import Record
from ledger.trust.bundle import TrustBundle
from tests.services import Databases
from tests.services.forge import EMPTY, START, Forge, Trust, signer
from tests.services.stand import Stand, migrated
from tests.verifying import Written, verified

MINUTE = 60_000_000


@pytest.fixture
def stand_of(postgres: Databases) -> Iterator[Callable[[TrustBundle], Stand]]:
    made: list[Stand] = []

    def make(bundle: TrustBundle) -> Stand:
        made.append(Stand(postgres.fresh(migrated), bundle))
        return made[-1]

    yield make
    for stand in made:
        stand.close()
        postgres.drop(stand.url)


def records(rng: random.Random) -> list[Record]:
    """Chains whose key is good from the 10th minute to the 50th; copies, forks, gaps, erasures and junk at any minute."""
    made: list[Record] = []
    for name in ("alpha", "beta"):
        forge = Forge(name=name, next_within=None)
        seals = [forge.seal(forge.make(), forge.make()) for _ in range(5)]
        seals.append(forge.seal(forge.make(), head=seals[rng.randrange(4)].head))
        target = forge.make()
        erasure = forge.make("content_erasure", {**EMPTY["content_erasure"], "events": [target.digest]})
        seals += [forge.seal(erasure), forge.seal(target)]
        seals.pop(rng.randrange(len(seals)))
        values = [each.value for each in seals for _ in range(rng.choice((1, 1, 2, 3)))]
        values.append(values[0][:-1] + bytes([values[0][-1] ^ 1]))
        for value in values:
            at = START + rng.randrange(10) * MINUTE
            made.append(forge.record(forge.seal(forge.make()), append_time=at)._replace(value=value))
    rng.shuffle(made)
    return [each._replace(partition=rng.randrange(3)) for each in made]


@pytest.mark.parametrize("seed", range(10))
def test_the_log_alone_and_the_store_come_to_the_same(stand_of: Callable[[TrustBundle], Stand], seed: int) -> None:
    trust = Trust()
    for name in ("alpha", "beta"):
        trust.key(signer(name), valid_from=START + 10 * MINUTE, until=START + 50 * MINUTE)
    stand, log = stand_of(trust.bundle), Written()
    stand.take(*records(random.Random(seed)))
    for each in sorted(stand.taken, key=lambda r: (r.partition, r.offset)):
        log.records.append(each)
    found = verified(log, trust.bundle)
    refused = Counter(dict(stand.rows("select reason, sum(copies)::int from rejected where at = -1 group by reason")))
    assert refused
    stored = Counter(stand.findings())
    assert Counter(found.counts) == refused + stored
    assert found.events == stand.rows("select (select count(*) from events) + (select count(*) from sightings)")[0][0]
    runs = stand.rows("select key_id, start, stop from runs r join chains c on c.id = r.chain")
    assert sorted((c.chain.key_id, *run) for c in found.chains for run in c.intervals) == sorted(runs)
