"""The API as a stranger meets it: over a real socket, on a real Postgres."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.access import Tokens
from api.app import create_app
from api.cursors import write_cursor
from api.door import TARGET_BYTES
from api.protocol import Protocol
from api.sockets import bind, listen
from api.store import Store
from ledger.schema_files import load_schemas
from ledger.store.migrations import migrate
from ledger.store.nodes import Reading
from ledger.trust.bundle import TrustBundle
from tests.services.databases import Databases


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of ``app`` behind a real uvicorn on a free port."""
    config = uvicorn.Config(app, http=Protocol, log_level="error", access_log=False, ws="none", server_header=False)
    server = uvicorn.Server(config)
    with bind("127.0.0.1", 0) as bound:
        listen(bound)  # so that who comes before the server does waits for it
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", timeout=10) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(20)


def app_for(url: str, tokens: Tokens | None = None) -> FastAPI:
    return create_app(store=Store(url), ledger="acme", tokens=tokens or Tokens(None, "acme"), bundle=lambda: None)


@pytest.fixture
def client(postgres: Databases) -> Iterator[httpx.Client]:
    url = postgres.fresh(migrate)
    with serving(app_for(url)) as made:
        yield made
    postgres.drop(url)


def is_problem(response: httpx.Response, status: int, name: str) -> bool:
    body = response.json()
    return (
        response.status_code == status == body["status"]
        and response.headers["content-type"] == "application/problem+json"
        and body["type"] == f"urn:answerable:problem:{name}"
        and set(body) == {"type", "title", "status", "detail"}
    )


def defective() -> TrustBundle | None:
    raise ValueError("nobody who asks can help it")


def test_a_defect_is_logged_and_is_no_fault_of_who_asks(postgres: Databases, caplog: pytest.LogCaptureFixture) -> None:
    url = postgres.fresh(migrate)
    app = app_for(url)
    app.state.reading = Reading(load_schemas(), "acme", defective)
    with serving(app) as client:
        client.headers["connection"] = "close"  # the server does after a defect
        for target in ("/v1/findings", "/v1/findings?limit=1"):
            assert is_problem(client.get(target), 500, "internal"), target
        cursor = write_cursor(["findings", "acme", None, "open", None, None, None, None], ["chains", 1, "0"])
        assert is_problem(client.get("/v1/findings", params={"cursor": cursor}), 500, "internal")
        for mangled in ("x", cursor[:-3]):
            assert is_problem(client.get("/v1/findings", params={"cursor": mangled}), 400, "invalid-request")
    assert sum("defect at /v1/findings" in each.getMessage() for each in caplog.records) == 3
    postgres.drop(url)


