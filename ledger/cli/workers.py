"""The verbs that keep running: ``serve`` (all in one process tree), and each worker of a deployment by itself."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ledger import wiring
from ledger.cli.invocation import MISUSE, Json, Stopped, Tenant, application, exit_with, settings_of
from ledger.cli.lines import write_lines
from ledger.cli.output import complain, emit, emit_line, tell
from ledger.embedded import attach
from ledger.embedded.child import Child
from ledger.errors import ConfigurationError, LedgerError
from ledger.first_run import prepare_ledger
from ledger.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from ledger.embedded import EmbeddedPostgres

METRICS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where the processes that count together do so: the name is prometheus_client's."""
WORKERS: Final = ("materialize", "contents", "sentinel")
SCRAPED_SECONDS: Final = 90.0
"""More than a minute, which is how often Prometheus asks by default."""
_GRACE_SECONDS: Final = 15
_WATCH_SECONDS: Final = 0.5

Port = Annotated[int | None, typer.Option(help="The API's port; 0 takes a free one.", min=0, max=65535)]
Host = Annotated[str | None, typer.Option(help="Where the API listens; other than loopback only with tokens.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes that share the port; one a core by default, at most 8.", min=1, max=64)
]
MetricsPort = Annotated[int | None, typer.Option(help="Prometheus metrics on this port.", min=0, max=65535)]
Lines = Annotated[bool, typer.Option("--json", help="Print a line of JSON at the start and one at the end.")]
AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="Go on where the log lost records; a finding keeps what was lost.")
]


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (demo, serve, materialize, contents, sentinel, api, migrate):
        app.command()(verb)


