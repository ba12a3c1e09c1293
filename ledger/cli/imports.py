"""``answerable import FORMAT FILE…``: records of other systems, each accounted for."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from ledger import wiring
from ledger.cli.catch_up import catch_up
from ledger.cli.invocation import NO, Json, Tenant, exit_with, settings_of
from ledger.cli.output import clean, console, emit, progress, tell
from ledger.errors import ConfigurationError
from ledger.first_run import prepare_ledger, prepare_service
from ledger.importers.account import REASONS, Account, Refusal
from ledger.importers.derivation import open_secret
from ledger.importers.run import FORMATS, import_files

_KINDS: Final = ("*", "agent_registration", "oversight", "token_revocation")
_WAIT_SECONDS: Final = 30.0


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("import")(import_)


def import_(
    ctx: typer.Context,
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help=f"{', '.join(sorted(FORMATS))}.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="JSON as exports come; gzip too.")],
    service: Annotated[str | None, typer.Option(help="Who signs them; import-FORMAT by default.")] = None,
    tenant: Tenant = None,
    wait: Annotated[bool, typer.Option(help="Return when they can be asked about.")] = True,
    as_json: Json = False,
) -> None:
    """Imports spans or records: each becomes events, signed as imported, or a refusal with its reason. Safe to repeat.

    Exit 1 where nothing of what was read could be imported, now or before.
    """
    settings = settings_of(ctx, tenant=tenant)
    if format_ not in FORMATS:
        raise ConfigurationError(f"no format is called {format_!r}: choose {', '.join(sorted(FORMATS))}")
    for path in files:
        _check_file(path)
    for sentence in prepare_ledger(settings):
        tell(sentence)
    settings = settings_of(ctx, tenant=tenant)
    name = service or f"import-{format_}"
    refusals: Counter[tuple[str, str]] = Counter()

    def refused(path: Path, refusal: Refusal) -> None:
        refusals[str(path), refusal.reason] += 1

    with wiring.running(settings, create=True) as started:
        wiring.prepare(settings)
        prepare_service(settings, name, role="importer", kinds=_KINDS)
        with (
            closing(wiring.open_log_to_append(settings)) as log,
            wiring.open_import(settings, name, log) as sink,
            progress(f"importing {format_}") as bar,
        ):
            done = 0

            def begun(_: Path) -> None:
                nonlocal done
                bar(done, len(files))
                done += 1

            account = import_files(
                format_,
                files,
                sink,
                secret=open_secret(settings.importer_secret_path),
                refused=refused,
                progress=begun,
            )
        if wait and not catch_up(settings, alone=bool(started), timeout=_WAIT_SECONDS):
            tell("they are in the log and not in the store yet: is `answerable materialize` running?")
    _report(account, refusals, as_json=as_json)
    if account.read and account.refused == account.read:
        exit_with(NO)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder: give the files in it, such as {path / '*'}")
    if not path.exists():
        raise ConfigurationError(f"there is no file {path}")
    if not path.is_file():
        raise ConfigurationError(f"{path} cannot be read twice, as an import may have to: save it to a file first")


def _report(account: Account, refusals: Counter[tuple[str, str]], *, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "read": account.read,
                "imported": account.imported,
                "refused": account.refused,
                "duplicate": account.duplicate,
                "reasons": dict(account.reasons),
                "events": account.events,
                "contents": account.contents,
                "files": [
                    {"file": file, "reason": reason, "refused": count}
                    for (file, reason), count in sorted(refusals.items())
                ],
            }
        )
        return
    out = console()
    out.print(Text(account.line(), style="bold"))
    out.print(f"{account.events} events and {account.contents} contents are new in the log")
    for reason, count in account.reasons.items():
        out.print(Text(f"  {count} refused: {reason}, {REASONS[reason]}", style="yellow"))
    for (file, reason), count in sorted(refusals.items()):
        out.print(Text(clean(f"    {count} {reason} in {file}"), style="dim"))
