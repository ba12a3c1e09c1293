"""The walk in SQL against networkx, on random graphs with dangling causes, cycles by id, duplicated ids and two tenants."""

from __future__ import annotations

import random

import networkx
import pytest

from ledger.ask import lineage_of
from ledger.format.event import Cause
from tests.attribution.scenario import Story, Told
from tests.attribution.stored import lineage, store
from tests.services.databases import Databases
from tests.services.forge import EMPTY, START, Forge

EVENTS = 60
SEEDS = range(6)


def random_story(seed: int) -> Story:
    """Events of random causes; two runs of one seed's generator differ by tenant alone."""
    rng = random.Random(seed)
    story = Story(tenant=f"random-{seed}")
    known: list[bytes] = [bytes([0] * 6 + [0x70] + [0] + [0x80] + [seed] * 7)]  # the first is never recorded
    ahead: list[bytes] = []
    for number in range(EVENTS):
        service = rng.choice(["one", "two"])
        forge = story.forges.setdefault(service, Forge(name=service, service=service, tenant=story.tenant))
        forge.chain_id = bytes([seed]) + forge.chain_id[1:]
        forge.now = START + number * 1_000_000 + seed
        if rng.random() < 0.1:  # cited before it is there: by id alone, so a cycle is possible
            ahead.append(forge.drawn(f"ahead-{seed}-{number}", 16)[:6] + b"\x70\x00\x80" + rng.randbytes(7))
            known.append(ahead[-1])
        causes = [
            Cause(rng.choice(known), None, rng.choice(["started_by", "informed_by"])) for _ in range(rng.randrange(4))
        ]
        event_id = ahead.pop(0) if ahead and rng.random() < 0.5 else None
        if event_id is None and rng.random() < 0.1 and len(known) > 3:
            event_id = rng.choice([each.made.event_id for each in story.events.values()] or [None])
        made = forge.make("prompt", EMPTY["prompt"], causes=list(dict.fromkeys(causes)), event_id=event_id)
        known.append(made.event_id)
        story.events[str(number)] = Told(str(number), service, made, EMPTY["prompt"], False)
    return story


@pytest.fixture(scope="module")
def told(postgres: Databases) -> tuple[str, list[Story]]:
    url = postgres.fresh()
    stories = [random_story(seed) for seed in SEEDS]
    store(url, *stories)
    return url, stories


@pytest.mark.parametrize("seed", SEEDS)
def test_the_walk_finds_exactly_what_networkx_does(seed: int, told: tuple[str, list[Story]]) -> None:
    url, stories = told
    graph = networkx.DiGraph()
    there = {told.made.event_id for told in stories[seed].events.values()}
    for told_event in stories[seed].events.values():
        graph.add_node(told_event.made.event_id)
        for cause in told_event.made.header.causes:
            graph.add_edge(cause.event_id, told_event.made.event_id)
    source = lineage(url)
    for event_id in there:
        up = lineage_of(source, stories[seed].tenant, event_id, "up")
        assert {node.event_id for node in up.nodes} == (networkx.ancestors(graph, event_id) | {event_id}) & there
        down = lineage_of(source, stories[seed].tenant, event_id, "down")
        assert {node.event_id for node in down.nodes} == (networkx.descendants(graph, event_id) | {event_id}) & there
