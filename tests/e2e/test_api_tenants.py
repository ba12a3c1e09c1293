"""Tokens and tenants on every path of the served document: what a token does not open is as if it were not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from api.access import Tokens
from api.app import create_app
from api.cursors import write_cursor
from api.door import TARGET_BYTES
from api.openapi import read_examples
from api.store import Store
from ledger.format import ids
from ledger.logs.postgres import PostgresLog
from tests.attribution.scenario import Story, digest_of, read_scenario
from tests.attribution.stored import store
from tests.e2e.test_api import is_problem, serving
from tests.e2e.test_api_examples import PATHS
from tests.sentinel.sweeping import sentinel
from tests.services.databases import Databases
from tests.services.forge import LEDGER
from tests.unit.test_api_access import line
from tests.write_examples import STORY, TENANT, UNKNOWN, story, trust

OTHER: Final = "other"
ROLES: Final = ("auditor", "operator", "admin")
OPEN: Final = {"/v1/health/live", "/v1/health/ready"}
"""Paths that need no token and look at none."""
MARK: Final = "secret"
OURS: Final = ("Alice Ash", "UA-101", "travel-agent")
"""What the one tenant's events say, and the other's do not."""
THEIRS: Final = (
    STORY.replace("Alice Ash", f"Mallory {MARK}")
    .replace("Dana Cole", f"Owen {MARK}")
    .replace("travel-agent", f"{MARK}-agent")
    .replace("https://agents.example/travel", f"https://{MARK}.example/agent")
    .replace("flight:UA-101", f"{MARK}:1")
    .replace("bookings.create", f"{MARK}.create")
    + f"p9 agent prompt trigger_kind=human trust=trusted principal=alice agent=https://{MARK}.example/agent run=r9\n"
    f"a9 agent api_action action_id={MARK}-9 phase=completed operation={MARK} observer=agent run=r9 <- p9:started_by\n"
    f"a8 agent api_action action_id={MARK}-8 phase=completed operation={MARK} observer=agent <- gone:started_by\n"
    f"g9 consent grant grant_id={MARK}-g action=give grantor=alice method=explicit\n"
    f"t9 issuer token_issuance status=issued token={MARK}-t verification=issuer observer=issuer\n"
    f"t8 issuer token_issuance status=issued token=@{MARK} verification=issuer observer=issuer\n"
)
"""Events of the same ids, actions, runs, tokens, services, keys and chain ids as the first tenant's; and some of their own."""


def theirs() -> Story:
    """A story whose events bear the ids of ours, as another tenant's may that has seen them."""
    return read_scenario(THEIRS, OTHER, ids_of=TENANT)


def fill_both(url: str) -> None:
    log = PostgresLog(url)
    log.prepare()
    log.close()
    sentinel(url, store(url, story(), theirs()))


