"""What is asked of events that a valid key stated, whatever they say: judgements, agents, tokens and grants, runs, drawings."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from xml.etree import ElementTree

from ledger.attribution.difference import compare, difference_json
from ledger.attribution.drawing import to_dot, to_graphml
from ledger.attribution.graph import graph_of
from ledger.attribution.house import Duty, HouseRules
from ledger.attribution.index import Index
from ledger.attribution.inventory.json_form import agent_json, history_json
from ledger.attribution.inventory.naming import Sighted, aliases, credentials_of, named_by
from ledger.attribution.inventory.record import make_agent
from ledger.attribution.json_form import to_json
from ledger.attribution.judgement import Bench, judge_alone
from ledger.attribution.pool import Overfull, Pool
from ledger.attribution.subgraph import Node, Subgraph
from ledger.attribution.tokens.lineage import judge_lineage
from ledger.attribution.tokens.usage import UsesOf, judge_usage
from ledger.attribution.tokens.values import Asked, Fetched, Tally
from ledger.attribution.touched import reached
from ledger.format.kinds import AgentRegistration, Grant, TokenIssuance
from tests.fuzz.case import Target
from tests.fuzz.targets.facts import nodes_of, seeds
from tests.sealing import START

HOUSE = HouseRules(another_person=(Duty(operations=("*",), scopes=("*",)),), consequence=("*",))
"""Rules that cover whatever is done."""


def judgements(data: bytes) -> None:
    """Together each is judged as it is alone: the sentinel's promise."""
    nodes = nodes_of(data)
    bench = Bench(Pool(nodes, {}), HOUSE)
    for node in nodes:
        alone = judge_alone(Subgraph(asked=node.event_id, nodes=nodes), HOUSE)
        try:
            together = bench.judge(node.event_id)
        except Overfull:
            continue
        assert together.event_id == alone.event_id == node.event_id


def inventory(data: bytes) -> None:
    nodes = nodes_of(data)
    known = aliases(nodes)
    agents = {node.header.agent_id for node in nodes if node.header.agent_id is not None}
    agents |= {node.fact.agent_id for node in nodes if isinstance(node.fact, AgentRegistration)}
    agents |= {name for node in nodes for name in named_by(node, known)}
    for agent in sorted(agents):
        of = {kind: [each for each in nodes if each.kind == kind] for kind in ("agent_registration", "configuration")}
        registrations = [
            each for each in of["agent_registration"] if each.payload and each.payload["agent_id"] == agent
        ]
        events = [each for each in nodes if each.header.agent_id == agent]
        sighted = Sighted(agent, registrations, of["configuration"], events, nodes)
        users = {
            name: {agent: event_id, "another": event_id} for name, event_id in credentials_of(sighted, known).items()
        }
        made = make_agent(sighted, {}, known, users, START)
        json.dumps([agent_json(made), history_json(made)])


def rights(data: bytes) -> None:
    """Lineage of each token and grant that is named, and how the tokens lived."""
    nodes = nodes_of(data)
    index = Index(Subgraph(asked=b"", nodes=tuple(nodes)))
    for asked in _asked(nodes):
        fetched = Fetched(asked=asked, index=index, page=nodes, counted=Tally(0, 0, 0, 0), truncated=(), now=START)
        json.dumps(to_json(judge_lineage(fetched)))
    issued = [node for node in nodes if isinstance(node.fact, TokenIssuance)]
    names = {name for asked in _asked(nodes) for name in asked.names}
    uses = {name: UsesOf(len(nodes), tuple(nodes)) for name in names}
    for by in ("agent", "client", "grant"):
        usage = judge_usage(index, issued, uses, by=by, since=0, until=START, truncated=(), now=START)  # type: ignore[arg-type]
        json.dumps(to_json(usage))


def _asked(nodes: list[Node]) -> list[Asked]:
    found = []
    for node in nodes:
        fact = node.fact
        if isinstance(fact, TokenIssuance) and fact.token is not None:
            found.append(Asked(issuer=fact.token.issuer, jti=fact.token.jti, digest=fact.token.digest))
        if isinstance(fact, TokenIssuance | Grant) and fact.grant_id is not None:
            found.append(Asked(grant_id=fact.grant_id))
    return found


def runs(data: bytes) -> None:
    """The first half of the events against the second, and either against itself; and what came of each event."""
    nodes = nodes_of(data)
    half = len(nodes) // 2
    texts = {digest: digest.hex() for node in nodes for digest in node.header.contents}
    for a, b in ((nodes[:half], nodes[half:]), (nodes, nodes)):
        found = compare((bytes(16), bytes(16)), a, b, {}, texts)
        json.dumps(difference_json(found))
        told = difference_json(found)["counts"]
        assert told["same"] + told["changed"] + told["only_a"] == len(found.steps[0])
        assert told["same"] + told["changed"] + told["only_b"] == len(found.steps[1])
    for node in nodes:
        reached(Subgraph(asked=node.event_id, nodes=nodes), [node.ref])


def drawings(data: bytes) -> None:
    """GraphML is XML, and every string of DOT ends where it should, whatever is in it."""
    nodes = nodes_of(data)
    if not nodes:
        return
    graph = graph_of(Subgraph(asked=nodes[0].event_id, nodes=nodes))
    ElementTree.parse(io.StringIO(to_graphml(graph)))  # noqa: S314 (written by us)
    dot = to_dot(graph)
    assert "\0" not in dot
    for line in dot.splitlines():
        assert len([1 for before, each in pairwise("x" + _unescaped(line)) if each == '"' and before != "\\"]) % 2 == 0


def _unescaped(line: str) -> str:
    """A line without escaped backslashes: what stands before a quotation mark then escapes it."""
    return line.replace("\\\\", "")


TARGETS = (
    Target("judgements", judgements, seeds, short=150),
    Target("inventory", inventory, seeds, short=300),
    Target("rights", rights, seeds, short=300),
    Target("runs", runs, seeds, short=200),
    Target("drawings", drawings, seeds, short=200),
)
