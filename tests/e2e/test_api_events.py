"""Events and answers over HTTP, on a seeded store: documented shapes, tenants apart, hostile input, OpenAPI that is true."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from api.access import Tokens
from api.answer_models import Answer
from api.app import create_app
from api.event_models import EventList, Events, Execution
from api.health import Health
from api.routes.answers import Graph
from api.routes.records import Chains, Findings
from api.store import Store
from ledger.event_view import TIMES
from ledger.format import ids
from ledger.schema_files import directory
from tests.e2e.test_api import is_problem, serving
from tests.sealing import LEDGER
from tests.seeded import ACME, AGENT, EXECUTION, OTHER, Story, bundle, seed, story
from tests.services.databases import Databases

RUN = ids.text(EXECUTION)


@pytest.fixture(scope="module")
def url(postgres: Databases) -> Iterator[str]:
    made = postgres.fresh(seed)
    yield made
    postgres.drop(made)


@pytest.fixture(scope="module")
def told(url: str) -> Story:
    return story(url)


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client with the token of ACME's administrator; ``other`` is the token of the other tenant's."""
    path: Path = tmp_path_factory.mktemp("tokens") / "tokens"
    lines = [f"{sha256(tenant.encode()).hexdigest()} {tenant} admin {tenant}\n" for tenant in (ACME, OTHER)]
    path.write_text("".join(lines))
    app = create_app(store=Store(url), ledger=LEDGER, tokens=Tokens(path, ACME), bundle=bundle)
    with serving(app) as made:
        made.headers["authorization"] = f"Bearer {ACME}"
        yield made


def test_the_answer_has_the_documented_shape(client: httpx.Client, told: Story) -> None:
    answer = Answer.model_validate(client.get(f"/v1/events/{told.outcome}/who-triggered").raise_for_status().json())
    assert (answer.class_, answer.asked, answer.action_id) == ("attributed", told.outcome, "book-1")
    assert answer.triggers[0].who is not None
    assert answer.triggers[0].who.name == "Alice"
    orphan = Answer.model_validate(client.get(f"/v1/events/{told.orphan}/who-triggered").raise_for_status().json())
    assert (orphan.class_, orphan.reasons) == ("unattributed", ["no_trigger"])


def test_every_path_has_the_documented_shape(client: httpx.Client, told: Story) -> None:
    shapes: list[tuple[str, type[BaseModel]]] = [
        ("/v1/events", Events),
        (f"/v1/events/{told.action}", EventList),
        (f"/v1/events/{told.action}/lineage", Graph),
        (f"/v1/events/{told.prompt}/lineage?direction=down", Graph),
        ("/v1/actions/book-1", EventList),
        (f"/v1/executions/{RUN}", Execution),
        (f"/v1/executions/{RUN}/graph", Graph),
        ("/v1/chains", Chains),
        ("/v1/findings?state=all", Findings),
        ("/v1/health", Health),
    ]
    for path, shape in shapes:
        shape.model_validate(client.get(path).raise_for_status().json())
    assert client.get("/v1/health").json()["bundle_judged"] == "current"


def test_an_event_says_what_was_recorded(client: httpx.Client, told: Story) -> None:
    (event,) = client.get(f"/v1/events/{told.outcome}").raise_for_status().json()["items"]
    assert event["payload"]["operation"] == "POST /bookings"
    assert event["payload"]["token"] == {"issuer": "https://issuer.example", "jti": "token-1", "digest": None}
    assert event["principal"]["name"] == "Alice"
    assert {cause["relation"] for cause in event["causes"]} == {"completes", "started_by"}
    assert event["effective"] is True


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"kind": "api_action"}, 3),
        ({"agent": AGENT, "kind": "api_action"}, 2),
        ({"resource": "flight:NY-1"}, 2),
        ({"principal": "https://issuer.example#alice", "kind": "prompt"}, 1),
        ({"correlation": "trace:0af7651916cd43dd8448eb211c80319c"}, 1),
        ({"execution": RUN}, 4),
        ({"kind": "api_action", "since": "2100-01-01T00:00:00Z"}, 0),
        ({"kind": "api_action", "until": "2100-01-01T00:00:00Z"}, 3),
        ({"principal": "https://issuer.example#bob"}, 0),
    ],
)
def test_events_are_found_by_what_they_say(client: httpx.Client, query: dict[str, str], count: int) -> None:
    found = client.get("/v1/events", params=query).raise_for_status().json()
    assert len(found["items"]) == count
    assert "payload" not in (found["items"] or [{}])[0]


