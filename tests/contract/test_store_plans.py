"""No statement may be answered by reading a whole table to join it to a few keys.

A store that is filled for the first time has no statistics yet, and the planner does so wherever a statement lets it: in each
round of a walk, for each thousand events judged. Statements that look up by key, one after the other, do not let it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
import pytest

from ledger.cli.doctor.check import Here, Store
from ledger.cli.doctor.findings import CHECKS
from ledger.format import ids
from ledger.format.batch import Chain
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.settings import Settings
from ledger.store.known import events_under
from ledger.store.migrations import migrate
from ledger.store.nodes import Reading
from ledger.store.sentinel import check
from tests import write_examples
from tests.attribution.scenario import read_scenario
from tests.attribution.stored import ERASER, add_people, erasure_of
from tests.plans import Plans, read_whole, watched
from tests.sentinel import test_later
from tests.sentinel.sweeping import connected
from tests.services.databases import Databases
from tests.services.forge import EMPTY, LEDGER, START, Forge, Trust, blank, signer
from tests.services.stand import Stand, migrated
from tests.wrongs import cite, make_wrong


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plans]:
    with watched(monkeypatch) as made:
        yield made


READ: Final[dict[str, set[str]]] = {
    "select * from joins j join events e on e.event_id = j.event_id where j.key = 1": {"events"},
    "select * from joins j join events e on e.event_id = j.event_id and e.tenant = 1 where j.key = 1": {"events"},
    "select * from joins j left join events e using (event_id) where j.key = 1 limit 5": {"events"},
    "select * from joins j where key = 1 and exists (select from events where event_id = j.event_id)": {"events"},
    "select exists (select from events e where e.event_id = j.event_id) from joins j": {"events"},
    "delete from causes c using names n where c.effect = n.name::uuid and c.cause = n.name::uuid": {"causes"},
    "select * from joins j, lateral (select from events where event_id = j.event_id offset 0) e where key = 1": set(),
    "select * from events e where tenant = 1 order by event_id limit 5": set(),
    "select * from events e, lateral (select from seals where id = e.seal offset 0) s order by event_id limit 5": set(),
}
"""What of a statement is read whole. Paging in order of an index is not."""


def test_what_is_read_whole_is_seen(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set enable_nestloop = off; set enable_seqscan = off")
        for query, whole in READ.items():
            ((told,),) = connection.execute(f"explain (format json) {query}".encode())
            assert read_whole(told[0]["Plan"]) == whole, query


@pytest.fixture
def story(postgres: Databases) -> Iterator[str]:
    """The store of the examples."""
    url = postgres.fresh(write_examples.fill)
    yield url
    postgres.drop(url)


AS_OF: Final = write_examples.AS_OF


def more_requests() -> Iterator[str]:
    """Questions that no example asks."""
    events = {name: ids.text(each.made.event_id) for name, each in write_examples.story().events.items()}
    run = ids.text(write_examples.story().events["p1"].made.header.execution_id or b"")
    for judged in ("class=attributed", "class=unattended", "class=unattributed", "reason=no_trigger"):
        for beside in ("", "&kind=api_action", "&value=UA-101", "&limit=1"):
            yield f"/v1/events?{judged}{beside}"
    yield "/v1/events?limit=1"
    yield f"/v1/events?agent={write_examples.AGENT.replace('#', '%23')}&value=UA-101"
    for direction in ("up", "down"):
        for of in ("p1", "t1", "o1", "a2"):
            yield f"/v1/events/{events[of]}/lineage?direction={direction}&nodes=5000"
            yield f"/v1/events/{events[of]}/lineage?direction={direction}&nodes=5000&as_of={AS_OF}"
            yield f"/v1/events/{events[of]}/who-triggered"
            yield f"/v1/events/{events[of]}/who-triggered?as_of={AS_OF}"
    for when in ("", f"?as_of={AS_OF}"):
        yield f"/v1/executions/{run}/replay{when}"
        for thing in ("token/as%23j1", "grant/g-1", "document/x", "memory/x", "policy/booking"):
            yield f"/v1/touched/{thing}{when}"
        for listed in ("agents", "findings", "token-usage", "grants/g-1", "tokens/as/j1"):
            yield f"/v1/{listed}{when}"
        yield f"/v1/agents/{write_examples.AGENT.replace('/', '%2F')}{when}"


def test_the_questions_of_the_api_look_up_by_key(story: str, plans: Plans, tmp_path: Path) -> None:
    with write_examples.servers(story, tmp_path) as asked:
        for _, _, request in write_examples.requests():
            asked.ask(request, "/v1/chains")
        pages = []
        for target in more_requests():
            response = asked.ask({"target": target, "token": "auditor"})
            assert response.status_code in (200, 404), (target, response.text)
            if response.status_code == 200 and response.json().get("next"):
                pages.append(f"{target}{'&' if '?' in target else '?'}cursor={response.json()['next']}")
        for target in pages:
            assert asked.ask({"target": target, "token": "auditor"}).status_code == 200, target
    assert pages
    assert len(plans.asked) > 60
    assert plans.found == []


def test_the_doctor_and_the_checks_of_judgements_look_up_by_key(story: str, plans: Plans) -> None:
    with connected(story) as connection:
        tenant, bundle = write_examples.TENANT, write_examples.trust().bundle
        here = Here(settings=Settings(tenant=tenant, ledger=LEDGER), clock=SystemClock(), bundle=bundle)
        for each in CHECKS:
            each(Store(here=here, connection=connection))
        assert check(connection, Reading(load_schemas(), LEDGER, lambda: bundle), tenant)[1] is None
    assert plans.asked
    assert plans.found == []


def test_the_sentinel_looks_up_by_key_whatever_comes_late(postgres: Databases, plans: Plans) -> None:
    for text, late in ((test_later.BY_AN_AGENT, "r1"), (test_later.EXCHANGED, "x1")):
        url = postgres.fresh(migrate)
        story = read_scenario(text)
        ledger = test_later.Ledger(url, story)
        with connected(url) as connection:
            add_people(connection, story)
        trust = test_later.trust_of(story, ["front", "hand", ERASER])
        ledger.commit(trust.bundle, *ledger.records(*(each for each in story.events if each != late)))
        ledger.look(trust.bundle)
        trust.key(story.forges["desk"].signer, services=["desk"])
        ledger.commit(trust.bundle, *ledger.records(late))
        ledger.look(trust.bundle)
        story.events["p1"] = story.events["p1"]._replace(erased=True)
        erasure = erasure_of(story)
        assert erasure is not None
        ledger.commit(trust.bundle, erasure._replace(offset=20))
        ledger.look(trust.bundle)
        trust.revoke(story.forges["hand"].signer, since=0)
        ledger.commit(trust.bundle)
        ledger.look(trust.bundle)
        postgres.drop(url)
    assert len(plans.asked) > 60
    assert plans.found == []


def test_the_materializer_looks_up_by_key_whatever_comes_twice_or_goes(postgres: Databases, plans: Plans) -> None:
    url = postgres.fresh(migrated)
    trust = Trust().key(signer("alpha")).key(signer("beta"))
    with closing(Stand(url, trust.bundle)) as stand:
        forge, again, other = Forge(), Forge(), Forge(name="beta")
        again.chain_id = bytes(15) + b"\1"
        prompt = forge.make()
        step = forge.make("reasoning_step", blank("reasoning_step"), causes=[cite(prompt, "started_by")])
        first = forge.seal(forge.open(), prompt, step)
        stand.put(forge, first, at=START + 100)
        stand.put(forge, first, at=START + 50, partition=1)
        stand.put(again, again.seal(again.open(), prompt, step), at=START + 10)
        stand.put(other, other.seal(other.open(), other.make()), at=START + 20)
        named = {**EMPTY["content_erasure"], "events": [other.make().digest, prompt.digest]}
        stand.put(again, again.seal(again.make("content_erasure", named)), at=START + 30)
        stand.contents.sweep()
        head = Chain(LEDGER, forge.tenant, forge.service, forge.signer.key_id, forge.chain_id)
        with connected(url) as connection:
            assert len(events_under(connection, head, 0)) == 3
        for changed in (trust.revoke(signer("alpha"), since=START + 15), trust.revoke(signer("beta"), since=START)):
            stand.projection.adopt(changed.bundle)
        assert stand.count("seals") == 1
    postgres.drop(url)
    assert plans.found == []


@pytest.mark.parametrize("name", ["fork", "bad_payload", "schema_unknown"])
def test_what_is_wrong_is_placed_by_key(url: str, plans: Plans, name: str) -> None:
    make_wrong(url, name)
    assert plans.found == []
