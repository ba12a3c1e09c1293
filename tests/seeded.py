"""A small story in a real store: two tenants, recorded, logged, verified and materialized. What faces are tested against."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from ledger import Person
from ledger.format.kinds import TokenReference
from ledger.logs.postgres import PostgresLog
from ledger.ports import CONTENTS, EVENTS
from ledger.recorder.recorder import Recorder
from ledger.schema_files import load_schemas
from ledger.store.contents import PostgresContents
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from ledger.store.rebuild import fill
from ledger.trust.bundle import TrustBundle, read_bundle
from tests.sealing import KEY, LEDGER, ROOT, bundle_of, key_statement

ACME, OTHER = "acme", "other"
AGENT: Final = "https://issuer.example#travel-agent"
EXECUTION: Final = bytes.fromhex("018f4c1e6a007cc398c4dc0c0c07398f")
ACTION: Final = "book-1"
ALICE: Final = Person(issuer="https://issuer.example", subject="alice", name="Alice")
KINDS: Final = ["*", "agent_registration", "oversight"]


_EVENTS: Final = b"""
select k.name, e.event_id, t.name from events e join names k on k.id = e.kind join names t on t.id = e.tenant
 order by e.seal, e.at"""


class Story(NamedTuple):
    """Ids of what was recorded, as text."""

    prompt: str
    step: str
    action: str
    outcome: str
    orphan: str
    foreign: str


def bundle() -> TrustBundle:
    """The operator's bundle: one key for both tenants."""
    return read_bundle(bundle_bytes(), ROOT.public, LEDGER)


def bundle_bytes() -> bytes:
    return bundle_of(key_statement(KEY, tenants=[ACME, OTHER], kinds=KINDS))


def seed(url: str) -> None:
    """Fills an empty database. For ``Databases.fresh``, which makes each test a copy."""
    with closing(PostgresLog(url)) as log, tempfile.TemporaryDirectory() as spool:
        log.prepare()
        migrate(url)
        with Recorder(
            log=log, signer=KEY, spool=Path(spool), ledger=LEDGER, tenant=ACME, service="travel-agent", linger=0.001
        ) as recorder:
            _tell(recorder)
            assert recorder.flush(20)
        materialize(url, log)


def materialize(url: str, log: PostgresLog) -> None:
    """Brings the store to the end of the log."""
    schemas = load_schemas()
    with closing(PostgresProjection(url, schemas, LEDGER, bundle())) as events:
        fill(log, EVENTS, events, lambda *_: None)
    with closing(PostgresContents(url, schemas)) as contents:
        fill(log, CONTENTS, contents, lambda *_: None)


def _tell(recorder: Recorder) -> None:
    olga = Person(issuer="https://issuer.example", subject="olga", name="Olga")
    recorder.agent_registration(agent_id=AGENT, state="active", name="travel agent", owner=olga)
    with recorder.execution(execution_id=EXECUTION, agent_id=AGENT, principal=ALICE):
        recorder.prompt(trigger_kind="human", channel="chat", trust="untrusted", text="Book a flight to NYC")
        step = recorder.reasoning_step(status="completed", visibility="full", reasoning="search, then book")
        with recorder.caused_by(step):
            token = TokenReference(issuer="https://issuer.example", jti="token-1", digest=None)
            action = recorder.api_action(
                action_id=ACTION,
                phase="intended",
                operation="POST /bookings",
                resource="flight:NY-1",
                observer="agent",
                token=token,
                correlation=["trace:0af7651916cd43dd8448eb211c80319c"],
            )
        with recorder.caused_by(action):
            recorder.api_action(
                action_id=ACTION,
                phase="completed",
                operation="POST /bookings",
                resource="flight:NY-1",
                observer="agent",
                outcome="success",
                token=token,
            )
    recorder.api_action(
        action_id="orphan-1", phase="completed", operation="DELETE /bookings", observer="agent", outcome="success"
    )
    recorder.prompt(trigger_kind="human", trust="trusted", tenant=OTHER)


def story(url: str) -> Story:
    """The ids in a seeded database."""
    with psycopg.connect(url) as connection:
        rows: list[tuple[str, UUID, str]] = connection.execute(_EVENTS).fetchall()
    ours = [(kind, str(event_id)) for kind, event_id, tenant in rows if tenant == ACME]
    actions = [event_id for kind, event_id in ours if kind == "api_action"]
    first = dict(reversed(ours))
    foreign = next(str(event_id) for kind, event_id, tenant in rows if tenant == OTHER and kind == "prompt")
    return Story(first["prompt"], first["reasoning_step"], *actions, foreign)
