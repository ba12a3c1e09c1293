"""Answers are a function of what the log holds: not of the order in which it was read, of partitions, or of what came later."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ledger.ask import who_triggered
from ledger.attribution.answer import Answer
from ledger.attribution.json_form import to_json
from ledger.ports import Record
from ledger.store.migrations import migrate
from tests.attribution.scenario import SECOND, Story, read_scenario, story_files
from tests.attribution.stored import add_all_people, asking, erasure_of, fill, lineage, records_of, trust_of
from tests.services.databases import Databases

TOLD = ("human_edit_midway", "memory_of_weeks_ago", "schedule_whose_owner_left", "two_people_in_one_conversation")
PARTITIONS = 3

OF_THEN = """
person alice Alice
person dana Dana
person erin Erin
service rogue source
r1 platform agent_registration agent_id=travel state=active owner=dana
g1 issuer grant grant_id=g-1 action=give issuer=as grantor=alice delegate=travel scopes=book method=explicit
t1 issuer token_issuance status=issued token=j1 subject=alice grant_id=g-1 scopes=book verification=issuer observer=issuer
p1 agent prompt trigger_kind=human trust=trusted principal=alice agent=travel run=r1
q1 rogue prompt trigger_kind=human trust=trusted principal=erin agent=travel run=r2
a1 agent api_action action_id=x phase=intended operation=book token=j1 observer=agent agent=travel run=r1
a2 flights api_action action_id=x phase=completed operation=book token=j1 outcome=success observer=resource <- a1:same_action
r2 platform agent_registration agent_id=travel state=retired owner=erin effective_at=2
g2 issuer grant grant_id=g-1 action=withdraw issuer=as grantor=alice delegate=travel method=explicit
x1 issuer token_revocation extent=token token=j1 issuer=as derived_tokens=kept
q2 rogue prompt trigger_kind=human trust=trusted principal=erin agent=travel run=r1
a3 agent api_action action_id=y phase=completed operation=book token=j1 outcome=success observer=agent agent=travel run=r1
a4 agent api_action action_id=z phase=completed operation=book observer=agent agent=travel run=r2
"""


def stories() -> list[Story]:
    return [read_scenario(path.read_text(), path.stem) for path in story_files() if path.stem in TOLD]


def shuffled(told: Sequence[Story], seed: int) -> list[list[Record]]:
    """The records as partitions hold them, read in any order between partitions, committed so many at once."""
    rng = random.Random(seed)
    queues: dict[int, list[Record]] = {number: [] for number in range(PARTITIONS)}
    placed: dict[tuple[str, bytes | None], int] = {}
    for story in told:
        records = [*records_of(story), *filter(None, [erasure_of(story)])]
        for record in records:
            partition = placed.setdefault((story.tenant, record.key), rng.randrange(PARTITIONS))
            offset = len(queues[partition])
            queues[partition].append(record._replace(partition=partition, offset=offset))
    order: list[Record] = []
    while left := [queue for queue in queues.values() if queue]:
        order += [rng.choice(left).pop(0)]
    commits = []
    while order:
        size = rng.choice([1, 2, 7, 30])
        commits.append(order[:size])
        order = order[size:]
    return commits


def asked(url: str, told: Sequence[Story]) -> dict[str, Any]:
    with asking(url) as source:
        return {
            f"{story.tenant}/{name}": to_json(who_triggered(source, story.tenant, event.made.event_id))
            for story in told
            for name, event in story.events.items()
        }


def test_no_order_of_arrival_and_no_partition_changes_an_answer(postgres: Databases) -> None:
    found = []
    for seed in range(3):
        told = stories()
        url = postgres.fresh(migrate)
        fill(url, trust_of(*told).bundle, shuffled(told, seed))
        add_all_people(url, *told)
        found.append(asked(url, told))
        postgres.drop(url)
    assert len(found[0]) > 30
    for other in found[1:]:
        assert differing(found[0], other) == []


def test_an_answer_improves_when_its_missing_cause_arrives(postgres: Databases) -> None:
    """The action comes first, then the thought before it, then the prompt."""
    told = read_scenario(
        "person alice Alice\n"
        "p1 front prompt trigger_kind=human trust=trusted principal=alice agent=bot\n"
        "s1 mind reasoning_step status=completed visibility=full agent=bot <- p1:started_by\n"
        "a1 hand api_action action_id=x phase=completed operation=send observer=agent agent=bot <- s1:continues\n"
    )
    url = postgres.fresh(migrate)
    bundle = trust_of(told).bundle
    records = [record._replace(partition=number, offset=0) for number, record in enumerate(records_of(told))]
    shown = []
    for record in reversed(records):
        fill(url, bundle, [[record]])
        add_all_people(url, told)
        answer = who_triggered(lineage(url), told.tenant, told.events["a1"].made.event_id)
        shown.append((answer.class_, answer.reasons, [each.name for each in answer.findings]))
    lost = ("unattributed", ("dangling_cause",), ["dangling_cause"])
    assert shown == [lost, lost, ("attributed", (), [])]


def held(records: Sequence[Record], until: int) -> list[Record]:
    """What a log had by then."""
    return [record for record in records if record.append_time <= until]


def of_then(answer: Answer) -> Any:
    """An answer but for what says when it was asked."""
    chains = tuple(each._replace(silent_since=None) for each in answer.coverage.chains)
    return to_json(replace(answer, coverage=replace(answer.coverage, as_of=None, chains=chains)))


@pytest.mark.parametrize("revoked", [False, True], ids=["trusted", "revoked"])
def test_as_of_a_time_is_the_answer_of_a_store_that_got_no_more_than_the_log_held_then(
    postgres: Databases, *, revoked: bool
) -> None:
    """Owners, grants, revocations and trust: one key's statements count until it was revoked, in the middle of the story."""
    told = read_scenario(OF_THEN)
    records = [record._replace(offset=offset) for offset, record in enumerate(records_of(told))]
    trust = trust_of(told)
    if revoked:
        trust.revoke(told.forges["rogue"].signer, since=told.node("q2").append_time - SECOND)
    whole = postgres.fresh(migrate)
    fill(whole, trust.bundle, [records])
    add_all_people(whole, told)
    compared, answers = 0, set()
    for until in [record.append_time for record in records][4:]:
        part = postgres.fresh(migrate)
        fill(part, trust.bundle, [held(records, until)])
        add_all_people(part, told)
        for name in ("a1", "a3", "a4", "q1"):
            event = told.events[name].made.event_id
            if not any(told.events[name].made.event.header in (record.value or b"") for record in held(records, until)):
                continue
            with asking(whole) as source, asking(part) as other:
                then = of_then(who_triggered(source, told.tenant, event, as_of=until))
                assert differing(then, of_then(who_triggered(other, told.tenant, event))) == [], (name, until)
            compared += 1
            answers.add(str(then))
        postgres.drop(part)
    assert compared >= 20
    assert len(answers) > 8
    now = who_triggered(lineage(whole), told.tenant, told.events["a3"].made.event_id)
    assert now.reasons == (() if revoked else ("ambiguous_join",))


