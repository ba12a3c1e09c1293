"""What every verb shares: its settings, its options, and how an error ends it.

Exit status: 0 yes; 1 the evidence says no, or there is no such thing; 2 misuse, or the ledger could not be asked.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, Never

import typer
from typer.core import TyperGroup

from ledger.cli.output import complain
from ledger.cli.refused_path import sentence_of
from ledger.errors import ConfigurationError, LedgerError, NotFound
from ledger.settings import Settings, load_settings

YES: Final = 0
NO: Final = 1
MISUSE: Final = 2
STOPPED: Final = 128
"""And the number of the signal."""
DEBUG: Final = "ANSWERABLE_DEBUG"

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Utc = Annotated[bool, typer.Option("--utc", help="Show times in UTC, not in the local zone.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="The tenant asked about; TENANT by default.")]


class Stopped(BaseException):
    """SIGTERM: an ending like Ctrl-C, through every ``finally``, so that nothing of ours is left."""


def stop(number: int, frame: FrameType | None) -> Never:  # noqa: ARG001 - a signal handler is given both
    """What a verb does on SIGTERM, unless it does something else."""
    raise Stopped


class Sentences(TyperGroup):
    """A group whose verbs end in one sentence on standard error, never in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        here = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, stop) if here else None
        try:
            return super().invoke(ctx)
        except Stopped:
            raise typer.Exit(STOPPED + signal.SIGTERM) from None
        except KeyboardInterrupt:
            raise typer.Exit(STOPPED + signal.SIGINT) from None
        except NotFound as error:
            complain(str(error))
            raise typer.Exit(NO) from None
        except LedgerError as error:
            complain(str(error))
            raise typer.Exit(MISUSE) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
            raise typer.Exit(YES) from None
        except Exception as error:
            # typer's own endings (Exit, usage errors) pass; what is left is a refused path, or a defect of ours, told as one.
            if type(error).__module__.startswith("typer") or os.environ.get(DEBUG):
                raise
            refused = sentence_of(error, _data_dir(ctx)) if isinstance(error, OSError) else None
            complain(
                refused
                or f"unexpected {type(error).__name__}: {error} (set {DEBUG}=1 for the traceback, and report it)"
            )
            raise typer.Exit(MISUSE) from None
        finally:
            if here:
                signal.signal(signal.SIGTERM, before)


def _data_dir(ctx: typer.Context) -> Path | None:
    try:
        return settings_of(ctx).data_dir
    except (LedgerError, OSError):
        return None


def settings_of(ctx: typer.Context, **flags: object) -> Settings:
    """The settings of this invocation: flags before the verb, and those of the verb, which win."""
    before: dict[str, object] = ctx.find_root().obj or {}
    return load_settings(
        before | {name: value for name, value in flags.items() if value is not None and value is not False}
    )


def exit_with(status: int) -> Never:
    raise typer.Exit(status)


def application(module: str, name: str) -> Callable[..., Any]:
    """A function of ``api``, ``consumers`` or ``examples``, which are deployed as the application and not in the wheel."""
    try:
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]  # whoever asks knows what it is
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise ConfigurationError(
                f"this verb needs the application ({module.partition('.')[0]}/): run it from a checkout or the image"
            ) from None
        raise ConfigurationError(
            f"the package {error.name!r} is not installed: pip install 'answerable[server]', for the demo '[demo]'"
        ) from None