@pytest.fixture(scope="module")
def client(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A served store of two tenants; a token is called ``tenant/role``."""
    url = postgres.fresh(fill_both)
    tokens: Path = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(
        "".join(line(f"{tenant}/{role}", tenant, role, role) for tenant in (TENANT, OTHER) for role in ROLES)
    )
    bundle = trust().bundle
    app = create_app(store=Store(url), ledger=LEDGER, tokens=Tokens(tokens, TENANT), bundle=lambda: bundle)
    with serving(app) as made:
        yield made
    postgres.drop(url)


def bearer(tenant: str, role: str) -> dict[str, str]:
    return {"authorization": f"Bearer {tenant}/{role}"}


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    served: dict[str, Any] = client.get("/v1/openapi.json").raise_for_status().json()
    return served


def operation(document: dict[str, Any], path: str) -> tuple[str, dict[str, Any]]:
    """The path with its example parameters filled in, and its query parameters."""
    parameters = document["paths"][path]["get"].get("parameters", [])
    inside = {each["name"]: each["example"] for each in parameters if each["in"] == "path"}
    return path.format(**inside), {each["name"]: each for each in parameters if each["in"] == "query"}


@pytest.mark.parametrize("path", PATHS)
def test_with_another_tenant_in_the_store_every_answer_is_the_same(client: httpx.Client, path: str) -> None:
    for example in read_examples():
        request = example.request
        if example.path != path or "store" in request or example.media_type == "text/plain":
            continue
        if example.name == "not-drawn":  # by a program that is not everywhere
            continue
        headers = bearer(TENANT, request["token"]) if request["token"] else {}
        response = client.get(request["target"], headers=headers)
        said = response.json() if example.media_type.endswith("json") else response.text
        assert (response.status_code, said) == (example.status, example.body), example.name


@pytest.mark.parametrize("path", PATHS)
def test_the_same_request_of_the_other_tenant_shows_only_its_own(
    client: httpx.Client, document: dict[str, Any], path: str
) -> None:
    target, query = operation(document, path)
    given = {name: each["example"] for name, each in query.items() if "example" in each}
    for params in ({}, given):
        for role in ROLES:
            text = client.get(target, params=params, headers=bearer(OTHER, role)).text
            assert not [each for each in OURS if each in text], f"{role} {params}"
            text = client.get(target, params=params, headers=bearer(TENANT, role)).text
            assert MARK not in text, f"{role} {params}"
    if path.startswith(("/v1/events", "/v1/actions", "/v1/executions", "/v1/tokens", "/v1/grants")):
        assert MARK in client.get(target, headers=bearer(OTHER, "auditor")).text, "the marks can be seen at all"


@pytest.mark.parametrize("path", [each for each in PATHS if "{" in each])
def test_what_only_another_tenant_has_is_not_found_like_what_never_was(client: httpx.Client, path: str) -> None:
    events = theirs().events
    run = events["p9"].made.header.execution_id or b""
    there = {"event_id": ids.text(events["a9"].made.event_id), "action_id": f"{MARK}-9", "execution_id": ids.text(run)}
    nowhere = {"event_id": UNKNOWN, "action_id": "nothing-9", "execution_id": UNKNOWN}
    there |= {"grant_id": f"{MARK}-g", "issuer": "as", "jti": f"{MARK}-t", "digest": digest_of(f"@{MARK}").hex()}
    there |= {"a": ids.text(run), "b": ids.text(run), "agent_id": f"https://{MARK}.example/agent"}
    nowhere |= {"grant_id": "nothing-g", "issuer": "as", "jti": "nothing-t", "digest": digest_of("nothing").hex()}
    there |= {"what": "grant", "value": f"{MARK}-g"}
    nowhere |= {"what": "grant", "value": "nothing-g"}
    nowhere |= {"a": UNKNOWN, "b": UNKNOWN, "agent_id": "https://nothing.example/agent"}
    assert client.get(path.format(**there), headers=bearer(OTHER, "auditor")).status_code == 200
    said = []
    for given in (there, nowhere):
        response = client.get(path.format(**given), headers=bearer(TENANT, "auditor"))
        assert is_problem(response, 404, "not-found")
        text = response.text
        for each in given.values():
            text = text.replace(each, "ID")
        said.append(text)
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "query",
    [
        {"resource": f"{MARK}:1"},
        {"agent": f"https://{MARK}.example/agent"},
        {"execution": ids.text(theirs().events["p9"].made.header.execution_id or b"")},
    ],
)
def test_a_search_for_what_only_another_tenant_has_finds_nothing(client: httpx.Client, query: dict[str, str]) -> None:
    assert client.get("/v1/events", params=query, headers=bearer(OTHER, "auditor")).json()["items"]
    assert client.get("/v1/events", params=query, headers=bearer(TENANT, "auditor")).json()["items"] == []


WRONG_TOKENS: Final = {
    "none": None,
    "unknown": "Bearer nobody",
    "empty": "Bearer",
    "another scheme": f"Basic {TENANT}/admin",
    "without scheme": f"{TENANT}/admin",
    "longer": f"Bearer {TENANT}/admin2",
    "cut short": f"Bearer {TENANT}/admi",
    "huge": "Bearer " + "x" * 20_000,
    "not ascii": "Bearer \xff\xfe",
    "a hash": "Bearer " + line(f"{TENANT}/admin", TENANT, "admin", "x").split()[0],
}
NO_TOKEN: Final = {"none", "empty", "another scheme", "without scheme"}


@pytest.mark.parametrize("path", PATHS)
def test_without_a_good_token_there_is_a_problem_and_nothing_else(
    client: httpx.Client, document: dict[str, Any], path: str
) -> None:
    target, _ = operation(document, path)
    for what, sent in WRONG_TOKENS.items():
        response = client.get(target, headers={} if sent is None else {b"authorization": sent.encode("latin-1")})
        if path in OPEN or (path == "/v1/health" and what in NO_TOKEN):
            assert response.status_code == 200, what
            assert "findings" not in response.json(), "figures need a token"
        else:
            assert is_problem(response, 401, "unauthenticated"), what
            assert response.headers["www-authenticate"].startswith("Bearer"), what


@pytest.mark.parametrize("path", PATHS)
def test_a_role_opens_its_own_paths_and_no_other(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    target, _ = operation(document, path)
    opened = {role for role in ROLES if client.get(target, headers=bearer(TENANT, role)).status_code == 200}
    if path in OPEN or path == "/v1/health":
        assert opened == {"auditor", "operator", "admin"}
    else:
        assert opened == ({"operator", "admin"} if path == "/metrics" else {"auditor", "admin"})
        for role in set(ROLES) - opened:
            assert is_problem(client.get(target, headers=bearer(TENANT, role)), 403, "forbidden")


HOSTILE: Final = {"NUL": "a%00b", "too long": "x" * TARGET_BYTES, "5,000 characters": "x" * 5_000}


@pytest.mark.parametrize("path", PATHS)
def test_a_hostile_value_is_a_typed_problem_in_every_parameter(
    client: httpx.Client, document: dict[str, Any], path: str
) -> None:
    target, query = operation(document, path)
    for name in [*query, "unheard_of"]:
        for what, value in HOSTILE.items():
            response = client.get(f"{target}?{name}={value}", headers=bearer(TENANT, "admin"))
            if what == "too long":
                assert is_problem(response, 414, "uri-too-long"), f"{name} {what}"
            elif what == "NUL" or name not in ("unheard_of", *long_names(document, path)):
                assert is_problem(response, 400, "invalid-request"), f"{name} {what}"
            elif name != "unheard_of":
                assert response.status_code == 200 or is_problem(response, 400, "invalid-request"), name
    for name in (each["name"] for each in document["paths"][path]["get"].get("parameters", []) if each["in"] == "path"):
        for value in ("%00", "x" * 5_000):
            response = client.get(path.replace("{" + name + "}", value), headers=bearer(TENANT, "admin"))
            unknown = value != "%00" and name in long_names(document, path) and is_problem(response, 404, "not-found")
            assert unknown or is_problem(response, 400, "invalid-request"), name


def long_names(document: dict[str, Any], path: str) -> list[str]:
    """The parameters of a path that take any name which can be recorded."""
    given = document["paths"][path]["get"].get("parameters", [])
    return [each["name"] for each in given if f"'maxLength': {TARGET_BYTES}" in str(each["schema"])]


LISTS: Final[dict[str, tuple[tuple[object, ...], list[list[Any]]]]] = {
    "/v1/events": (
        ("events", TENANT, *[None] * 8),
        [
            ["ab", "cd", 0],
            ["00" * 16, "00" * 31, 0],
            ["zz" * 16, "00" * 32, 0],
            ["00" * 16, "00" * 32, 10**30],
            ["00" * 16, "00" * 32, "0"],
            ["00" * 16, "00" * 32],
            [None, None, None],
        ],
    ),
    "/v1/chains": (("chains", TENANT, None), [[10**30], [-(10**30)], ["1"], [], [True], [[1]]]),
    "/v1/findings": (
        ("findings", TENANT, None, "open", None, None),
        [
            ["stored", 0, ""],
            ["stored", 0, "-1"],
            ["stored", 0, str(10**30)],
            ["stored", 10**30, "1"],
            ["stored", 0, "1.2"],
            ["events", 0, "1"],
            ["events", 0, "1.2.3.4.x"],
            ["nothing", 0, "1"],
            ["stored", 0, "9" * 100],
        ],
    ),
}


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_that_no_page_gave_is_refused_even_with_a_right_check(client: httpx.Client, path: str) -> None:
    scope, positions = LISTS[path]
    forged = [write_cursor(scope, position) for position in positions]
    for cursor in [*forged, "", "A", "AAAA", "=", "!" * 40, "é", "%5B" * 100, write_cursor(scope, [0])[:-3]]:
        response = client.get(f"{path}?cursor={quote(cursor, safe='%')}", headers=bearer(TENANT, "auditor"))
        assert is_problem(response, 400, "invalid-request"), cursor


@pytest.mark.parametrize("path", ["/v1/events", "/v1/chains", "/v1/findings", "/v1/executions/{}"])
def test_another_tenants_cursor_is_refused(client: httpx.Client, path: str) -> None:
    target = path.format(ids.text(story().events["p1"].made.header.execution_id or b""))
    for giver, taker in ((OTHER, TENANT), (TENANT, OTHER)):
        cursor = client.get(target, params={"limit": 1}, headers=bearer(giver, "auditor")).json()["next"]
        given = {"limit": 1, "cursor": cursor}
        assert client.get(target, params=given, headers=bearer(giver, "auditor")).status_code == 200
        assert is_problem(client.get(target, params=given, headers=bearer(taker, "auditor")), 400, "invalid-request")
