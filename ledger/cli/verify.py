"""``answerable verify``: every chain, from the log's bytes and the trust bundle alone; the store is not believed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from ledger import wiring
from ledger.cli.invocation import NO, Json, Utc, exit_with, settings_of
from ledger.cli.output import clean, console, emit, progress, read_time, show_time
from ledger.errors import ConfigurationError, LedgerError
from ledger.format import ids
from ledger.format.batch import Chain, Seal
from ledger.format.heads import LINE_BYTES, KnownHead, format_heads, parse_heads
from ledger.schema_files import load_schemas
from ledger.settings import Settings
from ledger.trust.verdict import Judge
from ledger.verification import Fault, Group, NamedEvent, Report, Source, Verification

_HEADINGS: Final[Mapping[Group, str]] = {
    "integrity": "integrity: what is there, and is not as it was signed",
    "completeness": "completeness: what is missing",
    "note": "notes: times that prove nothing by themselves",
}


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
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Verifies every chain from the log, and says apart what is wrong, what is missing, and what nobody can know.

    Exit 1 where the evidence shows a fault of integrity (signatures, roots, payloads, links, forks) or completeness (gaps,
    records that the log lost, promises not kept, heads that it does not hold). Late seals and skewed clocks are notes.
    """
    settings = settings_of(ctx, log_url=log, utc=utc)
    judge = Judge(load_schemas(), settings.require_ledger(), wiring.load_bundle(settings), canonical=canonical)
    if heads is not None and heads.exists():
        raise ConfigurationError(f"{heads} exists: choose another name, heads are never overwritten")
    given = [head for path in against or () for head in read_heads(path, settings.require_ledger())]
    with ExitStack() as stack:
        if settings.effective_log_url.startswith("embedded:"):
            stack.enter_context(wiring.running(settings))
        live = stack.enter_context(closing(wiring.open_log(settings)))
        source = Source([*(stack.enter_context(closing(wiring.open_archive(path))) for path in archives or ()), live])
        bar = stack.enter_context(progress("verifying"))
        report = Verification(
            source,
            judge,
            load_schemas(),
            heads=given,
            known=_Store(settings, stack),
            at=None if at is None else read_time(at),
            progress=lambda records, _: bar(records, source.offsets),
        ).run()
    if heads is not None:
        write_heads(heads, report.heads)
    if as_json:
        emit(_plain(report))
    else:
        _print(report, utc=settings.utc)
    if not report.holds:
        exit_with(NO)


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
    try:
        with fresh.open("wb") as file:
            file.writelines(format_heads(heads))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError as error:
        raise ConfigurationError(f"the heads cannot be written to {path}: {error.strerror}") from None


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


def _plain(report: Report) -> dict[str, Any]:
    """The report for programs."""
    return {
        "holds": report.holds,
        "records": report.records,
        "chains": len(report.chains),
        "events": report.events,
        "at": report.at,
        "counts": dict(sorted(report.counts.items())),
        **{group: [_fault(fault) for fault in report.of(group)] for group in ("integrity", "completeness")},
        "notes": [_fault(fault) for fault in report.of("note")],
        "unknown": [each._asdict() for each in report.unknown],
    }


def _fault(fault: Fault) -> dict[str, Any]:
    chain = fault.chain
    return {
        "name": fault.name,
        "detail": fault.detail,
        "partition": fault.partition,
        "offset": fault.offset,
        "append_time": fault.append_time,
        "tenant": chain.tenant if chain is not None else None,
        "service": chain.service if chain is not None else None,
        "key_id": chain.key_id if chain is not None else None,
        "chain": fault.chain_id.hex() if fault.chain_id is not None else None,
        "seal": fault.seal,
        "until": fault.until,
        "first": fault.first,
        "last": fault.last,
        "inferred": fault.inferred,
        "events": [{"event_id": _id(event), "digest": event.digest.hex()} for event in fault.events],
    }


def _id(event: NamedEvent) -> str | None:
    return ids.text(event.event_id) if event.event_id is not None else None


def _print(report: Report, *, utc: bool) -> None:
    out = console()
    for group, heading in _HEADINGS.items():
        faults = report.of(group)
        if not faults and group == "note":
            continue
        style = "yellow" if group == "note" else "bold red"
        out.print(Text(heading, style="bold"))
        for fault in faults:
            out.print(Text(clean(f"  {_line(fault)}"), style=style))
        for name, more in _unlisted(report, faults):
            out.print(Text(f"  {name}: {more} more", style=style))
        if not faults:
            out.print(Text("  nothing wrong" if group == "integrity" else "  nothing missing, as far as the log shows"))
    out.print(Text("what this cannot know", style="bold"))
    for each in report.unknown:
        number = f"{each.number} " if each.number is not None else ""
        out.print(Text(clean(f"  {number}{each.detail}"), style="dim"))
    verdict = "every chain verifies" if report.holds else f"{report.faults_of('integrity', 'completeness')} faults"
    counted = f"{report.records} records, {len(report.chains)} chains, {report.events} events verified"
    out.print(clean(f"{verdict}: {counted}, up to {show_time(report.at, utc=utc)}"), markup=False)


def _unlisted(report: Report, faults: Sequence[Fault]) -> Iterator[tuple[str, int]]:
    for name in dict.fromkeys(fault.name for fault in faults):
        more = report.counts[name] - sum(fault.name == name for fault in faults)
        if more:
            yield name, more


def _line(fault: Fault) -> str:
    where = [f"record {fault.partition}/{fault.offset}"] if fault.partition is not None else []
    if fault.chain_id is not None:
        of = f" of {fault.chain.service}" if fault.chain is not None else ""
        where.append(f"chain {fault.chain_id.hex()}{of}")
    if fault.seal is not None:
        until = f" to {fault.until}" if fault.until not in (None, fault.seal) else ""
        where.append(f"{'it may be ' if fault.inferred else ''}seal {fault.seal}{until}")
    if fault.first is not None:
        where.append(f"sequence {fault.first} to {'the end' if fault.last is None else fault.last}")
    if fault.events:
        where.append(f"event {', '.join(_id(event) or event.digest.hex() for event in fault.events)}")
    return f"{fault.name}: {', '.join(where)}: {fault.detail}"
