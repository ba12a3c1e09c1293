"""A store and its worker, under a bundle that names honest services, an importer, and whoever else a test makes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import Databases
from tests.services.forge import Trust, signer
from tests.services.stand import Stand, migrated


@pytest.fixture
def trust() -> Trust:
    """Alpha and beta may sign for their own services of tenant acme, `other` for the tenant of that name, `feed` imports."""
    trust = Trust().key(signer("alpha"), tenants=["acme"], services=["agent"])
    trust.key(signer("beta"), tenants=["acme"], services=["flights"])
    trust.key(signer("other"), tenants=["other"])
    return trust.key(signer("feed"), tenants=["acme"], services=["feed"], kinds=["*"], role="importer")


@pytest.fixture
def stand(postgres: Databases, trust: Trust) -> Iterator[Stand]:
    url = postgres.fresh(migrated)
    made = Stand(url, trust.bundle)
    yield made
    made.close()
    postgres.drop(url)
