"""Writes ``api/examples.jsonl``: ``python -m tests.write_examples``. What is written is what the served API answered.

A story with fixed keys, clocks and salts gives the same ids each time, so that the test of the examples compares values.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
from prometheus_client.parser import text_string_to_metric_families

from api.access import RIGHTS, Tokens
from api.app import create_app
from api.door import TARGET_BYTES
from api.openapi import EVERY_PATH, FILE, Example, read_examples
from api.store import Store
from ledger.embedded import EmbeddedPostgres
from ledger.errors import DrawingFailed
from ledger.format import ids
from ledger.logs.postgres import PostgresLog
from tests.attribution.scenario import Story, digest_of, forged_id, read_scenario
from tests.attribution.stored import store
from tests.e2e.test_api import serving
from tests.sentinel.sweeping import sentinel
from tests.services.databases import Databases
from tests.services.forge import LEDGER, NAMED, Trust

TENANT: Final = "acme"
AGENT: Final = "https://agents.example/travel"
STORY: Final = """
person alice Alice Ash
person dana Dana Cole
r0 platform agent_registration agent_id=https://agents.example/travel state=active name=travel-agent owner=dana
p1 agent prompt trigger_kind=human trust=trusted channel=chat principal=alice agent=https://agents.example/travel run=r1 corr=trace:0af7651916cd43dd8448eb211c80319c
s1 agent reasoning_step status=completed visibility=withheld principal=alice agent=https://agents.example/travel run=r1 <- p1:started_by
g1 consent grant grant_id=g-1 action=give grantor=alice delegate=https://agents.example/travel scopes=booking:create method=explicit expires_at=600
t1 issuer token_issuance status=issued token=j1 subject=alice grant_id=g-1 act=travel-agent scopes=booking:create audiences=flights expires_at=600 verification=issuer observer=issuer <- p1:started_by
d1 policy policy_decision decision=allow decision_id=d-1 policy_id=booking policy_version=v7 action=book action_id=book-1 <- s1:started_by
o1 approvals oversight oversight_id=o-1 action=approve by=alice binding=digest bound_digest=P uses_allowed=1 authentication=pwd,otp <- s1:started_by
a1 agent api_action action_id=book-1 phase=intended operation=bookings.create resource=flight:UA-101 target_system=flights.example token=j1 decision_id=d-1 oversight_ids=o-1 parameter_digest=P observer=agent principal=alice agent=https://agents.example/travel run=r1 <- p1:started_by s1:informed_by d1:authorized_by o1:authorized_by
a2 flights api_action action_id=book-1 phase=completed operation=bookings.create resource=flight:UA-101 token=j1 parameter_digest=P outcome=success effect=full observer=resource <- a1:same_action lost:informed_by
p2 agent prompt trigger_kind=human trust=trusted channel=chat principal=alice agent=https://agents.example/travel run=r2
s2 agent reasoning_step status=completed visibility=withheld response_model=m-2 principal=alice agent=https://agents.example/travel run=r2 <- p2:started_by
t2 issuer token_issuance status=issued token=@opaque subject=alice subject_token=j1 scopes=booking:read verification=issuer observer=issuer
"""  # noqa: E501 - a line an event
UNKNOWN: Final = ids.text(forged_id("nothing"))
AS_OF: Final = "2026-01-01T01:00:00Z"


def story() -> Story:
    """The story of the examples."""
    return read_scenario(STORY, TENANT)


def fill(url: str) -> None:
    """Lays the story into an empty database, with a log beside it that is wholly read, and judged."""
    log = PostgresLog(url)
    log.prepare()
    log.close()
    sentinel(url, store(url, story()))


def trust(of: Story | None = None) -> Trust:
    """The bundle under which ``fill`` judged, or that of another story."""
    made = Trust()
    for service, forge in (of or story()).forges.items():
        made.key(forge.signer, services=[service], kinds=["*", *NAMED])
    return made


@dataclass(frozen=True)
class Servers:
    """The API as the examples meet it: with tokens, without any, and with a store that is away."""

    guarded: httpx.Client
    local: httpx.Client
    away: httpx.Client

    def ask(self, request: Mapping[str, Any], path: str = "") -> httpx.Response:
        """The answer to an example's request; ``path`` stands in where it names no target."""
        client = self.away if "store" in request else self.local if "host" in request else self.guarded
        headers = {"authorization": f"Bearer {request['token']}"} if request.get("token") else {}
        headers |= {"host": request["host"]} if "host" in request else {}
        target = request.get("target", path)
        if "padding" in request:
            target += "?" + "x" * request["padding"]
        return client.get(target, headers=headers)