def test_every_answer_carries_the_security_headers(client: httpx.Client) -> None:
    for path in ("/v1/health", "/v1/nothing", "/v1/chains?limit=0"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


@pytest.mark.parametrize(
    "target",
    [
        "/v1/chains?limit=0",
        "/v1/chains?limit=501",
        "/v1/chains?limit=many",
        "/v1/chains?service=%00",
        "/v1/chains?cursor=AAAA",
        "/v1/chains?cursor=" + "A" * 600,
        "/v1/findings?as_of=yesterday",
        "/v1/findings?as_of=2026-03-01T12:00:00",
        "/v1/findings?as_of=9999-12-31T23:59:59.999999999Z",
        "/v1/findings?state=half",
        "/v1/findings?name=" + "x" * 65,
        "/v1/findings?name=nothing",
        "/v1/findings?origin=elsewhere",
        "/v1/findings?state=",
    ],
)
def test_a_parameter_out_of_bounds_is_a_problem_that_names_it(client: httpx.Client, target: str) -> None:
    assert is_problem(client.get(target), 400, "invalid-request")


@pytest.mark.parametrize("as_of", ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00+01:00", "0001-01-01T00:00:00Z"])
def test_a_time_may_have_any_offset(client: httpx.Client, as_of: str) -> None:
    found = client.get("/v1/findings", params={"as_of": as_of}).json()
    assert (found["items"], found["next"]) == ([], None)
    assert found["truncated"] == ["trust"], "this server has no bundle"
    assert client.get(f"/v1/findings?as_of={as_of}").status_code == 200


def test_what_is_no_path_or_method_is_a_problem(client: httpx.Client) -> None:
    assert is_problem(client.get("/v2"), 404, "not-found")
    assert is_problem(client.post("/v1/health"), 405, "method-not-allowed")


def test_a_request_that_is_too_long_is_refused(client: httpx.Client) -> None:
    longest = TARGET_BYTES - len("/v1/chains")
    assert client.get("/v1/chains?" + "x" * longest).json()["detail"].startswith("there is no parameter")
    assert is_problem(client.get("/v1/chains?" + "x" * (longest + 1)), 414, "uri-too-long")


@pytest.mark.parametrize(
    "sent", [f"GET /v1/chains?{'x' * 70_000} HTTP/1.1\r\nhost: a\r\n\r\n", "nonsense\r\n\r\n"], ids=len
)
def test_what_no_parser_reads_is_a_problem_too(client: httpx.Client, sent: str) -> None:
    """Of a target over 65,535 bytes no handler hears."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as asking:
        asking.sendall(sent.encode())
        head, _, body = asking.makefile("rb").read().partition(b"\r\n\r\n")
    status, *headers = head.decode().splitlines()
    named = dict(each.split(": ", 1) for each in headers)
    response = httpx.Response(int(status.split()[1]), headers=named, content=body)
    assert is_problem(response, 400, "invalid-request")
    assert str(TARGET_BYTES) in response.json()["detail"]
    assert named["X-Content-Type-Options"] == "nosniff"


def test_without_tokens_a_strangers_host_name_is_refused(client: httpx.Client) -> None:
    assert is_problem(client.get("/v1/chains", headers={"host": "evil.example:80"}), 421, "misdirected")
    assert client.get("/v1/chains", headers={"host": "localhost:8420"}).status_code == 200
    assert client.get("/v1/chains", headers={"host": "[::1]:8420"}).status_code == 200


def test_metrics_count_by_route_and_never_by_path(client: httpx.Client) -> None:
    for _ in range(3):
        client.get("/v1/findings", params={"name": "gap"})
    client.get("/v1/made-up-path")
    text = client.get("/metrics").text
    assert 'answerable_http_requests_total{method="GET",route="/v1/findings",status="200"} 3.0' in text
    assert "made-up-path" not in text


@pytest.fixture
def guarded(postgres: Databases, tmp_path: Path) -> Iterator[httpx.Client]:
    url = postgres.fresh(migrate)
    lines = [f"{sha256(role.encode()).hexdigest()} acme {role} {role}\n" for role in ("auditor", "operator", "admin")]
    (tmp_path / "tokens").write_text("".join(lines))
    with serving(app_for(url, Tokens(tmp_path / "tokens", "acme"))) as made:
        yield made
    postgres.drop(url)


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        ("auditor", "/v1/chains", 200),
        ("auditor", "/metrics", 403),
        ("operator", "/v1/chains", 403),
        ("operator", "/metrics", 200),
        ("admin", "/v1/chains", 200),
        ("admin", "/metrics", 200),
        ("nobody", "/v1/chains", 401),
        ("nobody", "/metrics", 401),
        ("nobody", "/v1/health", 401),
    ],
)
def test_a_role_reaches_what_it_may(guarded: httpx.Client, role: str, path: str, status: int) -> None:
    response = guarded.get(path, headers={"authorization": f"Bearer {role}"})
    assert response.status_code == status
    if status in (401, 403):
        assert is_problem(response, status, "unauthenticated" if status == 401 else "forbidden")


def test_without_a_token_health_tells_no_more_than_that_it_is_ready(guarded: httpx.Client) -> None:
    assert guarded.get("/v1/chains").status_code == 401
    body = guarded.get("/v1/health").raise_for_status().json()
    assert body["ready"] is True
    assert not {"findings", "rejected", "lag_records", "lag_seconds"} & set(body)
    full = guarded.get("/v1/health", headers={"authorization": "Bearer operator"}).json()
    assert (full["findings"], full["rejected"], full["quarantined"]) == (0, {}, 0)
