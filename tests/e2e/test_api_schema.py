"""The OpenAPI document against the server: whatever a client sends is answered as the document says, and nothing is a 5xx.

``make api-fuzz`` runs it for longer: ``API_FUZZ_EXAMPLES`` requests a path and way of making them, from ``API_FUZZ_SEED``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.access import Tokens
from api.app import create_app
from api.store import Store
from tests.e2e.test_api import serving
from tests.e2e.test_api_examples import PATHS
from tests.services.databases import Databases
from tests.services.forge import LEDGER
from tests.unit.test_api_access import line
from tests.write_examples import TENANT, fill, trust

EXAMPLES: Final = int(os.environ.get("API_FUZZ_EXAMPLES", "12"))
SEED: Final = int(os.environ.get("API_FUZZ_SEED", "0"))


def refused(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> bool | None:
    """A request that breaks the document gets a 4xx, 414 among them. A list without elements breaks it on paper alone: no URL
    holds it.
    """
    if response.status_code == 414 or any(value in ([], {}) for value in (case.query or {}).values()):
        return None
    return negative_data_rejection(ctx, response, case)


CHECKS: Final = [
    not_a_server_error,
    refused,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ADMIN: Final = {"authorization": "Bearer admin"}


@pytest.fixture(scope="module")
def schema(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    url = postgres.fresh(fill)
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(line("admin", TENANT, "admin"))
    bundle = trust().bundle
    app = create_app(store=Store(url), ledger=LEDGER, tokens=Tokens(tokens, TENANT), bundle=lambda: bundle)
    with serving(app) as client:
        yield schemathesis.openapi.from_url(f"{client.base_url}/v1/openapi.json")
    postgres.drop(url)


@pytest.mark.timeout(20 + EXAMPLES * 5)
@pytest.mark.parametrize("mode", GenerationMode, ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_one_that_the_document_describes(
    schema: schemathesis.BaseSchema, path: str, mode: GenerationMode
) -> None:
    """Status, content type and shape; requests that break the document are refused, and none is a server error."""
    operation = schema[path]["GET"]
    if mode is GenerationMode.NEGATIVE and not any(operation.iter_parameters()):
        return  # nothing that could break the document can be sent

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=ADMIN, checks=CHECKS, timeout=20)

    call()