def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are(client: httpx.Client) -> None:
    refused = client.get("/v1/events", params={"kind": "apiaction"})
    assert is_problem(refused, 400, "invalid-request")
    assert refused.json()["detail"].startswith(
        "no event matches, and there is no kind 'apiaction' (api_action?); there are "
    )


@pytest.mark.parametrize("path", ["/v1/events", "/v1/findings", "/v1/events/{prompt}", "/v1/agents"])
def test_a_parameter_that_a_path_does_not_have_is_refused(client: httpx.Client, told: Story, path: str) -> None:
    refused = client.get(path.format(prompt=told.prompt), params={"knd": "prompt"})
    assert is_problem(refused, 400, "invalid-request")
    assert refused.json()["detail"].startswith("there is no parameter 'knd'")


def test_a_parameter_given_twice_is_refused_and_a_probe_may_append_what_it_likes(client: httpx.Client) -> None:
    refused = client.get("/v1/events?limit=1&limit=2")
    assert is_problem(refused, 400, "invalid-request")
    assert refused.json()["detail"] == "the parameter limit is given twice"
    assert client.get("/v1/health/live?from=probe").status_code == 200


@pytest.mark.parametrize("path", ["/v1/events", f"/v1/executions/{RUN}"])
def test_pages_together_are_the_whole_list_and_no_item_comes_twice(client: httpx.Client, path: str) -> None:
    whole = [item["event_id"] for item in client.get(path).raise_for_status().json()["items"]]
    pages: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(len(whole) + 1):
        page = client.get(path, params={"limit": 2, **cursor}).raise_for_status().json()
        pages += [item["event_id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert pages == whole
    assert len(set(pages)) == len(pages) > 3


def test_a_cursor_is_good_for_its_own_list_filters_and_tenant_only(client: httpx.Client) -> None:
    cursor = client.get("/v1/events", params={"limit": 1}).json()["next"]
    assert client.get("/v1/events", params={"limit": 1, "cursor": cursor}).status_code == 200
    for path, query, token in (
        ("/v1/events", {"kind": "prompt"}, ACME),
        (f"/v1/executions/{RUN}", {}, ACME),
        ("/v1/chains", {}, ACME),
        ("/v1/events", {}, OTHER),
    ):
        headers = {"authorization": f"Bearer {token}"}
        assert is_problem(client.get(path, params={"cursor": cursor, **query}, headers=headers), 400, "invalid-request")


def test_another_tenants_things_are_not_found_like_any_that_never_were(client: httpx.Client, told: Story) -> None:
    paths = ["/v1/events/{}", "/v1/events/{}/who-triggered", "/v1/events/{}/lineage"]
    unknown = told.foreign[:-4] + "0000"
    for path in paths:
        there, nowhere = client.get(path.format(told.foreign)), client.get(path.format(unknown))
        assert is_problem(there, 404, "not-found")
        assert there.text.replace(told.foreign, "") == nowhere.text.replace(unknown, "")
    other = {"authorization": f"Bearer {OTHER}"}
    assert client.get(f"/v1/events/{told.foreign}", headers=other).status_code == 200
    for path in ("/v1/actions/book-1", f"/v1/executions/{RUN}", f"/v1/executions/{RUN}/graph"):
        assert client.get(path).status_code == 200
        assert is_problem(client.get(path, headers=other), 404, "not-found")
    shown = client.get("/v1/events", headers=other, params={"limit": 500}).json()["items"]
    assert told.foreign in {item["event_id"] for item in shown}
    assert not {told.prompt, told.action} & {item["event_id"] for item in shown}


def test_an_id_of_a_run_is_no_event_and_the_problem_says_what_it_is(client: httpx.Client, told: Story) -> None:
    for path in (f"/v1/events/{RUN}", f"/v1/events/{RUN}/who-triggered"):
        assert client.get(path).json()["detail"].endswith("but a run of that id: ask for its replay")
    assert "an event of that id" in client.get(f"/v1/executions/{told.prompt}/replay").json()["detail"]


def test_as_of_a_time_before_the_log_had_it_there_is_no_event(client: httpx.Client, told: Story) -> None:
    path = f"/v1/events/{told.outcome}/who-triggered"
    assert is_problem(client.get(path, params={"as_of": "2020-01-01T00:00:00Z"}), 404, "not-found")
    assert client.get(path, params={"as_of": "2100-01-01T00:00:00Z"}).json()["coverage"]["as_of"].startswith("2100")


HOSTILE = [
    "%00",
    "%F0%9F%92%A9",
    "'; drop table events;--",
    "..%2F..%2Fetc",
    "%ED%A0%80",
    "x" * 5000,
    "{}",
    "-1",
    "%FF%FE",
    "🦄",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_hostile_input_is_a_server_error(client: httpx.Client, text: str) -> None:
    for target in (
        f"/v1/events/{text}",
        f"/v1/events/{text}/who-triggered",
        f"/v1/actions/{text}",
        f"/v1/executions/{text}/graph",
        f"/v1/events?correlation={text}",
        f"/v1/events?principal={text}&agent={text}",
        f"/v1/events?cursor={text}",
        f"/v1/events?since={text}",
        f"/v1/findings?name={text}",
    ):
        response = client.get(target)
        assert response.status_code < 500, target
        assert response.status_code == 200 or response.headers["content-type"] == "application/problem+json"


def test_an_id_of_a_megabyte_is_refused(client: httpx.Client) -> None:
    opened = http.client.HTTPConnection("127.0.0.1", client.base_url.port, timeout=10)
    # The server may close the connection before it has read all of it.
    with contextlib.closing(opened) as connection, contextlib.suppress(ConnectionError):
        connection.request("GET", "/v1/events/" + "a" * 1_000_000)
        assert connection.getresponse().status in (400, 414)
    assert client.get("/v1/health").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_written(client: httpx.Client, told: Story, method: str) -> None:
    response = client.request(
        method, f"/v1/events/{told.action}", content=b"\xff\x00{", headers={"content-type": "text/xml"}
    )
    assert is_problem(response, 405, "method-not-allowed")


def test_the_times_of_payloads_are_those_of_the_schemas() -> None:
    stated: set[str] = set()

    def look(schema: Any) -> None:
        for each in schema if isinstance(schema, list) else [schema]:
            if isinstance(each, dict):
                for field in each.get("fields", []):
                    if "µs since 1970" in field.get("doc", ""):
                        stated.add(field["name"])
                    look(field["type"])
                look(each.get("items", []))

    for path in directory().glob("*.avsc"):
        if path.name.split(".")[0] not in ("seal", "event_header"):
            look(json.loads(path.read_text()))
    assert stated == TIMES


def test_openapi_describes_every_problem_and_needs_a_token(client: httpx.Client) -> None:
    schema = client.get("/v1/openapi.json").raise_for_status().json()
    assert "HTTPValidationError" not in str(schema)
    for path, operations in schema["paths"].items():
        operation = operations["get"]
        open_to_all = path in ("/v1/health/live", "/v1/health/ready")  # an orchestrator's probe has no token
        needed = [{"HTTPBearer": []}, *([{}] if path == "/v1/health" else [])]  # who has none is told less of health
        assert operation.get("security") == (None if open_to_all else needed), path
        assert ("401" in operation["responses"]) is not open_to_all, path
        assert {"200", "400", "414", "421"} <= operation["responses"].keys(), path
