"""From settings to parts: the only module that names adapters. Each is imported when it is asked for.

``embedded:DIR`` is resolved here and nowhere else: whoever gets a part cannot tell what stands behind it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from ledger.attribution.house import NO_RULES, HouseRules, read_house_rules
from ledger.errors import BackendError, ConfigurationError
from ledger.first_run import require_root
from ledger.passwords import with_password
from ledger.ports import EVENTS
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.settings import EMBEDDED, Settings, file_name_of, load_settings
from ledger.signers import load_key
from ledger.trust_file import WatchedBundle, read_bundle_file, read_public_key

if TYPE_CHECKING:
    import psycopg

    from ledger.embedded import EmbeddedPostgres
    from ledger.importers.sink import Sink
    from ledger.logs.kafka_access import KafkaAccess
    from ledger.ports import Lineage, Log
    from ledger.recorder.recorder import Recorder
    from ledger.store.contents import PostgresContents
    from ledger.store.nodes import Reading
    from ledger.store.projection import PostgresProjection
    from ledger.store.sentinel import PostgresSentinel
    from ledger.trust.bundle import TrustBundle


CLOCK = SystemClock()
_APPENDER = "-c role=answerable_appender"


def load_bundle(settings: Settings) -> TrustBundle:
    """The trust bundle, verified under the configured root."""
    return read_bundle_file(settings.bundle_path, read_public_key(require_root(settings)), settings.require_ledger())


def watch_bundle(settings: Settings) -> WatchedBundle:
    """The trust bundle as its file is, now and later."""
    root = read_public_key(require_root(settings))
    return WatchedBundle(settings.bundle_path, root, settings.require_ledger())


def house_rules(settings: Settings) -> HouseRules:
    """The house rules in the file that the settings name; raises ``ConfigurationError`` with the file and what to change."""
    if settings.rules is None:
        return NO_RULES
    try:
        return read_house_rules(settings.rules.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"ANSWERABLE_RULES, {settings.rules}, cannot be read: {error}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"ANSWERABLE_RULES, {settings.rules}: {error}") from None


def resolve(url: str) -> str:
    """``url``, of an embedded Postgres that of the running server; raises ``BackendError`` where none runs."""
    if not url.startswith(EMBEDDED):
        return url
    from ledger.embedded import attach

    running = attach(_directory(url))
    if running is None:
        raise BackendError(f"no embedded Postgres runs in {_directory(url)}: start it with `answerable serve`")
    return running


def store_url(settings: Settings) -> str:
    """Where the store is, with the password: for a driver, not for people."""
    return with_password(resolve(settings.effective_store_url), settings.password("store_password"))


def open_log(settings: Settings) -> Log:
    """The log, for whoever reads it or looks after it."""
    return _open_log(settings, resolve(settings.effective_log_url))


def open_archive(path: Path) -> Log:
    """A log that was copied to a file, to be read."""
    from ledger import logs

    return logs.open_log(f"file:{path.absolute()}")


def open_log_to_append(settings: Settings) -> Log:
    """The log, for a publisher: in an embedded one, under the role that may only call its append function."""
    url = resolve(settings.effective_log_url)
    if settings.effective_log_url.startswith(EMBEDDED):
        url += f"&options={quote(_APPENDER)}"
    return _open_log(settings, url)


def _open_log(settings: Settings, url: str) -> Log:
    from ledger import logs

    if url.startswith("kafka:"):
        return logs.open_log(url, _kafka_access(settings))
    if url.startswith("postgres"):
        url = with_password(url, settings.password("log_password"))
    return logs.open_log(url)


def _kafka_access(settings: Settings) -> KafkaAccess:
    from ledger.logs.kafka_access import KafkaAccess

    return KafkaAccess(
        ca_file=settings.kafka_ca_file,
        certificate_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
        key_password=settings.password("kafka_key_password"),
        mechanism=settings.kafka_sasl,
        user=settings.kafka_user,
        password=settings.password("kafka_password"),
    )


def open_recorder(
    settings: Settings | None = None,
    service: str | None = None,
    *,
    mode: Literal["spool", "strict", "best_effort"] = "spool",
) -> Recorder:
    """A recorder for ``SERVICE``, under its key, with its spool; by default with the settings of this process.

    It starts whether or not the log can be reached.
    """
    from ledger.recorder.recorder import Recorder

    settings = settings or load_settings()
    name = service or settings.service
    if name is None:
        raise ConfigurationError("no service is named: set ANSWERABLE_SERVICE to who records")
    return Recorder(
        log=lambda: open_log_to_append(settings),
        signer=load_key(settings.key_path(name)),
        spool=settings.spool_path / file_name_of(name),
        ledger=settings.require_ledger(),
        tenant=settings.tenant,
        service=name,
        mode=mode,
    )


def open_projection(settings: Settings, bundle: TrustBundle) -> PostgresProjection:
    """What writes the store."""
    from ledger.store.projection import PostgresProjection

    return PostgresProjection(store_url(settings), load_schemas(), settings.require_ledger(), bundle)


def open_contents(settings: Settings) -> PostgresContents:
    """What keeps contents and erases them."""
    from ledger.store.contents import PostgresContents

    return PostgresContents(store_url(settings), load_schemas())


def open_sentinel(settings: Settings, trust: Callable[[], TrustBundle]) -> PostgresSentinel:
    """What judges events of consequence, behind what is materialized."""
    from ledger.store.sentinel import PostgresSentinel

    house = house_rules(settings)
    return PostgresSentinel(store_url(settings), load_schemas(), settings.require_ledger(), trust, house)


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[psycopg.Connection]:
    """A connection for looking things up, read-only, inside the block."""
    from ledger.store.connect import connect

    with connect(store_url(settings)) as connection:
        connection.read_only = True
        yield connection


def open_lineage(settings: Settings) -> Lineage:
    """What answers questions about events, a connection for each."""
    from ledger.store.lineage import PostgresLineage

    return PostgresLineage(lambda: reading(settings), open_reading(settings), CLOCK.now)


def open_reading(settings: Settings) -> Reading:
    """What reads rows of the store and holds them against the signatures of those whom the trust bundle names."""
    from ledger.store.nodes import Reading

    bundle = load_bundle(settings)
    return Reading(load_schemas(), settings.require_ledger(), lambda: bundle)


@contextlib.contextmanager
def open_import(settings: Settings, service: str, log: Log) -> Iterator[Sink]:
    """Where an importer puts what it reads: ``log``, signed by the importer's key."""
    from ledger.importers.index import FileIndex
    from ledger.importers.sink import Sink

    with contextlib.closing(FileIndex(settings.data_dir / "imported.sqlite", log.identity(EVENTS))) as known:
        yield Sink(
            log=log,
            signer=load_key(settings.key_path(service)),
            clock=CLOCK,
            schemas=load_schemas(),
            known=known,
            ledger=settings.require_ledger(),
            tenant=settings.tenant,
            service=service,
        )


