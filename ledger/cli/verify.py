"""``answerable verify``: every chain, from the log's bytes and the trust bundle alone; the store is not believed."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger import wiring
from ledger.cli.invocation import NO, Json, Utc, exit_with, settings_of
from ledger.cli.output import emit, progress, read_time
from ledger.cli.verify_text import plain, plain_store, print_report, print_store
from ledger.errors import ConfigurationError, LedgerError
from ledger.format.batch import Chain, Seal
from ledger.format.heads import LINE_BYTES, KnownHead, format_heads, parse_heads
from ledger.ports import Log, Tally
from ledger.schema_files import load_schemas
from ledger.settings import Settings
from ledger.trust.verdict import Judge
from ledger.verification import NamedEvent, Source, Verification

if TYPE_CHECKING:
    from ledger.store.compare import Compared


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(verify)


def verify(
    ctx: typer.Context,
    log: Annotated[
        str | None, typer.Option("--log", help="Another log, such as file:COPY; LOG_URL by default.")
    ] = None,
    archives: Annotated[
        list[Path] | None, typer.Option("--archive", help="An archive of what the log no longer has; several in order.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Heads of chains that were exported: the log must hold them.")
    ] = None,
    heads: Annotated[Path | None, typer.Option("--heads", help="Write the heads of the chains here verified.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="Judge promises as of this time; the log's latest append time by default."),
    ] = None,
    canonical: Annotated[bool, typer.Option("--canonical", help="Also that each encoding is the only one.")] = False,
    store: Annotated[
        bool,
        typer.Option("--store", help="Also that the store is what the log says: recomputes it, which takes its room."),
    ] = False,
    scratch: Annotated[
        str | None,
        typer.Option(
            "--scratch", help="postgresql://… of an empty database to recompute in; beside the store by default."
        ),
    ] = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Verifies every chain from the log, and says apart what is wrong, what is missing, and what nobody can know.

    Elsewhere: answerable --ledger NAME --trust-root KEY --trust-bundle FILE verify --log file:COPY, as `archive` prints it.

    Exit 1 where the evidence shows a fault of integrity (signatures, roots, payloads, links, forks) or completeness (gaps,
    records that the log lost, promises not kept, heads that it does not hold), and with --store where the store differs from
    the log. Late seals and skewed clocks are notes.
    """
    settings = settings_of(ctx, log_url=log, utc=utc)
    if log is not None:
        _require_trust(settings)
    judge = Judge(load_schemas(), settings.require_ledger(), wiring.load_bundle(settings), canonical=canonical)
    if heads is not None and heads.exists():
        raise ConfigurationError(f"{heads} exists: choose another name, heads are never overwritten")
    given = [head for path in against or () for head in read_heads(path, settings.require_ledger())]
    with ExitStack() as stack:
        if store or settings.effective_log_url.startswith("embedded:"):
            stack.enter_context(wiring.running(settings))
        live = stack.enter_context(closing(wiring.open_log(settings)))
        logs = [*(stack.enter_context(closing(wiring.open_archive(path))) for path in archives or ()), live]
        source = Source(logs)
        with seldom_collecting(), progress("verifying") as bar:
            report = Verification(
                source,
                judge,
                load_schemas(),
                heads=given,
                known=_Store(settings, stack),
                at=None if at is None else read_time(at),
                progress=lambda records, _: bar(records, source.offsets),
            ).run()
        compared = _compare(settings, logs, source.offsets, scratch) if store else None
    if heads is not None:
        write_heads(heads, report.heads)
    if as_json:
        emit({**plain(report), "store": plain_store(compared)})
    else:
        print_report(report, now=wiring.CLOCK.now(), utc=settings.utc)
        print_store(compared)
    if not report.holds or (compared is not None and compared.difference is not None):
        exit_with(NO)


def _require_trust(settings: Settings) -> None:
    """Raises ``ConfigurationError`` with all that is missing to judge the log of a ledger which is not configured here."""
    missing = [
        option
        for option, there in (
            ("--ledger NAME", settings.ledger is not None),
            ("--trust-root KEY", settings.trust_root is not None),
            ("--trust-bundle FILE", settings.bundle_path.exists()),
        )
        if not there
    ]
    if missing:
        raise ConfigurationError(
            f"what to judge this log by is not known here: give {', '.join(missing)} before `verify`, as `answerable archive` "
            "printed them where the log was copied (the key best by another way); or set ANSWERABLE_DATA_DIR to the ledger's own"
        )


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Looks for cycles seldom, there being none in what is verified: at Python's own pace an eighth of the time goes there."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _compare(settings: Settings, logs: Sequence[Log], records: int, scratch: str | None) -> Compared:
    from ledger.store.compare import compare

    done = 0
    with progress("recomputing the store") as bar:

        def advance(_topic: str, _partition: int, tally: Tally) -> None:
            nonlocal done
            done += tally.records
            bar(done, max(done, records))

        return compare(
            wiring.store_url(settings),
            logs,
            load_schemas(),
            settings.require_ledger(),
            wiring.load_bundle(settings),
            scratch=scratch,
            progress=advance,
        )


def read_heads(path: Path, ledger: str) -> Iterator[KnownHead]:
    """The heads in a file, a bounded line at a time; raises ``InvalidHeads`` or ``ConfigurationError``."""
    try:
        with path.open("rb") as file:
            yield from parse_heads(iter(lambda: file.readline(LINE_BYTES + 1), b""), ledger)
    except OSError as error:
        raise ConfigurationError(f"the heads {path} cannot be read: {error.strerror}") from None


def write_heads(path: Path, heads: Sequence[KnownHead]) -> None:
    """Writes a file of heads, whole or not at all."""
    fresh = path.with_name(path.name + ".part")
    with fresh.open("wb") as file:
        file.writelines(format_heads(heads))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


class _Store:
    """What the store knows of a seal's events; nothing where there is no store to ask."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings, self._stack = settings, stack
        self._connection: Any = None
        self._dead = False

    def __call__(self, seal: Seal) -> Mapping[int, NamedEvent]:
        from ledger.store.known import events_under

        try:
            if self._connection is None and not self._dead:
                self._connection = self._stack.enter_context(wiring.reading(self._settings))
            if self._dead:
                return {}
            chain = Chain(seal.ledger, seal.tenant, seal.service, seal.key_id, seal.chain_id)
            found = events_under(self._connection, chain, seal.seal_number)
        except LedgerError:
            self._dead = True
            return {}
        return {index: NamedEvent(*event) for index, event in found.items()}
