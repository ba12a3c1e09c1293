"""A store that does not let a worker in: it ends and says who is to do what, as it does for the log; one that is away passes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from threading import Event, Thread, Timer
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from consumers.health import Health
from consumers.materializer import materializer
from consumers.running import run_opened
from consumers.worker import Worker
from ledger.errors import AccessDenied, BackendError
from ledger.logs.postgres import PostgresLog
from ledger.passwords import with_password
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.store.connect import connect
from ledger.store.migrations import migrate
from ledger.store.projection import Flush, PostgresProjection
from tests.services import Databases
from tests.services.forge import LEDGER, Trust, signer
from tests.services.postgres_secure import SecurePostgres
from tests.waiting import until

REFUSALS = {
    "en": 'password authentication failed for user "ann"',
    "de": "Passwort-Authentifizierung für Benutzer »ann« fehlgeschlagen",
    "de, no login": "Rolle »ann« hat keine Berechtigung zum Einloggen",
    "es": "la autentificación password falló para el usuario «ann»",
    "fr": "authentification par mot de passe échouée pour l'utilisateur  « ann »",
    "fr, no entry": "aucune entrée dans pg_hba.conf pour l'hôte « ::1 », utilisateur « ann »",
    "it": 'il ruolo "ann" non esiste',
    "ja": 'ユーザー"ann"のパスワード認証に失敗しました',
    "ko": '사용자 "ann"의 password 인증을 실패했습니다',
    "ru": 'пользователь "ann" не прошёл проверку подлинности (по паролю)',
    "zh": '用户 "ann" Password 认证失败',
}
PASSES = {
    "starting": ("57P03", "the database system is starting up"),
    "full": ("53300", "zu viele Verbindungen für Rolle »ann«"),
    "no database": ("3D000", "la base de données « ann » n'existe pas"),
    "in Danish": ("28P01", "adgangskoden er forkert"),
}


@contextmanager
def refusing(code: str, said: str) -> Iterator[str]:
    """The URL of a server that answers every start-up with an error, as Postgres sends it."""
    fields = b"".join(kind + text.encode() + b"\0" for kind, text in ((b"S", "FATAL"), (b"C", code), (b"M", said)))
    answer = b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\0"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(1024)
                    client.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        yield f"postgresql://ann@127.0.0.1:{server.getsockname()[1]}/ann?sslmode=disable&gssencmode=disable"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("language", REFUSALS)
def test_a_refusal_is_known_in_the_languages_that_a_server_speaks(language: str) -> None:
    with (
        refusing("28P01", REFUSALS[language]) as url,
        pytest.raises(AccessDenied, match="password of STORE_URL") as told,
    ):
        connect(url)
    assert REFUSALS[language] in str(told.value)


@pytest.mark.parametrize("what", PASSES)
def test_what_passes_or_is_said_in_other_words_is_tried_again(what: str) -> None:
    code, said = PASSES[what]
    with refusing(code, said) as url, pytest.raises(BackendError, match="cannot be reached"):
        connect(url)


class Stand(NamedTuple):
    server: SecurePostgres
    own: str
    """The database of this test as its owner reaches it."""

    def url(self, password: str | None) -> str:
        url = self.server.url("dora", database=urlsplit(self.own).path[1:])
        return with_password(url, password) if password else url


@pytest.fixture(scope="module")
def databases(secure_postgres: SecurePostgres) -> Databases:
    return Databases(secure_postgres.admin_url)


@pytest.fixture
def stand(secure_postgres: SecurePostgres, databases: Databases) -> Iterator[Stand]:
    own = databases.fresh(migrate)
    secure_postgres.user("dora", "right", "answerable_writer")
    yield Stand(secure_postgres, own)
    secure_postgres.admin("drop role dora")
    databases.drop(own)


def opening(stand: Stand, password: str | None, health: Health) -> Callable[[], AbstractContextManager[Worker[Flush]]]:
    """A worker with nothing to do."""
    bundle, schemas = Trust().key(signer("alpha")).bundle, load_schemas()

    @contextmanager
    def opened() -> Iterator[Worker[Flush]]:
        with (
            closing(PostgresProjection(stand.url(password), schemas, LEDGER, bundle)) as to,
            closing(PostgresLog(stand.own)) as log,
        ):
            log.prepare()
            yield materializer(log=log, projection=to, trust=lambda: bundle, clock=SystemClock(), health=health)

    return opened


@pytest.mark.parametrize("password", ["wrong-secret", None])
def test_a_worker_whose_store_refuses_its_login_ends_and_says_what_to_check(stand: Stand, password: str | None) -> None:
    health, stop = Health("materializer"), Event()
    late = Timer(20, stop.set)
    late.start()
    with pytest.raises(AccessDenied, match="password of STORE_URL") as told:
        run_opened(opening(stand, password, health), health, stop)
    late.cancel()
    assert told.value.missing == "authentication"
    assert health.snapshot.state == "decision needed"
    assert "password of STORE_URL" in health.snapshot.detail
    assert "wrong-secret" not in health.snapshot.detail


def test_a_worker_whose_password_is_changed_while_it_runs_ends_when_it_must_log_in_again(
    stand: Stand,
) -> None:
    health, stop = Health("materializer"), Event()
    raised: list[AccessDenied] = []

    def run() -> None:
        try:
            run_opened(opening(stand, "right", health), health, stop, 0.05)
        except AccessDenied as error:
            raised.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        until(lambda: health.snapshot.state == "running")
        stand.server.admin("alter role dora password 'another'")
        stand.server.admin("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'dora'")
        until(lambda: not thread.is_alive())
    finally:
        stop.set()
        thread.join()
    assert len(raised) == 1
    assert health.snapshot.state == "decision needed"
