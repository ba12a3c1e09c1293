"""A seeded store, and the command on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ledger.cli.app import command
from ledger.settings import Settings
from ledger.trust.keys import b64url
from tests.operating import Ledger
from tests.sealing import LEDGER, ROOT
from tests.seeded import ACME, Story, bundle_bytes, seed, story
from tests.services.databases import Databases

Run = Callable[..., Result]


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    made = postgres.fresh(seed)
    yield made
    postgres.drop(made)


@pytest.fixture
def told(url: str) -> Story:
    return story(url)


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, configured by the environment for the seeded store."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    (tmp_path / "trust.jsonl").write_bytes(bundle_bytes())
    given = {
        "DATA_DIR": str(tmp_path),
        "STORE_URL": url,
        "LOG_URL": url,
        "LEDGER": LEDGER,
        "TENANT": ACME,
        "TRUST_ROOT": b64url(ROOT.public.raw),
    }
    for name, value in given.items():
        monkeypatch.setenv(f"ANSWERABLE_{name}", value)

    def invoke(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(command(), list(arguments))
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def ledger(
    kafka: str, topic_prefix: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ledger]:
    """A ledger of this test's own on Kafka and Postgres; no worker runs yet."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    made = Ledger(tmp_path, database, f"kafka://{kafka}/{topic_prefix}?partitions=2")
    made.run("answerable keys new agent && answerable keys trust agent --service agent && answerable migrate")
    with ExitStack() as stack:
        stack.callback(made.rest)
        yield made
    assert made.failures == []
