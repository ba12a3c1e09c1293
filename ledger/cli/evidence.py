"""The verbs about the record itself: ``archive``, ``rebuild`` and ``purge-refused``."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from shlex import quote
from typing import Annotated, Final

import typer

from ledger import wiring
from ledger.cli.invocation import NO, Json, exit_with, settings_of
from ledger.cli.output import clean, console, emit, progress, show_time, tell
from ledger.ports import CONTENTS, EVENTS, Log, Tally
from ledger.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.command()(archive)
    app.command()(rebuild)
    app.command()(purge_refused)


def archive(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="The file to make; one that exists is refused.")],
    contents: Annotated[bool, typer.Option("--contents", help="With the contents, which must stay erasable.")] = False,
    as_json: Json = False,
) -> None:
    """Copies the log to one file, which `verify --log file:PATH` reads on any machine; says what else that takes."""
    from ledger.logs.archive import write_archive
    from ledger.trust.keys import b64url
    from ledger.trust_file import read_public_key

    settings = settings_of(ctx)
    with wiring.running(settings), closing(wiring.open_log(settings)) as log:
        count = write_archive(log, path, (EVENTS, CONTENTS) if contents else (EVENTS,))
    if as_json:
        emit({"file": str(path), "records": count, "bytes": path.stat().st_size})
        return
    console().print(clean(f"{count} records, {path.stat().st_size} bytes in {path}"), markup=False)
    if settings.ledger is not None and settings.trust_root is not None:
        root = b64url(read_public_key(settings.trust_root).raw)
        trust = (
            f"--ledger {quote(settings.ledger)} --trust-root={root} --trust-bundle {quote(settings.bundle_path.name)}"
        )
        tell(f"elsewhere, with {settings.bundle_path} beside it, and the key of the root had by another way:")
        tell(f"  answerable {trust} verify --log {quote(f'file:{path.name}')}")


def rebuild(
    ctx: typer.Context,
    archives: Annotated[
        list[Path] | None, typer.Option("--archive", help="An archive to read before the log; several in order.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Makes the store anew from archives and log, and swaps it in. Exit 1 where the old one was not what the log says."""
    from ledger.schema_files import load_schemas
    from ledger.store.digest import state_digest
    from ledger.store.rebuild import rebuild as make_anew

    settings = settings_of(ctx)
    with ExitStack() as stack:
        stack.enter_context(wiring.running(settings))
        live = stack.enter_context(closing(wiring.open_log(settings)))
        logs = [stack.enter_context(closing(wiring.open_archive(path))) for path in archives or ()]
        url = wiring.store_url(settings)
        before, ends = state_digest(url), _ends(live)
        whole = ends == _reached(settings)
        bar = stack.enter_context(progress("rebuilding"))
        done = 0

        def advance(_topic: str, _partition: int, tally: Tally) -> None:
            nonlocal done
            done += tally.records
            bar(done, sum(ends.values()))

        after = make_anew(
            url,
            [*logs, live],
            load_schemas(),
            settings.require_ledger(),
            wiring.load_bundle(settings),
            progress=advance,
        )
        # Only where the old store had all of a log that stood still does another digest mean another truth.
        differs = after.digest != before.digest and whole and _ends(live) == ends
    if as_json:
        emit({"before": before.digest.hex(), "after": after.digest.hex(), "rows": dict(after.rows), "differs": differs})
    else:
        console().print(f"state {after.digest.hex()}", markup=False)
        console().print(", ".join(f"{count} {name}" for name, count in after.rows.items()), markup=False)
        if differs:
            console().print(f"the store was not what the log says: it was {before.digest.hex()}", style="bold red")
    if differs:
        exit_with(NO)


def purge_refused(
    ctx: typer.Context,
    days: Annotated[int, typer.Option(help="Keep what came within so many days, by the log's clock.", min=0)] = 30,
    as_json: Json = False,
) -> None:
    """Takes the bytes of old refused records out of the store that no erasure can reach: what does not decode, what is kept of
    an oversized record, refused contents. Reason, position and digest stay. The log is not touched.
    """
    from ledger.store.connect import connect
    from ledger.store.purging import purge

    settings = settings_of(ctx)
    before = wiring.CLOCK.now() - days * DAY
    with wiring.running(settings), connect(wiring.store_url(settings)) as connection:
        count = purge(connection, before)
    if as_json:
        emit({"purged": count, "before": show_time(before, utc=True)})
    else:
        tell(f"the bytes of {count} refused records from before {show_time(before, utc=settings.utc)} are gone")


DAY: Final = 86_400_000_000


def _ends(log: Log) -> dict[tuple[str, int], int]:
    return {
        (topic, partition): b.end for topic in (EVENTS, CONTENTS) for partition, b in log.bounds(topic).items() if b.end
    }


def _reached(settings: Settings) -> dict[tuple[str, int], int]:
    from ledger.store import overview

    with wiring.reading(settings) as connection:
        return {
            (each.topic, each.partition): each.next_offset
            for each in overview.positions(connection)
            if each.next_offset
        }
