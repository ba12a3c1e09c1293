"""Fixtures for every test: see ``tests/services/fixtures.py``."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from ledger.embedded.scratch import scratch
from tests.orphans import interrupt_on_sigterm
from tests.services.fixtures import database, kafka, kafka_url, postgres, secure_kafka, secure_postgres, topic_prefix

__all__ = ["database", "kafka", "kafka_url", "postgres", "secure_kafka", "secure_postgres", "topic_prefix"]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A directory of this session's own: every session as root resets the mode of the one that they share by default, and
    then a Postgres of another session, which runs under an account without rights, no longer reaches its data. It goes with
    the session, also at SIGTERM; what a session that was killed left goes with the next.
    """
    interrupt_on_sigterm()
    if config.option.basetemp is None:
        stack = ExitStack()
        config.option.basetemp = str(stack.enter_context(scratch("answerable-tests-")) / "t")
        config.add_cleanup(stack.close)
