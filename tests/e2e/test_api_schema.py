"""The OpenAPI document against the server: whatever the schema allows is answered as the schema says, and nothing is a 5xx."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, given, settings

from api.access import Tokens
from api.app import create_app
from api.store import Store
from tests.sealing import LEDGER
from tests.seeded import ACME, bundle, seed
from tests.services.databases import Databases

HOST = {"host": "127.0.0.1"}


def test_no_request_that_the_schema_allows_is_a_server_error(postgres: Databases) -> None:
    url = postgres.fresh(seed)
    store = Store(url)
    store.open()
    app = create_app(store=store, ledger=LEDGER, tokens=Tokens(None, ACME), bundle=bundle)
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app, headers=HOST)
    asked: set[str] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        asked.add(operation.path)

        @given(case=operation.as_strategy())
        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        def call(case: schemathesis.Case) -> None:
            response = case.call(headers=HOST)
            kind = response.headers["content-type"][0]
            assert response.status_code < 500, response.text
            assert response.status_code == 200 or kind == "application/problem+json"

        call()
    assert len(asked) >= 10
    store.close()
    postgres.drop(url)
