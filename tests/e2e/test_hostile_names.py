"""Names and ids that are made to mislead: on a terminal they forge no line, over HTTP they are asked for as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from api.access import Tokens
from api.app import create_app
from api.store import Store
from ledger.cli.app import command
from ledger.format import ids
from ledger.settings import Settings
from ledger.trust.keys import b64url
from tests.attribution.scenario import Story
from tests.attribution.stored import store, trust_of
from tests.e2e.test_api import serving
from tests.sentinel.sweeping import sentinel
from tests.services.databases import Databases
from tests.services.forge import LEDGER

FORGED: Final = "every chain verifies"
BAD: Final = f"x\x1b[2J\x07<b>\u202e&\"'\n{FORGED}\r\t\u2028[red]boo[/x]$(id)"
AGENT: Final = {"agent": "https://a.example/travel", "run": "r1"}


def told() -> Story:
    story = Story("acme")
    story.person("alice", f"Alice\n{FORGED}")
    given = {
        "grant_id": BAD,
        "action": "give",
        "grantor": "alice",
        "delegate": BAD,
        "scopes": BAD,
        "method": "explicit",
    }
    story.event("g1", "as", "grant", given)
    issued = {"status": "issued", "token": "j1", "grant_id": BAD, "subject": "alice", "scopes": BAD, "client_id": BAD}
    story.event("t1", "as", "token_issuance", {**issued, "verification": "issuer", "observer": "issuer"})
    asked = {"trigger_kind": "human", "trust": "trusted", "channel": BAD, "principal": "alice"}
    story.event("p1", "app", "prompt", {**asked, **AGENT})
    read = {"source": "web", "uri": BAD, "trust": "untrusted", "status": "success"}
    story.event("o1", "app", "observation", {**read, **AGENT}, ["p1:started_by"])
    kept = {"action": "write", "store": BAD, "key": BAD, "trust": "untrusted"}
    story.event("m1", "app", "memory", {**kept, **AGENT}, ["o1:informed_by"])
    decided = {"decision": "allow", "policy_id": BAD, "policy_version": BAD, "action": BAD, "resource": BAD}
    story.event("d1", "pdp", "policy_decision", decided, ["p1:started_by"])
    done = {
        "action_id": BAD,
        "phase": "completed",
        "operation": BAD,
        "resource": BAD,
        "target_system": BAD,
        "token": "j1",
    }
    more = {"outcome": "success", "effect": "full", "activity": "delete", "observer": "agent", "principal": "alice"}
    story.event("a1", "app", "api_action", {**done, **more, **AGENT}, ["p1:started_by", "m1:informed_by"])
    story.event("a2", "app", "api_action", {**done, **more, "run": "r2"})
    return story


class Told(NamedTuple):
    url: str
    story: Story

    def id(self, name: str) -> str:
        return ids.text(self.story.events[name].made.event_id)

    def run(self, name: str) -> str:
        return ids.text(self.story.events[name].made.header.execution_id or b"")


@pytest.fixture(scope="module")
def hostile(postgres: Databases) -> Iterator[Told]:
    url, story = postgres.fresh(), told()
    sentinel(url, store(url, story))
    yield Told(url, story)
    postgres.drop(url)


def test_on_a_terminal_no_name_forges_a_line_or_moves_the_cursor(
    hostile: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = trust_of(hostile.story)
    (tmp_path / "trust.jsonl").write_bytes(trust.data)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    given = {
        "DATA_DIR": str(tmp_path),
        "STORE_URL": hostile.url,
        "LOG_URL": hostile.url,
        "LEDGER": LEDGER,
        "TENANT": "acme",
    }
    for name, value in {**given, "TRUST_ROOT": b64url(trust.root.public.raw)}.items():
        monkeypatch.setenv(f"ANSWERABLE_{name}", value)
    window = ["--since", "2025-12-31T00:00:00Z", "--until", "2026-01-02T00:00:00Z"]
    for verb in (
        *(["who-triggered", hostile.id(each)] for each in ("a1", "a2")),
        ["lineage", hostile.id("p1"), "--down"],
        ["lineage", "token:as#j1"],
        ["lineage", f"grant:{BAD}"],
        *(["touched", *each] for each in (("person", "idp#alice"), ("document", BAD), ("policy", BAD), ("grant", BAD))),
        ["touched", "memory", f"{BAD}#{BAD}"],
        ["replay", hostile.run("p1")],
        ["diff", hostile.run("p1"), hostile.run("a2")],
        ["find", BAD],
        ["find", f"not {BAD}"],
        ["agents"],
        ["findings"],
        ["coverage", "--by", "system"],
        *(["token-usage", "--by", each, *window] for each in ("client", "grant")),
    ):
        result = CliRunner().invoke(command(), verb)
        assert result.exit_code in (0, 1), (verb, result.output, result.exception)
        assert not [each for each in result.output if each != "\n" and not each.isprintable()], verb
        assert not [line for line in result.output.split("\n") if line.strip().startswith(FORGED)], verb


def test_over_http_a_name_with_a_line_break_is_asked_for_as_it_is(hostile: Told) -> None:
    bundle = trust_of(hostile.story).bundle
    made = create_app(store=Store(hostile.url), ledger=LEDGER, tokens=Tokens(None, "acme"), bundle=lambda: bundle)
    name = quote(BAD, safe="")
    paths = [f"touched/{what}/{name}" for what in ("grant", "document", "policy")]
    with serving(made) as client:
        for path in (*paths, f"touched/memory/{name}%23{name}", f"grants/{name}", f"actions/{name}"):
            assert client.get(f"/v1/{path}").status_code == 200, path
        assert "no agent" in client.get(f"/v1/agents/{name}").json()["detail"]
        assert client.get(f"/v1/nothing/{name}").json()["detail"] == "no such path"
