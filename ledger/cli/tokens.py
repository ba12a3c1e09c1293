"""``answerable tokens``: bearer tokens of the API. The file keeps hashes; a token is printed once."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from ledger.cli.invocation import Json, Sentences, settings_of
from ledger.cli.output import clean, console, emit, put, table, tell
from ledger.errors import ConfigurationError, NotFound
from ledger.settings import Settings
from ledger.trust_file import replace_file

ROLES = ("auditor", "operator", "admin")

app = typer.Typer(
    cls=Sentences,
    help="Bearer tokens of the ledger's own API. Of an agent's token: `answerable lineage token:ISSUER#JTI`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FileOption = Annotated[Path | None, typer.Option("--file", help="API_TOKENS, or `tokens` in the data directory.")]


def register(command: typer.Typer) -> None:
    """Adds the verbs."""
    command.add_typer(app, name="tokens")


@app.command()
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    role: Annotated[str, typer.Option(help="auditor: reads its tenant; operator: health and metrics; admin: both.")],
    tenant: Annotated[str | None, typer.Option(help="The tenant whose events it reads; TENANT by default.")] = None,
    file: FileOption = None,
    as_json: Json = False,
) -> None:
    """Makes a token, keeps its hash, and prints it: it cannot be shown again."""
    settings = settings_of(ctx)
    if role not in ROLES:
        raise ConfigurationError(f"{role!r} is no role: choose {', '.join(ROLES)}")
    if not name or any(each.isspace() or not each.isprintable() for each in name):
        raise ConfigurationError("the name of a token has no spaces in it")
    path = _path(settings, file)
    lines = _lines(path)
    if any(line.split()[3:] == [name] for line in lines):
        raise ConfigurationError(f"there is a token of {name}: revoke it first, or choose another name")
    token = secrets.token_urlsafe(32)
    owner = quote(tenant or settings.tenant, safe="")
    _write(path, [*lines, f"{sha256(token.encode()).hexdigest()} {owner} {role} {name}"])
    if as_json:
        emit({"token": token, "name": name, "role": role, "tenant": tenant or settings.tenant, "file": str(path)})
        return
    console().print(token, markup=False)
    if settings.api_tokens is None:
        tell(f"set ANSWERABLE_API_TOKENS={path} for the API to ask for tokens")


@app.command("list")
def list_tokens(ctx: typer.Context, file: FileOption = None, as_json: Json = False) -> None:
    """Lists the tokens by name, with tenant and role."""
    rows = [line.split() for line in _lines(_path(settings_of(ctx), file))]
    if as_json:
        emit([{"name": name, "tenant": tenant, "role": role} for _, tenant, role, name in rows])
        return
    made = table("name", "tenant", "role")
    for _, tenant, role, name in rows:
        made.add_row(clean(name), clean(tenant), clean(role))
    put(made)


@app.command()
def revoke(ctx: typer.Context, name: str, file: FileOption = None, as_json: Json = False) -> None:
    """Deletes a token's hash: a running API refuses it within a second."""
    path = _path(settings_of(ctx), file)
    lines = _lines(path)
    kept = [line for line in lines if line.split()[3:] != [name]]
    if len(kept) == len(lines):
        raise NotFound(f"there is no token of {name} in {path}")
    _write(path, kept)
    if as_json:
        emit({"revoked": name, "file": str(path)})


def _path(settings: Settings, file: Path | None) -> Path:
    return file or settings.api_tokens or settings.data_dir / "tokens"


def _lines(path: Path) -> list[str]:
    try:
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the file of tokens {path} cannot be read: {error}") from None
    if any(len(line.split()) != 4 for line in lines):
        raise ConfigurationError(f"{path} is no file of tokens: a line is `sha256 tenant role name`")
    return lines


def _write(path: Path, lines: list[str]) -> None:
    replace_file(path, "".join(f"{line}\n" for line in lines).encode(), 0o600)
    os.chmod(path, 0o600)
