"""Every input of the HTTP API: method, path, query and headers, against the application in this process and a real store."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import anyio.to_thread
from fastapi import FastAPI

from api.access import Tokens
from api.app import create_app
from api.store import Store
from ledger.store.lineage import PostgresLineage
from ledger.wiring import CLOCK
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces
from tests.fuzz.targets.remembering import Remembering, forget
from tests.sealing import LEDGER
from tests.seeded import ACME, bundle, seed, story
from tests.services.databases import Databases

_METHODS = ("GET", "HEAD", "POST", "OPTIONS", "DELETE", "PUT")
_GRAPHS = (b"application/graphml+xml", b"text/vnd.graphviz", b"image/svg+xml")
_HELD: dict[str, Any] = {}


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


@contextmanager
def serving(databases: Databases) -> Iterator[None]:
    """The application over a seeded store, for the target."""
    url = databases.fresh(seed)
    store = Store(url)
    store._pool.kwargs["cursor_factory"] = Remembering  # type: ignore[index]
    store.open()
    trusted = bundle()
    app = create_app(store=store, ledger=LEDGER, tokens=Tokens(None, ACME), bundle=lambda: trusted)
    now = CLOCK.now()
    app.state.lineage = PostgresLineage(store.connection, app.state.reading, lambda: now)
    _HELD.update(app=app, loop=asyncio.new_event_loop(), story=story(url))
    threaded, anyio.to_thread.run_sync = anyio.to_thread.run_sync, _here
    try:
        yield
    finally:
        anyio.to_thread.run_sync = threaded
        loop: asyncio.AbstractEventLoop = _HELD["loop"]
        loop.close()
        _HELD.clear()
        forget()
        store.close()
        databases.drop(url)


async def _here(call: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
    """A handler in the thread of the case, whose processor time is then the case's; no thread is begun for it."""
    return call(*arguments)


def request(data: bytes) -> None:
    """Parts are a byte of method, path, query, and headers' names and values."""
    method, path, query, *headers = [*pieces.split(data), b"", b"", b""]
    answer = ask(_METHODS[method[0] % len(_METHODS)] if method else "GET", path, query, headers)
    kind = answer.headers.get(b"content-type", b"").split(b";")[0]
    assert answer.status < 500, (answer.status, answer.body)
    assert kind in (b"application/json", b"application/problem+json", b"text/plain", b"", *_GRAPHS), kind
    if kind.endswith(b"json") and answer.body:
        assert isinstance(json.loads(answer.body), dict)
    assert answer.status == 200 or kind == b"application/problem+json", (answer.status, kind)
    assert answer.headers[b"x-content-type-options"] == b"nosniff"


def ask(method: str, path: bytes, query: bytes, headers: list[bytes]) -> Answer:
    """One request, as uvicorn hands it to the application; the host is ours unless the headers name one."""
    given = [
        (_token(name).lower(), _visible(value))
        for name, value in zip(headers[::2], headers[1::2], strict=False)
        if name
    ]
    if not any(name == b"host" for name, _ in given):
        given.append((b"host", b"127.0.0.1"))
    decoded = re.sub(rb"%([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), path)
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": "/" + decoded.decode("utf-8", "replace"), "raw_path": b"/" + path, "root_path": "",
        "query_string": query.replace(b"#", b""), "headers": given, "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    found: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        found.append(message)

    app: FastAPI = _HELD["app"]
    loop: asyncio.AbstractEventLoop = _HELD["loop"]
    loop.run_until_complete(app(scope, receive, send))
    return Answer(found[0]["status"], dict(found[0]["headers"]), b"".join(each.get("body", b"") for each in found[1:]))


def _token(name: bytes) -> bytes:
    """What an HTTP server lets pass as a header's name."""
    return re.sub(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]", b"x", name)


def _visible(value: bytes) -> bytes:
    """What an HTTP server lets pass as a header's value."""
    return re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", value)


def _seeds() -> Iterator[bytes]:
    known = _HELD["story"] if _HELD else None
    event = (known.action if known else "018f4c1e-6a00-7cc3-98c4-dc0c0c07398f").encode()
    execution = b"018f4c1e-6a00-7cc3-98c4-dc0c0c07398f"
    at = b"as_of=2026-03-01T12:00:00Z"
    later = b"as_of=2199-01-01T00:00:00Z"
    for path, query in (
        (b"v1/events", b"correlation=trace:0af7651916cd43dd8448eb211c80319c&kind=api_action&limit=3"),
        (
            b"v1/events",
            b"principal=https://issuer.example%23alice&agent=x&resource=y&since=2020-01-01T00:00:00Z&cursor=AA",
        ),
        (b"v1/events/" + event, b""),
        (b"v1/events/" + event + b"/who-triggered", at),
        (b"v1/events/" + event + b"/lineage", b"direction=down&depth=3&nodes=5"),
        (b"v1/actions/book-1", b""),
        (b"v1/executions/" + execution, b"limit=1"),
        (b"v1/executions/" + execution + b"/graph", b"nodes=3"),
        (b"v1/executions/" + execution + b"/graph", b"format=graphml&" + later),
        (b"v1/executions/" + execution + b"/diff/" + execution, b""),
        (b"v1/coverage", b"by=agent&agent=x&service=travel-agent&system=s&kind=api_action&since=2020-01-01T00:00:00Z"),
        (b"v1/coverage", b"by=grade&until=2099-12-31T23:59:59Z"),
        (b"v1/agents", b"remark=never_seen&state=active&owner=https://issuer.example%23olga&limit=2&" + later),
        (b"v1/agents/https%3A%2F%2Fissuer.example%23travel-agent", later),
        (b"v1/touched/person/https%3A%2F%2Fissuer.example%23alice", b"nodes=7"),
        (b"v1/touched/token/https%3A%2F%2Fissuer.example%23token-1", later),
        (b"v1/touched/policy/p@1", b"cursor=AA"),
        (b"v1/touched/document/https%3A%2F%2Fx", b""),
        (b"v1/tokens/https%3A%2F%2Fissuer.example/token-1", b"after_revocation=true&limit=1"),
        (b"v1/tokens/" + b"ab" * 32, at),
        (b"v1/grants/g-1", b"limit=1"),
        (b"v1/token-usage", b"by=client&since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z"),
        (b"v1/findings", b"name=gap&state=open"),
        (b"v1/findings", b"name=expired_token&origin=stored&" + later),
        (b"v1/chains", b"service=travel-agent"),
        (b"v1/health", b""),
        (b"metrics", b""),
        (b"v1/openapi.json", b""),
    ):
        yield pieces.join([b"\0", path, query, b"authorization", b"Bearer x", b"accept", b"*/*"])


TARGETS = (
    Target(
        "http",
        request,
        _seeds,
        size=10_000,
        short=150,
        words=(
            b"%00",
            b"%ff",
            b"%ed%a0%80",
            b"%2f",
            b"..",
            b"&limit=",
            b"&cursor=",
            b"&as_of=",
            b"&by=",
            b"&format=dot",
            b"%23",
            b"host",
            b"authorization",
            b"Bearer ",
        ),
    ),
)