def demo(
    keep: Annotated[
        Path | None, typer.Option(help="A new folder in which the demo's ledger stays, to be asked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Plays the flight booking over HTTP on loopback, asks who triggered it, and says what to ask next. Needs a checkout."""
    if keep is not None and keep.exists():
        raise ConfigurationError(
            f"{keep} is there already: choose a new folder for the demo's ledger, or remove that one"
        )
    play = application("examples.flight_booking.story", "main")
    exit_with(play(keep, say=tell, told=emit) if as_json else play(keep))


def serve(ctx: typer.Context, port: Port = None, host: Host = None, as_json: Json = False) -> None:
    """Runs everything on this machine: Postgres, log, materializer, contents worker, sentinel, API. Nothing to configure.

    The first run makes a ledger of your own. Ctrl-C or SIGTERM ends it all; so does the end of this process, however it ends.
    """
    settings = settings_of(ctx, api_port=port, api_host=host)
    run_api = application("api.server", "serve")
    application("consumers", "__name__")
    for sentence in prepare_ledger(settings):
        tell(sentence)
    settings = settings_of(ctx, api_port=port, api_host=host)
    for directory in wiring.embedded_directories(settings):
        if attach(directory) is not None:
            raise ConfigurationError(f"{directory} is served already: stop that, or choose another --data-dir")

    def ready(url: str) -> None:
        if as_json:
            emit_line({"url": url, "ledger": settings.ledger, "data_dir": str(settings.data_dir)})
        else:
            print(f"{url}  ledger {settings.ledger} in {settings.data_dir}", flush=True)

    write_lines()
    with _until_stopped(), wiring.running(settings, create=True) as servers:
        wiring.prepare(settings)
        with _workers(settings, servers):
            run_api(settings, ready)


def materialize(
    ctx: typer.Context, metrics_port: MetricsPort = None, accept_loss: AcceptLoss = False, as_json: Lines = False
) -> None:
    """Verifies what is in the log and commits it to the store, until SIGTERM; several share the partitions."""
    settings = settings_of(ctx, metrics_port=metrics_port)
    application("consumers.materializer", "tune_collector")()
    _work(settings, "materializer", lambda health: materializer(settings, accept=accept_loss, health=health), as_json)


def contents(
    ctx: typer.Context, metrics_port: MetricsPort = None, accept_loss: AcceptLoss = False, as_json: Lines = False
) -> None:
    """Keeps the contents, and erases what an erasure names, until SIGTERM; several share the partitions."""
    settings = settings_of(ctx, metrics_port=metrics_port)
    _work(settings, "contents", lambda health: contents_worker(settings, accept=accept_loss, health=health), as_json)


def sentinel(
    ctx: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Judge what is stored again, compare, and end.")] = False,
    sample: Annotated[
        int | None, typer.Option(help="With --check: only so many of the tenant's events.", min=1)
    ] = None,
    metrics_port: MetricsPort = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Judges who is behind each action, and what contradicts it, until SIGTERM; several share the work.

    With --check it recomputes what is stored of a tenant, and exits 1 where a judgement differs: somebody changed it.
    """
    settings = settings_of(ctx, metrics_port=metrics_port, tenant=tenant)
    if check:
        with wiring.running(settings):
            from ledger.cli.coverage import check_judgements

            exit_with(check_judgements(settings, sample, as_json=as_json))
    if sample is not None:
        raise ConfigurationError("--sample goes with --check")
    application("consumers.materializer", "tune_collector")()
    _work(settings, "sentinel", lambda health: sentinel_worker(settings, health=health), as_json)


def api(
    ctx: typer.Context, port: Port = None, host: Host = None, workers: Workers = None, as_json: Lines = False
) -> None:
    """Answers over HTTP, until SIGTERM, in as many processes as there are cores, or as --workers says."""
    settings = settings_of(ctx, api_port=port, api_host=host, api_workers=workers)
    count = settings.api_workers or _cores()

    def ready(url: str) -> None:
        if as_json:
            emit_line({"state": "started", "url": url, "processes": count, "ledger": settings.ledger})
        else:
            print(url, flush=True)

    write_lines()
    with _until_stopped(), _counted_together(count):
        application("api.server", "serve")(settings, ready, workers=count)
    if as_json:
        emit_line({"state": "stopped"})


def _cores() -> int:
    """Those that this process may use, as far as as many API processes are of use: each keeps what it has verified."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8)


@contextlib.contextmanager
def _counted_together(workers: int) -> Iterator[None]:
    """The metrics of all processes are counted in one directory. To be there before the metrics are made."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="answerable-metrics-") as directory:
        os.environ[METRICS_DIR] = directory
        try:
            yield
        finally:
            del os.environ[METRICS_DIR]


def migrate(ctx: typer.Context, as_json: Json = False) -> None:
    """Makes the log's topics and the store's tables, or brings them up to date. Safe to repeat."""
    settings = settings_of(ctx)
    with wiring.running(settings, create=True):
        applied = wiring.prepare(settings)
    if as_json:
        emit({"applied": applied})
    else:
        tell(f"applied {', '.join(applied)}" if applied else "everything is there already")


def _work(settings: Settings, name: str, opened: Callable[[Any], AbstractContextManager[Any]], as_json: bool) -> None:
    """Runs a worker until SIGTERM, or until a person must act. Its metrics are there before its store and its log are, and stay
    for ``SCRAPED_SECONDS`` after it ended by itself: else nobody's scrape would ever see that state.
    """
    write_lines()
    stop: threading.Event = application("consumers.running", "stop_on_signals")()
    health: Any = application("consumers.health", "Health")(name)
    tell_end = application("consumers.running", "tell_end")
    try:
        with _metrics(settings, health.registry) as url:
            if as_json:
                emit_line({"worker": name, "state": "started", "ledger": settings.ledger, "metrics": url})
            try:
                application("consumers.running", "run_opened")(lambda: opened(health), health, stop)
            except LedgerError as error:
                tell_end(name, error)
                if settings.metrics_port is not None:
                    stop.wait(SCRAPED_SECONDS)
                exit_with(MISUSE)
            finally:
                if as_json:
                    emit_line({"worker": name, **_account(health)})
    except LedgerError as error:  # of the metrics' port
        tell_end(name, error)
        exit_with(MISUSE)


def _account(health: Any) -> Mapping[str, object]:
    """What a worker did, for its last line: how it ended, the partitions that it held then, and what it committed."""
    said = health.snapshot
    return {
        "state": said.state,
        "detail": said.detail,
        "partitions": said.partitions,
        "records": said.records,
        "events": said.events,
        "quarantined": said.quarantined,
        "rejected": dict(health.rejected),
    }


@contextlib.contextmanager
def materializer(settings: Settings, *, accept: bool = False, health: Any = None) -> Iterator[Any]:
    """The worker for events, wired, inside the block."""
    make = application("consumers.materializer", "materializer")
    trust = wiring.watch_bundle(settings)
    with (
        closing(wiring.open_log(settings)) as log,
        closing(wiring.open_projection(settings, trust())) as projection,
    ):
        yield make(log=log, projection=projection, trust=trust, clock=wiring.CLOCK, accept=accept, health=health)


@contextlib.contextmanager
def contents_worker(settings: Settings, *, accept: bool = False, health: Any = None) -> Iterator[Any]:
    """The worker for contents, wired, inside the block."""
    make = application("consumers.contents", "contents_worker")
    with closing(wiring.open_log(settings)) as log, closing(wiring.open_contents(settings)) as projection:
        yield make(log=log, projection=projection, clock=wiring.CLOCK, accept=accept, health=health)


@contextlib.contextmanager
def sentinel_worker(settings: Settings, *, health: Any = None) -> Iterator[Any]:
    """The sentinel, wired, inside the block."""
    make = application("consumers.sentinel", "Sentinel")
    with closing(wiring.open_sentinel(settings, wiring.watch_bundle(settings))) as store:
        yield make(store, wiring.CLOCK, health=health)


@contextlib.contextmanager
def _metrics(settings: Settings, registry: CollectorRegistry) -> Iterator[str | None]:
    """Serves a worker's metrics inside the block, where METRICS_PORT asks for them: their URL."""
    if settings.metrics_port is None:
        yield None
        return
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    except OSError as error:
        raise ConfigurationError(
            f"metrics cannot be served on {settings.metrics_host} port {settings.metrics_port} ({error.strerror}): "
            "set ANSWERABLE_METRICS_PORT"
        ) from None
    host = f"[{settings.metrics_host}]" if ":" in settings.metrics_host else settings.metrics_host
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _until_stopped() -> Iterator[None]:
    """SIGTERM and Ctrl-C end the block in order, and are a good end."""
    with contextlib.suppress(Stopped, KeyboardInterrupt):
        yield


@contextlib.contextmanager
def _workers(settings: Settings, servers: Sequence[EmbeddedPostgres]) -> Iterator[None]:
    """The workers run inside the block, as children that never outlive us; should one end by itself, so do we. A server that
    ends is started again: the workers and the API wait for it.
    """
    os.environ.update(settings.as_environment())
    logs = settings.data_dir / "logs"
    logs.mkdir(exist_ok=True)
    ended = threading.Event()
    children: list[tuple[str, Child]] = []
    failed: list[str] = []
    watch: threading.Thread | None = None
    try:
        for verb in WORKERS:
            command = [sys.executable, "-m", "ledger.cli", verb]
            log = logs / f"{verb}.log"
            children.append((verb, Child(command, log=log, stop_signal=signal.SIGTERM, grace=_GRACE_SECONDS)))
        watch = threading.Thread(target=_watch, args=(children, servers, ended, failed), daemon=True)
        watch.start()
        yield
    finally:
        ended.set()
        if watch is not None:
            watch.join(_GRACE_SECONDS)
        with ThreadPoolExecutor() as together:
            list(together.map(lambda each: each[1].stop(), children))
    if failed:
        raise ConfigurationError(f"{failed[0]} ended by itself; see {logs / failed[0]}.log")


def _watch(
    children: Sequence[tuple[str, Child]],
    servers: Sequence[EmbeddedPostgres],
    ended: threading.Event,
    failed: list[str],
) -> None:
    while not ended.wait(_WATCH_SECONDS):
        for server in servers:
            if not server.running and not ended.is_set():
                _start_again(server)
        for verb, child in children:
            if not child.running and not ended.is_set():
                failed.append(verb)
                complain(f"{verb} ended by itself")
                os.kill(os.getpid(), signal.SIGTERM)
                return


def _start_again(server: EmbeddedPostgres) -> None:
    complain(f"the Postgres in {server.directory} ended by itself; it is started again")
    server.stop()
    try:
        server.start()
    except LedgerError as error:  # and again with the next turn
        complain(str(error))
