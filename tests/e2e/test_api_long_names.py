"""Whatever the format lets anybody record is found by its name over HTTP, as far as a request can carry the name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import httpx
import pytest

from api.access import Tokens
from api.app import create_app
from api.store import Store
from ledger.format.limits import HEADER_STRING_BYTES
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import store
from tests.e2e.test_api import serving
from tests.sentinel.sweeping import sentinel
from tests.services.databases import Databases
from tests.services.forge import LEDGER
from tests.write_examples import TENANT, trust

AGENT: Final = "https://a.example/" + "ü" * ((HEADER_STRING_BYTES - 18) // 2)
LONG: Final = {
    "resource": "r" * 50_000,
    "system": "s" * 20_000,
    "action": "é" * 9_000,
    "jti": "j" * 30_000,
    "grant": "g" * 30_000,
    "policy": "p" * 30_000,
    "document": "https://d.example/" + "d" * 20_000,
}
CONTROLS: Final = "\U0001f600\x01" * 200
STORY: Final = f"""
person alice Alice
r1 registry agent_registration agent_id={AGENT} state=active owner=alice
g1 consent grant grant_id={LONG["grant"]} action=give grantor=alice method=explicit
t1 issuer token_issuance status=issued token={LONG["jti"]} subject=alice verification=issuer observer=issuer
t2 issuer token_issuance status=issued token=j2 client_id={"c" * 30_000}
t3 issuer token_issuance status=issued token=j3 client_id={"c" * 30_000}c
t4 issuer token_issuance status=issued token=j4 client_id={CONTROLS}
d1 policy policy_decision decision=allow policy_id={LONG["policy"]} action=read
p1 agent prompt trigger_kind=human trust=trusted principal=alice agent={AGENT}
o1 agent observation uri={LONG["document"]} source=tool trust=trusted <- p1:started_by
a1 agent api_action action_id={LONG["action"]} phase=completed operation=read observer=agent agent={AGENT} <- p1:started_by
a2 agent api_action action_id=a2 phase=completed operation=read resource={LONG["resource"]} observer=agent <- p1:started_by
a3 agent api_action action_id=a3 phase=completed operation=read target_system={LONG["system"]} observer=agent <- p1:started_by
"""


def story() -> Story:
    return read_scenario(STORY, TENANT)


@pytest.fixture(scope="module")
def client(postgres: Databases) -> Iterator[httpx.Client]:
    url = postgres.fresh(lambda at: sentinel(at, store(at, story())))
    bundle = trust(story()).bundle
    app = create_app(store=Store(url), ledger=LEDGER, tokens=Tokens(None, TENANT), bundle=lambda: bundle)
    with serving(app) as made:
        yield made
    postgres.drop(url)


def _named(what: str) -> str:
    return quote(AGENT if what == "agent" else LONG[what], safe="")


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("/v1/agents/{}", "agent"),
        ("/v1/events?agent={}", "agent"),
        ("/v1/events?resource={}", "resource"),
        ("/v1/events?value={}", "resource"),
        ("/v1/events?value={}", "system"),
        ("/v1/actions/{}", "action"),
        ("/v1/grants/{}", "grant"),
        ("/v1/tokens/as/{}", "jti"),
        ("/v1/touched/document/{}", "document"),
        ("/v1/touched/policy/{}", "policy"),
        ("/v1/coverage?system={}", "system"),
        ("/v1/findings?agent={}", "agent"),
    ],
    ids=lambda each: each.rpartition("/")[2],
)
def test_what_has_a_long_name_is_found_by_it(client: httpx.Client, target: str, what: str) -> None:
    response = client.get(target.format(_named(what)))
    assert response.status_code == 200, response.text[:300]
    found = response.json()
    if "/coverage" in target:
        assert found["judged"] == {"actions": 1, "accounts": 1}
    elif "/findings" in target:
        assert found["items"] == []
    else:
        assert any(found.get(each) for each in ("items", "starts", "agent_id", "statements")), found.keys()


def test_pages_of_agents_go_on_from_one_whose_name_is_long(client: httpx.Client) -> None:
    found: list[str] = []
    parameters = {"limit": "1"}
    while True:
        page = client.get("/v1/agents", params=parameters)
        assert page.status_code == 200, page.text[:300]
        found += [each["agent_id"] for each in page.json()["items"]]
        if page.json()["next"] is None:
            break
        parameters["cursor"] = page.json()["next"]
    assert found == sorted([AGENT, *(f"as#{each}" for each in ("c" * 30_000, "c" * 30_001, CONTROLS))])
