"""``answerable``: its verbs, and the options that stand before them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import (
    ask,
    coverage,
    doctor,
    evidence,
    findings,
    imports,
    keys,
    questions,
    replay,
    token_usage,
    tokens,
    touched,
    verify,
    workers,
)
from ledger.cli.invocation import Sentences
from ledger.errors import ConfigurationError
from ledger.passwords import without_password

app = typer.Typer(
    name="answerable",
    cls=Sentences,
    help="A provenance and audit ledger for AI agents: who triggered this?",
    epilog="Exit status: 0 yes; 1 the evidence says no, or there is no such thing; 2 misuse, or the ledger could not be asked.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ask.register(app)
token_usage.register(app)
questions.register(app)
replay.register(app)
coverage.register(app)
findings.register(app)
touched.register(app)
imports.register(app)
evidence.register(app)
verify.register(app)
workers.register(app)
app.command("doctor")(doctor.doctor)
app.add_typer(keys.app, name="keys")
app.add_typer(tokens.app, name="tokens")


@app.callback()
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