def embedded_directories(settings: Settings) -> list[Path]:
    """The directories of the embedded servers that these settings name: none, one, or two."""
    urls = dict.fromkeys((settings.effective_store_url, settings.effective_log_url))
    return [_directory(url) for url in urls if url.startswith(EMBEDDED)]


@contextlib.contextmanager
def running(settings: Settings, *, create: bool = False) -> Iterator[list[EmbeddedPostgres]]:
    """The embedded servers that the settings name run inside the block: those that do not run yet are started, and
    stopped after it. Yields those that were started. For commands, never for recorders.

    Without ``create`` a directory that holds no data is refused: a question is not answered by making an empty store.
    """
    from ledger.embedded import attach, start

    with contextlib.ExitStack() as stack:
        started: list[EmbeddedPostgres] = []
        for directory in embedded_directories(settings):
            if attach(directory) is None:
                if not create and not (directory / "data").exists():
                    raise ConfigurationError(
                        f"nothing is recorded in {directory} yet: set ANSWERABLE_DATA_DIR to where your ledger lies, "
                        "or run `answerable serve` or `import`"
                    )
                server: EmbeddedPostgres = start(directory)
                stack.callback(server.stop)
                started.append(server)
        yield started


def prepare(settings: Settings) -> list[str]:
    """Makes what is missing in log and store: topics, tables, partitions; returns the migrations applied. Safe to repeat."""
    from ledger.store.migrations import migrate

    log = open_log(settings)
    try:
        log.prepare()
    finally:
        log.close()
    return migrate(store_url(settings))


def _directory(url: str) -> Path:
    name = url.removeprefix(EMBEDDED)
    if not name:
        raise ConfigurationError("embedded: needs a directory, as in embedded:/var/lib/answerable/postgres")
    return Path(name).expanduser().absolute()
