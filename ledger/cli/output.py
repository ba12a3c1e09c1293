"""Printing: people on a terminal, programs by ``--json``. What comes from events is shown as text, never obeyed."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ledger.errors import ConfigurationError

_MICROSECONDS: Final = 1_000_000
_PLAIN: Final = {"·": "-", "–": "-", "…": "...", "←": "<-", "→": "->", "µ": "u"}
"""Our own marks for a terminal that knows no others than those of ASCII."""


def fit_output() -> None:
    """From now on, what standard output and error have no character for is written in ASCII, rather than ending the verb."""
    codecs.register_error("plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _holds_all(stream.encoding):
            stream.reconfigure(errors="plain")


def _holds_all(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith("utf")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """An error handler of ``codecs``: what is no mark of ours becomes its escape, so that nothing that was recorded is lost."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(each) or ascii(each)[1:-1] for each in missing), error.end


def console() -> Console:
    """Standard output, made anew for each use: it may have been redirected. What is no terminal has no width to fold at. No text
    is markup, in the cells of a table neither: `[/x]` may be a name."""
    width = None if sys.stdout.isatty() else 1000
    return Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True, width=width)


def complain(sentence: str) -> None:
    """One sentence on standard error."""
    Console(file=sys.stderr, highlight=False, soft_wrap=True).print(
        Text.assemble(("error: ", "bold red"), clean(sentence))
    )


def tell(sentence: str) -> None:
    """A remark on standard error, so that standard output stays the answer."""
    Console(file=sys.stderr, highlight=False, soft_wrap=True).print(Text(clean(sentence), style="dim"))


def emit(value: Any) -> None:
    """``value`` as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=not _holds_all(sys.stdout.encoding)) + "\n")
    sys.stdout.flush()


def emit_line(value: Any) -> None:
    """``value`` as a line of JSON: what keeps running is read until the end of each."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def clean(text: object) -> str:
    """``text`` on one line, without what a terminal would obey: control and format characters become visible escapes. What an
    event says must not look like a line of ours."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in str(text))


def table(*columns: str) -> Table:
    """An unruled table whose cells fold rather than truncate: an id that is cut is of no use."""
    made = Table(box=None, pad_edge=False, header_style="dim", show_header=bool(columns))
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def put(made: Table) -> None:
    """Prints a table, without the blanks that fill its last column."""
    out = console()
    with out.capture() as shown:
        out.print(made)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in shown.get().splitlines()))


def show_time(microseconds: int, *, utc: bool) -> str:
    """A time for people, with its offset; what no calendar holds is shown as the number it is."""
    try:
        at = datetime.fromtimestamp(microseconds / _MICROSECONDS, tz=UTC)
        shown = at if utc else at.astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{microseconds} µs"
    return shown.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def read_time(text: str) -> int:
    """µs UTC of an ISO 8601 time, in the local zone where it names none; raises ``ConfigurationError``."""
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.astimezone()
        return int(at.replace(microsecond=0).timestamp()) * _MICROSECONDS + at.microsecond
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(f"{text!r} is not a time such as 2026-03-01T12:00:00Z") from None


class Advance(Protocol):
    """Called with how much is done now, and, where known, of how much."""

    def __call__(self, done: int, total: int | None = None) -> None: ...


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Advance]:
    """A bar on standard error while long work goes on; nothing where that is no terminal."""
    error = Console(file=sys.stderr)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=error, transient=True, disable=quiet or not error.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int | None = None) -> None:
            bar.update(task, completed=done, total=total)

        yield advance
