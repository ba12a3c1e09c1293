"""Fixtures for every test: see ``tests/services/fixtures.py``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.services.fixtures import database, kafka, kafka_url, postgres, secure_kafka, secure_postgres, topic_prefix

__all__ = ["database", "kafka", "kafka_url", "postgres", "secure_kafka", "secure_postgres", "topic_prefix"]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A directory of this session's own: every session as root resets the mode of the one that they share by default, and
    then a Postgres of another session, which runs under an account without rights, no longer reaches its data.
    """
    if config.option.basetemp is None:
        config.option.basetemp = str(Path(tempfile.mkdtemp(prefix="answerable-tests-")) / "t")


def pytest_unconfigure(config: pytest.Config) -> None:
    given = Path(config.option.basetemp)
    if given.parent.name.startswith("answerable-tests-"):
        shutil.rmtree(given.parent, ignore_errors=True)
