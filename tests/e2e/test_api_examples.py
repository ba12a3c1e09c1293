"""The examples of the served OpenAPI document, made again: each path called as its example says, the answer held against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis

from api.app import ROUTERS
from api.openapi import read_examples
from ledger.attribution.drawing import SVG
from tests.services.databases import Databases
from tests.write_examples import Servers, fill, requests, series, servers

ANEW = "if the answer was changed on purpose, `python -m tests.write_examples` writes the examples anew"
PATHS = sorted(str(getattr(route, "path_format", "")) for router in ROUTERS for route in router.routes)


@pytest.fixture(scope="module")
def asked(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    url = postgres.fresh(fill)
    with servers(url, tmp_path_factory.mktemp("served")) as made:
        yield made
    postgres.drop(url)


@pytest.fixture(scope="module")
def document(asked: Servers) -> dict[str, Any]:
    served: dict[str, Any] = asked.guarded.get("/v1/openapi.json").raise_for_status().json()
    return served


def shown(document: dict[str, Any], path: str) -> Iterator[tuple[int, str, str, Any]]:
    """Status, media type, name and example of everything that a path documents."""
    for status, response in document["paths"][path]["get"]["responses"].items():
        for media_type, content in response["content"].items():
            for name, example in content.get("examples", {}).items():
                yield int(status), media_type, name, example


def test_the_document_has_the_paths_of_the_application(document: dict[str, Any]) -> None:
    assert sorted(document["paths"]) == PATHS
    assert {"/v1/events", "/v1/findings", "/v1/chains", "/v1/health", "/metrics"} < set(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_every_documented_answer_has_an_example(document: dict[str, Any], path: str) -> None:
    for status, response in document["paths"][path]["get"]["responses"].items():
        for media_type, content in response["content"].items():
            drawn = media_type == SVG  # by a program that is not everywhere
            assert content.get("examples") or drawn, f"{path} {status} {media_type}"
    for parameter in document["paths"][path]["get"].get("parameters", []):
        told = "example" in parameter
        assert told is (parameter["name"] not in ("cursor", "resource", "class", "reason")), parameter[
            "name"
        ]  # nothing goes with all the others


@pytest.mark.parametrize("path", PATHS)
def test_every_example_is_what_is_answered(asked: Servers, document: dict[str, Any], path: str) -> None:
    operation = schemathesis.openapi.from_dict(document)[path]["GET"]
    statuses = set()
    for status, media_type, name, example in shown(document, path):
        target = next(
            each["x-request"]["target"] for *_, each in shown(document, path) if "target" in each["x-request"]
        )
        response = asked.ask(example["x-request"], target.partition("?")[0])
        said = response.headers["content-type"].partition(";")[0]
        assert (response.status_code, said) == (status, media_type), f"{path} {name}"
        if media_type.endswith("json"):
            assert response.json() == example["value"], f"{path} {name}: {ANEW}"
        elif path != "/metrics":
            assert response.text == example["value"], f"{path} {name}: {ANEW}"
        else:
            assert series(response.text) == series(example["value"]), f"{path} {name}"
        operation.validate_response(response)
        statuses.add(status)
    assert {200, 400, 414, 421} <= statuses


@pytest.mark.parametrize("path", PATHS)
def test_the_parameters_of_the_document_make_the_first_good_example(
    asked: Servers, document: dict[str, Any], path: str
) -> None:
    parameters = document["paths"][path]["get"].get("parameters", [])
    given = {each["name"]: each["example"] for each in parameters if "example" in each}
    inside = {each["name"] for each in parameters if each["in"] == "path"}
    _, _, name, example = next(each for each in shown(document, path) if each[0] == 200)
    role = example["x-request"]["token"]
    response = asked.guarded.get(
        path.format(**given),
        params={key: value for key, value in given.items() if key not in inside},
        headers={"authorization": f"Bearer {role}"} if role else {},
    )
    assert response.status_code == 200, name
    if path != "/metrics":
        assert response.json() == example["value"], f"{name}: {ANEW}"


def test_the_file_holds_the_requests_of_the_story_and_no_other() -> None:
    assert [(each.path, each.name, each.request) for each in read_examples()] == [
        (path, name, request) for path, name, request in requests()
    ]
