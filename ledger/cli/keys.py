"""``answerable keys``: signing keys, and the statements that say what each may sign."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli.invocation import Json, Sentences, Utc, settings_of
from ledger.cli.output import clean, console, emit, read_time, show_time, tell
from ledger.errors import ConfigurationError, NotFound
from ledger.first_run import prepare_ledger, require_root, root_key_path, statement_of
from ledger.settings import Settings, file_name_of
from ledger.signers import create_key, load_key
from ledger.trust.bundle import EMPTY, NAMED_KINDS, TrustBundle
from ledger.trust.keys import PublicKey, jwk_of
from ledger.trust_file import extend_bundle_file, read_bundle_file, read_public_key

app = typer.Typer(
    cls=Sentences, help="Signing keys, and what each may sign.", no_args_is_help=True, rich_markup_mode=None
)

RootKey = Annotated[Path | None, typer.Option(help="The root's private key file; root.jwk among the keys by default.")]
KeyArgument = Annotated[str, typer.Argument(help="A key in the data directory by name, a JWK file, or base64url.")]


def register(command: typer.Typer) -> None:
    """Adds the verbs."""
    command.add_typer(app, name="keys")


@app.command()
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The service that will sign with it.")],
    path: Annotated[Path | None, typer.Option(help="Another place for the file.")] = None,
    as_json: Json = False,
) -> None:
    """Makes a signing key. It signs nothing that anybody believes until `keys trust` says so."""
    settings = settings_of(ctx)
    where = path or settings.keys_path / f"{file_name_of(name)}.jwk"
    signer = create_key(where)
    if as_json:
        emit({"key_id": signer.key_id, "file": str(where), "public": jwk_of(signer.public.raw)})
        return
    console().print(f"{signer.key_id}  {clean(where)}", markup=False)
    console().print(f"next: answerable keys trust {clean(name)} --service {clean(name)}", style="dim", markup=False)


@app.command("list")
def list_keys(ctx: typer.Context, as_json: Json = False, utc: Utc = False) -> None:
    """Lists every statement of the trust bundle, and the keys of this machine that it does not name."""
    settings = settings_of(ctx, utc=utc)
    bundle = _bundle(settings)
    files = _files(settings)
    rows = [_row(statement, bundle, files) for statement in bundle.statements if statement["type"] == "key"]
    named = set(bundle.keys) | {settings.trust_root and read_public_key(settings.trust_root).key_id}
    untrusted = [{"key_id": key_id, "file": name} for key_id, name in files.items() if key_id not in named]
    if as_json:
        emit({"bundle_digest": bundle.digest.hex(), "statements": rows, "untrusted": untrusted})
        return
    for row in rows:
        _print_row(row, utc=settings.utc)
    for each in untrusted:
        console().print(f"{each['key_id']}  {clean(each['file'])}\n  trusted by no statement", markup=False)
    console().print(f"bundle {bundle.digest.hex()}", style="dim")


@app.command()
def trust(
    ctx: typer.Context,
    key: KeyArgument,
    service: Annotated[list[str], typer.Option(help="A service that it may sign for; * is any.")],
    tenant: Annotated[list[str] | None, typer.Option(help="A tenant that it may sign for; TENANT by default.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(help=f"A kind that it may state. * (the default) leaves out {', '.join(sorted(NAMED_KINDS))}."),
    ] = None,
    importer: Annotated[bool, typer.Option("--importer", help="It signs records of others, imported.")] = False,
    start: Annotated[str | None, typer.Option("--from", help="From when, by append time; now by default.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when, by append time; open by default.")] = None,
    root_key: RootKey = None,
    as_json: Json = False,
) -> None:
    """Says, signed by the root key, what a key may sign. What was refused for want of it is judged again."""
    settings = settings_of(ctx)
    if settings.ledger is None and settings.trust_root is None:
        for sentence in prepare_ledger(settings):
            tell(sentence)
        settings = settings_of(ctx)
    public = _public_key(settings, key)
    statement = statement_of(
        public.raw,
        role="importer" if importer else "source",
        tenants=tenant or [settings.tenant],
        services=service,
        kinds=_known_kinds(kind or ["*"]),
        start=_now() if start is None else read_time(start),
        until=None if until is None else read_time(until),
    )
    _extend(settings, statement, root_key, as_json=as_json, said=f"{public.key_id} is trusted")


@app.command()
def revoke(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="The key id, as `keys list` shows it, or the name of a key file.")],
    start: Annotated[
        str | None, typer.Option("--from", help="From when, by append time; now by default, the past is allowed.")
    ] = None,
    root_key: RootKey = None,
    as_json: Json = False,
) -> None:
    """Revokes a key. What it signed and the log took from then on is refused, what came before stands."""
    settings = settings_of(ctx)
    bundle = _bundle(settings)
    key_id = key if key in bundle.keys else _public_key(settings, key).key_id
    if key_id not in bundle.keys:
        raise NotFound(f"no statement of the bundle names the key {key_id}: see `answerable keys list`")
    at = _now() if start is None else read_time(start)
    _extend(
        settings,
        {"type": "revocation", "key_id": key_id, "from": at},
        root_key,
        as_json=as_json,
        said=f"{key_id} is revoked from {show_time(at, utc=settings.utc)}",
    )


def _print_row(row: dict[str, Any], *, utc: bool) -> None:
    times = {
        name: show_time(row[key], utc=utc)
        for name, key in (("from", "from"), ("until", "until"), ("revoked from", "revoked_from"))
        if row[key] is not None
    }
    scope = [f"{name} {', '.join(row[name])}" for name in ("tenants", "services", "kinds")]
    console().print(clean(f"{row['key_id']}  {row['role']}  {row['file'] or ''}".rstrip()), markup=False)
    console().print(clean("  " + "; ".join(scope)), markup=False)
    console().print(clean("  " + "; ".join(f"{name} {at}" for name, at in times.items())), markup=False)


def _extend(settings: Settings, statement: dict[str, Any], root_key: Path | None, *, as_json: bool, said: str) -> None:
    root = read_public_key(require_root(settings))
    signer = load_key(root_key or root_key_path(settings))
    bundle = extend_bundle_file(settings.bundle_path, root, settings.require_ledger(), statement, signer)
    if as_json:
        emit({"bundle_digest": bundle.digest.hex(), "number": len(bundle.lines) - 1, "statement": statement})
        return
    console().print(clean(said), markup=False)
    console().print(f"bundle {bundle.digest.hex()}: hand it to your auditors", style="dim")


def _bundle(settings: Settings) -> TrustBundle:
    root = read_public_key(require_root(settings))
    if not settings.bundle_path.exists():
        return EMPTY
    return read_bundle_file(settings.bundle_path, root, settings.require_ledger())


def _public_key(settings: Settings, text: str) -> PublicKey:
    named = settings.keys_path / f"{file_name_of(text)}.jwk"
    return read_public_key(str(named) if named.is_file() else text)


def _known_kinds(kinds: list[str]) -> list[str]:
    from ledger.schema_files import load_schemas

    known = load_schemas().by_name
    for kind in kinds:
        if kind != "*" and not (kind in known and kind.islower()):
            raise ConfigurationError(f"{kind!r} is no kind of event: see schemas/README.md for their names")
    return kinds


def _files(settings: Settings) -> dict[str, str]:
    """Key id → file of every private key of this machine that can be read."""
    found = {}
    for path in sorted(settings.keys_path.glob("*.jwk")):
        try:
            found[read_public_key(str(path)).key_id] = path.name
        except ConfigurationError:
            continue
    return found


def _row(statement: Any, bundle: TrustBundle, files: dict[str, str]) -> dict[str, Any]:
    from ledger.trust.keys import read_jwk

    key_id = read_jwk(statement["key"]).key_id
    return {
        "number": statement["number"],
        "key_id": key_id,
        **{name: statement[name] for name in ("role", "tenants", "services", "kinds", "from", "until")},
        "revoked_from": bundle.keys[key_id].revoked_from,
        "file": files.get(key_id),
    }


def _now() -> int:
    return time.time_ns() // 1000