def test_who_was_erased_is_erased_in_every_answer_also_as_of_before(postgres: Databases) -> None:
    """What was erased is gone: as of a time before it, the answer is as it was but for that, and says that it came since."""
    told = read_scenario(OF_THEN.replace("person alice Alice", "person alice !erased"))
    erasure = erasure_of(told)
    assert erasure is not None
    records = [record._replace(offset=offset) for offset, record in enumerate([*records_of(told), erasure])]
    event, before = told.events["a1"].made.event_id, told.node("a2").append_time
    url = postgres.fresh(migrate)
    fill(url, trust_of(told).bundle, [records])
    add_all_people(url, told)
    for until in (before, None):
        answer = who_triggered(lineage(url), told.tenant, event, as_of=until)
        if until is not None:
            assert answer.class_ == "erased_principal"
            assert (answer.outcome, answer.accountable.state) == ("success", "active")
        state = "erased" if until is None else "erased_since"
        assert {each.who.state for each in answer.triggers if each.who} >= {state}


def differing(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [each for key in {*one, *other} for each in differing(one.get(key), other.get(key), f"{at}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            each
            for place, pair in enumerate(zip(one, other, strict=True))
            for each in differing(*pair, f"{at}/{place}")
        ]
    return [] if one == other else [f"{at}: {one} is not {other}"]
