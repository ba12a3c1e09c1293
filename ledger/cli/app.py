"""``answerable``: its verbs, and the options that stand before them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from ledger.cli.invocation import Sentences
from ledger.errors import ConfigurationError
from ledger.passwords import without_password

VERBS: Final = {
    "ask": ("who-triggered", "lineage", "find", "graph"),
    "token_usage": ("token-usage",),
    "questions": ("diff", "agents"),
    "replay": ("replay",),
    "coverage": ("coverage",),
    "findings": ("findings",),
    "touched": ("touched",),
    "imports": ("import",),
    "evidence": ("archive", "rebuild", "purge-refused"),
    "verify": ("verify",),
    "workers": ("demo", "serve", "materialize", "contents", "sentinel", "api", "migrate"),
    "doctor": ("doctor",),
    "keys": ("keys",),
    "tokens": ("tokens",),
}
"""The modules of this package that have verbs, and which."""

_STATUS: Final = (
    "Exit status: 0 yes; 1 the evidence says no, or there is no such thing; 2 misuse, or the ledger could not be asked."
)


def command(verb: str = "") -> typer.Typer:
    """The command, with all verbs; of a ``verb`` that there is with its module's alone: importing the others takes longer than
    most questions do.
    """
    made = typer.Typer(
        name="answerable",
        cls=Sentences,
        help="A provenance and audit ledger for AI agents: who triggered this?",
        epilog=_STATUS,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    made.callback()(options)
    for module in [name for name, verbs in VERBS.items() if verb in verbs] or VERBS:
        import_module(f"ledger.cli.{module}").register(made)
    return made


def options(
    ctx: typer.Context,
    data_dir: Annotated[Path | None, typer.Option(help="Where keys, trust bundle, spool and Postgres lie.")] = None,
    ledger: Annotated[str | None, typer.Option(help="The ledger's name.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose events.")] = None,
    log_url: Annotated[str | None, typer.Option(help="kafka://…, postgresql://…, embedded:DIR, file:ARCHIVE")] = None,
    store_url: Annotated[str | None, typer.Option(help="postgresql://… or embedded:DIR")] = None,
    trust_root: Annotated[str | None, typer.Option(help="The root's public key: JWK file or base64url.")] = None,
    trust_bundle: Annotated[Path | None, typer.Option(help="The file of trust statements.")] = None,
    utc: Annotated[bool, typer.Option("--utc", help="Show times in UTC.")] = False,
) -> None:
    """A provenance and audit ledger for AI agents: who triggered this?"""
    given = {
        "data_dir": data_dir,
        "ledger": ledger,
        "tenant": tenant,
        "log_url": log_url,
        "store_url": store_url,
        "trust_root": trust_root,
        "trust_bundle": trust_bundle,
        "utc": utc or None,
    }
    for name in ("log_url", "store_url"):
        url = given[name]
        if isinstance(url, str) and without_password(url) != url:
            raise ConfigurationError(
                f"--{name.replace('_', '-')} bears a password, which every user of this machine can see in the list of "
                f"processes: change it, and set ANSWERABLE_{name.removesuffix('_url').upper()}_PASSWORD_FILE"
            )
    ctx.obj = {name: value for name, value in given.items() if value is not None}
