from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.logs import bench, log
from tests.services import Databases
from tests.services.forge import Trust, signer
from tests.services.stand import migrated

__all__ = ["bench", "log"]


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """A store with all its tables, and nothing in them."""
    made = postgres.fresh(migrated)
    yield made
    postgres.drop(made)


@pytest.fixture
def trust() -> Trust:
    """A bundle with one service."""
    return Trust().key(signer("alpha"))