def without_graphviz(dot: str) -> bytes:
    """Draws nothing, wherever the examples are made."""
    raise DrawingFailed("drawing needs Graphviz, and its program `dot` is not installed here")


@contextmanager
def servers(url: str, directory: Path) -> Iterator[Servers]:
    """Serves the store at ``url``. Each role is the name of its own token."""
    tokens = directory / "tokens"
    tokens.write_text("".join(f"{sha256(role.encode()).hexdigest()} {TENANT} {role} {role}\n" for role in RIGHTS))
    bundle = trust().bundle

    def served(at: str, given: Tokens) -> AbstractContextManager[httpx.Client]:
        made = create_app(
            store=Store(at, wait=0.3), ledger=LEDGER, tokens=given, bundle=lambda: bundle, draw=without_graphviz
        )
        return serving(made)

    with ExitStack() as stack:
        yield Servers(
            stack.enter_context(served(url, Tokens(tokens, TENANT))),
            stack.enter_context(served(url, Tokens(None, TENANT))),
            stack.enter_context(served(f"postgresql://postgres@/none?host={directory}", Tokens(tokens, TENANT))),
        )


def requests() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Path, name and request of every example."""
    told = {name: ids.text(each.made.event_id) for name, each in story().events.items()}
    run = ids.text(story().events["p1"].made.header.execution_id or b"")
    person = story().people["alice"].digest.hex()

    def of(target: str, role: str | None = "auditor") -> Mapping[str, Any]:
        return {"target": target, "token": role}

    yield EVERY_PATH, "unauthenticated", {"token": None}
    yield EVERY_PATH, "forbidden", {"token": "operator"}
    yield EVERY_PATH, "uri-too-long", {"token": "auditor", "padding": TARGET_BYTES}
    yield EVERY_PATH, "misdirected", {"host": "ledger.example"}
    yield EVERY_PATH, "unavailable", {"token": "auditor", "store": "away"}

    yield "/v1/health/live", "live", of("/v1/health/live", None)
    yield "/v1/health/live", "invalid-request", of("/v1/health/live?%00", None)
    yield "/v1/health/ready", "ready", of("/v1/health/ready", None)
    yield "/v1/health/ready", "down", {"target": "/v1/health/ready", "store": "away"}
    yield "/v1/health/ready", "invalid-request", of("/v1/health/ready?%00", None)
    yield "/v1/health", "whole", of("/v1/health", "admin")
    yield "/v1/health", "without-a-token", of("/v1/health", None)
    yield "/v1/health", "down", {"target": "/v1/health", "token": "admin", "store": "away"}
    yield "/v1/health", "unauthenticated", of("/v1/health", "nobody")
    yield "/v1/health", "invalid-request", of("/v1/health?%00", None)
    yield "/metrics", "text", of("/metrics", "operator")
    yield "/metrics", "forbidden", of("/metrics")
    yield "/metrics", "invalid-request", of("/metrics?%00", "operator")

    part = f"agent={AGENT}&service=agent&system=flights.example&kind=api_action"
    part += "&since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z&by=reason"
    yield "/v1/coverage", "agent", of(f"/v1/coverage?{part}")
    yield "/v1/coverage", "whole", of("/v1/coverage")
    yield "/v1/coverage", "invalid-request", of("/v1/coverage?kind=prompt")
    event = "/v1/events/{event_id}"
    yield event, "event", of(f"/v1/events/{told['a2']}")
    yield event, "not-found", of(f"/v1/events/{UNKNOWN}")
    yield event, "invalid-request", of("/v1/events/book-1")
    who = f"{event}/who-triggered"
    yield who, "answer", of(f"/v1/events/{told['a2']}/who-triggered?as_of={AS_OF}&nodes=1000")
    yield who, "not-found", of(f"/v1/events/{UNKNOWN}/who-triggered")
    yield who, "invalid-request", of(f"/v1/events/{told['a2']}/who-triggered?as_of=yesterday")
    lineage = f"{event}/lineage"
    yield lineage, "up", of(f"/v1/events/{told['a1']}/lineage?direction=up&as_of={AS_OF}&nodes=1000&format=json")
    yield lineage, "down", of(f"/v1/events/{told['a1']}/lineage?direction=down&as_of={AS_OF}")
    yield lineage, "graphml", of(f"/v1/events/{told['a1']}/lineage?format=graphml&nodes=3")
    yield lineage, "dot", of(f"/v1/events/{told['a1']}/lineage?format=dot&as_of={AS_OF}")
    yield lineage, "not-drawn", of(f"/v1/events/{told['a1']}/lineage?format=svg")
    yield lineage, "not-found", of(f"/v1/events/{UNKNOWN}/lineage")
    yield lineage, "invalid-request", of(f"/v1/events/{told['a1']}/lineage?direction=sideways")
    found = (
        "value=0af7651916cd43dd8448eb211c80319c&"
        f"correlation=trace:0af7651916cd43dd8448eb211c80319c&principal={person}&agent={quote(AGENT, safe='')}"
        f"&kind=prompt&execution={run}&since=2026-01-01T00:00:00Z&until={AS_OF}&limit=50"
    )
    yield "/v1/events", "prompt", of(f"/v1/events?{found}")
    yield "/v1/events", "by-value", of("/v1/events?value=UA-101&limit=2")
    yield "/v1/events", "by-resource", of("/v1/events?resource=flight:UA-101&limit=1")
    yield "/v1/events", "by-class", of("/v1/events?class=unattributed&reason=no_trigger")
    yield "/v1/events", "invalid-request", of("/v1/events?since=yesterday")
    action = "/v1/actions/{action_id}"
    yield action, "accounts", of("/v1/actions/book-1")
    yield action, "not-found", of("/v1/actions/book-2")
    yield action, "invalid-request", of("/v1/actions/book%00")
    token = "/v1/tokens/{issuer}/{jti}"
    yield token, "used", of(f"/v1/tokens/as/j1?after_revocation=false&as_of={AS_OF}&limit=1")
    yield token, "not-found", of("/v1/tokens/https%3A%2F%2Flogin.example/j9")
    yield token, "invalid-request", of("/v1/tokens/as/j1?cursor=AAAA")
    by_digest, opaque = "/v1/tokens/{digest}", digest_of("@opaque").hex()
    yield by_digest, "used", of(f"/v1/tokens/{opaque}?after_revocation=false&as_of={AS_OF}&limit=50")
    yield by_digest, "not-found", of(f"/v1/tokens/{'ab' * 32}")
    yield by_digest, "invalid-request", of("/v1/tokens/j1")
    window = f"by=agent&since=2026-01-01T00:00:00Z&until={AS_OF}&as_of={AS_OF}"
    yield "/v1/token-usage", "by-agent", of(f"/v1/token-usage?{window}")
    yield "/v1/token-usage", "invalid-request", of("/v1/token-usage?by=person")
    grant = "/v1/grants/{grant_id}"
    yield grant, "timeline", of(f"/v1/grants/g-1?after_revocation=false&as_of={AS_OF}&limit=50")
    yield grant, "not-found", of("/v1/grants/g-9")
    yield grant, "invalid-request", of("/v1/grants/g-1?limit=0")
    execution = "/v1/executions/{execution_id}"
    yield execution, "run", of(f"/v1/executions/{run}?limit=50")
    yield execution, "not-found", of(f"/v1/executions/{UNKNOWN}")
    yield execution, "invalid-request", of(f"/v1/executions/{run}?limit=0")
    graph = f"{execution}/graph"
    yield graph, "graph", of(f"/v1/executions/{run}/graph?nodes=1000&format=json")
    yield graph, "graphml", of(f"/v1/executions/{run}/graph?format=graphml&nodes=3")
    yield graph, "dot", of(f"/v1/executions/{run}/graph?format=dot")
    yield graph, "not-drawn", of(f"/v1/executions/{run}/graph?format=svg")
    yield graph, "not-found", of(f"/v1/executions/{UNKNOWN}/graph")
    yield graph, "invalid-request", of("/v1/executions/run-1/graph")
    steps = f"{execution}/replay"
    yield steps, "steps", of(f"/v1/executions/{run}/replay?as_of={AS_OF}&nodes=1000&silence=600&limit=50")
    yield steps, "page", of(f"/v1/executions/{run}/replay?limit=1")
    yield steps, "not-found", of(f"/v1/executions/{UNKNOWN}/replay")
    yield steps, "invalid-request", of(f"/v1/executions/{run}/replay?silence=0")
    diff = "/v1/executions/{a}/diff/{b}"
    again = ids.text(story().events["p2"].made.header.execution_id or b"")
    yield diff, "difference", of(f"/v1/executions/{run}/diff/{again}")
    yield diff, "not-found", of(f"/v1/executions/{run}/diff/{UNKNOWN}")
    yield diff, "invalid-request", of(f"/v1/executions/{run}/diff/run-2")
    things = "/v1/touched/{what}/{value}"
    yield things, "of-a-policy", of(f"/v1/touched/policy/booking@v7?as_of={AS_OF}&nodes=1000")
    yield things, "of-a-person", of(f"/v1/touched/person/{person}")
    yield things, "not-found", of("/v1/touched/grant/nothing")
    yield things, "invalid-request", of("/v1/touched/token/j1")
    listed = f"remark=never_registered&state=active&owner={person}&as_of={AS_OF}&limit=50"
    yield "/v1/agents", "none-that-fits", of(f"/v1/agents?{listed}")
    yield "/v1/agents", "page", of("/v1/agents")
    yield "/v1/agents", "invalid-request", of("/v1/agents?remark=nothing")
    agent = "/v1/agents/{agent_id}"
    yield agent, "agent", of(f"/v1/agents/{quote(AGENT, safe='')}?as_of={AS_OF}")
    yield agent, "not-found", of("/v1/agents/https%3A%2F%2Fagents.example%2Fnobody")
    yield agent, "invalid-request", of("/v1/agents/book%00")
    yield "/v1/chains", "chains", of("/v1/chains?service=flights&limit=50")
    yield "/v1/chains", "invalid-request", of("/v1/chains?cursor=AAAA")
    yield (
        "/v1/findings",
        "contradiction",
        of(
            f"/v1/findings?name=actor_mismatch&state=open&origin=stored&severity=high&agent={quote(AGENT, safe='')}"
            f"&as_of={AS_OF}&limit=50"
        ),
    )
    yield "/v1/findings", "dangling", of(f"/v1/findings?name=dangling_cause&origin=computed&as_of={AS_OF}&limit=50")
    yield "/v1/findings", "a-page", of(f"/v1/findings?as_of={AS_OF}&limit=2")
    yield "/v1/findings", "invalid-request", of("/v1/findings?name=nothing")


def make_examples(asked: Servers) -> Iterator[Example]:
    """Every example, as the servers answer now."""
    for path, name, request in requests():
        response = asked.ask(request, "/v1/chains")
        media_type = response.headers["content-type"].partition(";")[0]
        body = response.json() if media_type.endswith("json") else response.text
        yield Example(path, response.status_code, name, media_type, request, body)


def main() -> None:
    """Writes the file anew."""
    with tempfile.TemporaryDirectory() as name, EmbeddedPostgres(Path(name) / "postgres") as postgres:
        url = Databases(postgres.url).fresh(fill)
        with servers(url, Path(name)) as asked:
            made = [_steady(each) for each in make_examples(asked)]
    FILE.write_text("".join(json.dumps(each._asdict(), ensure_ascii=False) + "\n" for each in made))
    print(f"{len(made)} examples in {FILE}")


def _steady(example: Example) -> Example:
    """The example, its times of requests, which differ at every run, as they were written before."""
    if example.path != "/metrics" or example.status != 200:
        return example
    before = [each for each in read_examples() if (each.path, each.status) == (example.path, 200)]
    return before[0] if before and series(before[0].body) == series(example.body) else example


def series(text: str) -> set[tuple[str, str, frozenset[str]]]:
    """Of metrics, what does not depend on what was asked before: families, types, labels."""
    families = [each for each in text_string_to_metric_families(text) if not each.name.startswith("answerable_http")]
    return {(f.name, f.type, frozenset(label for s in f.samples for label in s.labels)) for f in families}


if __name__ == "__main__":
    main()
