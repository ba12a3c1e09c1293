"""The store over TLS, under login roles that may do no more than their part, with passwords from files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from ledger.cli.app import command
from ledger.errors import AccessDenied, BackendError
from ledger.ports import EVENTS
from ledger.settings import Settings, load_settings
from ledger.store import overview
from ledger.store.migrations import check_migrated
from ledger.wiring import open_contents, open_projection, reading
from tests.services.certificates import Authority
from tests.services.forge import LEDGER, Forge, Trust, signer
from tests.services.postgres_secure import SecurePostgres

PASSWORD = "pass word/@?#&'%of-the-store"
BUNDLE = Trust().key(signer("alpha"), tenants=["acme"]).bundle


@pytest.fixture(scope="module")
def secure(secure_postgres: SecurePostgres) -> SecurePostgres:
    quoted = PASSWORD.replace("'", "''")
    secure_postgres.user("worker", quoted, "answerable_writer")
    secure_postgres.user("asker", quoted, "answerable_reader")
    return secure_postgres


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("ANSWERABLE_STORE_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ANSWERABLE_LEDGER", LEDGER)
    return


def test_a_worker_writes_and_a_reader_reads_over_tls_and_neither_does_more(secure: SecurePostgres) -> None:
    worker, asker = (load_settings({"store_url": secure.url(name)}) for name in ("worker", "asker"))
    forge = Forge()
    with closing(open_projection(worker, BUNDLE)) as projection, closing(open_contents(worker)):
        projection.claim(EVENTS, "one", [0])
        tally = projection.commit(projection.prepare([forge.record(forge.seal(forge.make()))]))
        projection.make_partitions(forge.now)
        projection.analyze()
    assert tally.events == 2
    with reading(asker) as connection:
        check_migrated(connection)
        assert connection.pgconn.ssl_in_use
        assert [each.next_offset for each in overview.positions(connection)] == [1]
        assert overview.trust_lines(connection) == list(BUNDLE.lines)
        assert overview.counts(connection).findings == {}
    with (
        closing(open_projection(asker, BUNDLE)) as projection,
        pytest.raises(AccessDenied, match="answerable_writer") as caught,
    ):
        projection.claim(EVENTS, "one", [0])
    assert caught.value.missing == "permission denied for table positions"


@pytest.mark.parametrize("host", ["127.0.0.1"])
def test_a_server_whose_certificate_is_for_another_name_is_refused(secure: SecurePostgres, host: str) -> None:
    with (
        pytest.raises(BackendError, match="does not match host name"),
        reading(load_settings({"store_url": secure.url("asker", host=host)})),
    ):
        pass


def test_a_server_of_another_authority_is_refused(secure: SecurePostgres, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "another").file
    with (
        pytest.raises(BackendError, match="certificate verify failed"),
        reading(load_settings({"store_url": secure.url("asker", authority=other)})),
    ):
        pass


def test_a_wrong_password_is_refused_and_not_told(secure: SecurePostgres, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong-secret")
    with (
        pytest.raises(AccessDenied, match=r'failed for user "asker".*password of STORE_URL') as caught,
        reading(load_settings({"store_url": secure.url("asker")})),
    ):
        pass
    assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (lambda s: s.url("asker"), "encrypted, and its certificate is checked"),
        (lambda s: s.url("asker", mode="require"), "sslmode=verify-full"),
    ],
)
def test_doctor_says_how_safe_the_way_to_the_store_is_and_shows_no_password(
    secure: SecurePostgres, monkeypatch: pytest.MonkeyPatch, url: object, told: str
) -> None:
    assert callable(url)
    monkeypatch.setenv("ANSWERABLE_STORE_URL", url(secure))
    for arguments in (["doctor"], ["doctor", "--json"]):
        done = CliRunner().invoke(command(), arguments)
        assert told in done.output.replace("\n", " ")
        for secret in (PASSWORD, quote(PASSWORD, safe="")):
            assert secret not in done.output
