"""The OpenAPI document as it is served: FastAPI's, with the problems that are sent, and an example of every documented answer.

The examples stand in ``examples.jsonl``, one a line, with the request that each answers. A test makes these requests again and
holds the answers against them; ``python -m tests.write_examples`` writes them anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from api.problems import Problem

FILE: Final = Path(__file__).parent / "examples.jsonl"
PATH: Final = "/v1/openapi.json"
EVERY_PATH: Final = "*"


class Example(NamedTuple):
    """What ``path`` (or every path that documents ``status``) answers to ``request``.

    ``request``: ``target``, the role of the ``token`` sent, and for some problems ``host``, bytes of ``padding`` of the query, or
    ``store: away``. ``body`` is text where the media type is no JSON.
    """

    path: str
    status: int
    name: str
    media_type: str
    request: Mapping[str, Any]
    body: Any


@cache
def read_examples() -> Sequence[Example]:
    """All examples, in the order of the file."""
    return [Example(**json.loads(line)) for line in FILE.read_text().splitlines()]


def serve_document(app: FastAPI) -> None:
    """Makes ``app`` serve the completed document, which is written once: it is large, and whoever asks for it waits alone."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(made(), read_examples())
        return app.openapi_schema or {}

    @cache
    def written() -> bytes:
        return JSONResponse(openapi()).body  # type: ignore[return-value]  # bytes, of a response that was rendered

    async def answer(_: Request) -> Response:
        return Response(written(), media_type=JSONResponse.media_type)

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation says
    app.add_route(PATH, answer, include_in_schema=False)


def complete(document: dict[str, Any], examples: Sequence[Example]) -> None:
    """Puts the model of problems and the examples in, and takes out FastAPI's form of a validation error, which is never sent."""
    models = document.setdefault("components", {}).setdefault("schemas", {})
    models["Problem"] = Problem.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        models.pop(name, None)
    for path, operations in document["paths"].items():
        operation = operations["get"]
        operation["responses"].pop("422", None)
        shown = [each for each in examples if each.path == path]
        own = {each.status for each in shown}
        shown += [each for each in examples if each.path == EVERY_PATH and each.status not in own]
        for example in shown:
            _show(operation["responses"], example)
        _fill(operation.get("parameters", ()), path, next((each for each in shown if each.status == 200), None))


def _show(responses: dict[str, Any], example: Example) -> None:
    content = responses.get(str(example.status), {}).get("content", {}).get(example.media_type)
    if content is not None:
        shown = {"summary": _words(example.request), "value": example.body, "x-request": example.request}
        content.setdefault("examples", {})[example.name] = shown


def _words(request: Mapping[str, Any]) -> str:
    token = f"with the token of an {request['token']}" if request.get("token") else "without a token"
    target = f"GET {request['target']} " if "target" in request else ""
    if "store" in request:
        return f"{target}while the store is {request['store']}"
    if "host" in request:
        return f"{target}with the header Host: {request['host']}, no tokens being configured"
    return f"{target}with a query of {request['padding']} bytes" if "padding" in request else f"{target}{token}"


def _fill(parameters: Sequence[dict[str, Any]], path: str, example: Example | None) -> None:
    """Gives the parameters the values of the first good example."""
    given = dict(_given(path, example.request["target"])) if example is not None else {}
    for parameter in parameters:
        if parameter["name"] in given:
            value = given[parameter["name"]]
            integer = parameter["schema"].get("type") == "integer"
            parameter["example"] = int(value) if integer else value


def _given(path: str, target: str) -> Iterator[tuple[str, str]]:
    parts = urlsplit(target)
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(path))
    found = re.fullmatch(pattern, parts.path)
    if found is not None:
        yield from ((name, unquote(value)) for name, value in found.groupdict().items())
    yield from parse_qsl(parts.query)
