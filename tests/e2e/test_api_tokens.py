"""``/v1/tokens``, ``/v1/grants`` and ``/v1/token-usage`` over a real socket: names with slashes, pages, and what is no name."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from api.access import Tokens
from api.app import create_app
from api.store import Store
from tests.attribution.scenario import Story, digest_of, read_scenario
from tests.attribution.stored import store
from tests.e2e.test_api import is_problem, serving
from tests.services.databases import Databases
from tests.services.forge import LEDGER

JTIS = ("j1", "a/b", "ü #?%", "..")
ISSUED = "token_issuance status=issued verification=issuer observer=issuer"
STORY = f"""
person alice Alice
g1 consent grant grant_id=arn:aws/role grantor=alice action=give method=explicit
t1 issuer {ISSUED} token=j1 grant_id=arn:aws/role subject=alice
t2 issuer {ISSUED} token=@opaque subject_token=j1 subject=alice
x1 issuer token_revocation extent=token token=j1 issuer=as derived_tokens=unknown
"""
ISSUER = "https://login.example/realms/one"


def told() -> Story:
    story = read_scenario(STORY)
    for number, jti in enumerate(JTIS):
        service = story.forges["issuer"]
        reference = {"issuer": ISSUER, "jti": jti, "digest": None}
        payload = dict(story.events["t1"].payload) | {"token": reference, "grant_id": None}
        name = f"n{number}"
        made = service.make("token_issuance", payload)
        story.events[name] = story.events["t1"]._replace(name=name, made=made, payload=payload)
    return story


@pytest.fixture(scope="module")
def client(postgres: Databases) -> Iterator[httpx.Client]:
    url = postgres.fresh()
    bundle = store(url, told())
    app = create_app(store=Store(url), ledger=LEDGER, tokens=Tokens(None, "acme"), bundle=lambda: bundle)
    with serving(app) as made:
        yield made


@pytest.mark.parametrize("jti", JTIS)
def test_an_issuer_is_a_url_and_a_jti_is_any_text(client: httpx.Client, jti: str) -> None:
    found = client.get(f"/v1/tokens/{quote(ISSUER, safe='')}/{quote(jti, safe='').replace('.', '%2E')}")
    assert found.status_code == 200, found.text
    assert found.json()["asked"] == {"kind": "token", "issuer": ISSUER, "id": jti}
    assert len(found.json()["statements"]) == 1


def test_an_issuer_whose_slashes_were_decoded_on_the_way_is_understood(client: httpx.Client) -> None:
    assert client.get(f"/v1/tokens/{ISSUER}/j1").json()["asked"]["issuer"] == ISSUER


def test_one_jti_of_two_issuers_is_two_tokens(client: httpx.Client) -> None:
    ours, theirs = (client.get(f"/v1/tokens/{quote(each, safe='')}/j1").json() for each in ("as", ISSUER))
    assert ours["counted"]["rights"] == 1
    assert theirs["counted"]["rights"] == 0
    assert {each["event_id"] for each in ours["statements"]}.isdisjoint(
        each["event_id"] for each in theirs["statements"]
    )


def test_a_token_without_jti_is_asked_for_by_digest(client: httpx.Client) -> None:
    found = client.get(f"/v1/tokens/{digest_of('@opaque').hex().upper()}").json()
    assert [each["right"]["id"] for each in found["parents"]] == ["j1", "arn:aws/role"]
    assert [each["effect"] for each in found["ends"]] == ["unknown"], "nobody said what became of what was exchanged"


def test_pages_of_a_grant_follow_one_another_to_the_end(client: httpx.Client) -> None:
    path, met, cursor = f"/v1/grants/{quote('arn:aws/role', safe='')}", [], None
    for _ in range(5):
        page = client.get(path, params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        met += [each["kind"] for each in page["happenings"]]
        if (cursor := page["next"]) is None:
            break
    assert met == ["grant", "token_issuance", "token_issuance", "token_revocation"]
    assert page["as_of"] <= client.get(path).json()["as_of"]


@pytest.mark.parametrize(
    "target",
    [
        "/v1/tokens/%ff/j1",
        "/v1/tokens/as/%00",
        "/v1/tokens/as/j1?limit=0",
        "/v1/tokens/as/j1?after_revocation=perhaps",
        f"/v1/tokens/{'ab' * 31}",
        "/v1/grants/g?as_of=never",
        "/v1/token-usage?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
        "/v1/token-usage?by=",
    ],
)
def test_what_names_nothing_is_told_so(client: httpx.Client, target: str) -> None:
    assert is_problem(client.get(target), 400, "invalid-request"), client.get(target).text


def test_a_cursor_is_good_for_its_own_list_alone(client: httpx.Client) -> None:
    path = f"/v1/grants/{quote('arn:aws/role', safe='')}"
    cursor = client.get(path, params={"limit": 1}).json()["next"]
    for other in ("/v1/tokens/as/j1", "/v1/grants/another"):
        assert is_problem(client.get(other, params={"cursor": cursor}), 400, "invalid-request")


def test_usage_of_a_window_with_nothing_in_it_is_empty(client: httpx.Client) -> None:
    found = client.get("/v1/token-usage?since=2000-01-01T00:00:00Z&until=2000-01-02T00:00:00Z").json()
    assert (found["tokens"], found["groups"], found["truncated"]) == (0, [], [])
    assert found["looked_until"] == "2000-01-02T00:00:00.000000Z"
    assert client.get("/v1/token-usage?since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z").json()["tokens"] == 6
