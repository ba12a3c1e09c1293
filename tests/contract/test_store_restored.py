"""A store that was restored from an older backup under a worker that goes on: the log heals it."""

from __future__ import annotations

from contextlib import closing

from ledger.ports import EVENTS, Outgoing
from ledger.schema_files import load_schemas
from ledger.store.digest import state_digest
from ledger.store.rebuild import rebuild
from tests.contract.test_materializer import filled, projection, run_until, worker_of
from tests.services import Databases
from tests.services.forge import LEDGER, Forge, Trust, signer
from tests.services.stand import migrated


def test_a_backup_from_before_a_key_was_trusted_is_judged_by_that_key_again(postgres: Databases) -> None:
    url, trust, beta = postgres.fresh(migrated), Trust().key(signer("alpha")), Forge("beta", service="newcomer")
    log = filled(Forge(), 3)
    log.append([Outgoing(EVENTS, 0, beta.chain_id, beta.seal(beta.make()).value)], timeout=1)
    with closing(projection(url, trust)) as to:
        worker = worker_of(log, to, trust)
        run_until(worker, lambda: state_digest(url).rows["rejected"] == 1)
        backup = postgres.copy(url)
        trust.key(signer("beta"))
        run_until(worker, lambda: state_digest(url).rows["rejected"] == 0)
        postgres.restore(url, backup)
        log.append([Outgoing(EVENTS, 0, beta.chain_id, beta.seal(beta.make()).value)], timeout=1)
        run_until(worker, lambda: state_digest(url).rows["seals"] == 5)
    assert rebuild(url, [log], load_schemas(), LEDGER, trust.bundle, swap=False) == state_digest(url)
    postgres.drop(url)
