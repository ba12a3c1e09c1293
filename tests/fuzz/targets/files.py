"""The files that a person gives to a command or a server: keys, bundle, tokens, settings, an importer's secret, URLs of logs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from api.access import Tokens, read_tokens
from api.cursors import read_cursor, write_cursor
from api.parameters import read_id, read_text, read_time
from api.problems import InvalidRequest
from ledger.cli.output import read_time as read_cli_time
from ledger.errors import LedgerError
from ledger.importers.derivation import open_secret
from ledger.logs import open_log
from ledger.settings import load_settings
from ledger.signers import create_key, load_key
from ledger.trust_file import read_bundle_file, read_public_key
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces
from tests.fuzz.targets.scratch import scratch
from tests.sealing import KEY, LEDGER, ROOT, bundle_of, key_statement


def file_of(name: str, data: bytes) -> Path:
    path = scratch("files") / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def each_typed(*reads: Callable[[], object]) -> None:
    """Every one of ``reads`` returns or raises a typed error."""
    for read in reads:
        with suppress(LedgerError):
            read()


def keys(data: bytes) -> None:
    path = file_of("key.jwk", data)
    each_typed(
        lambda: load_key(path), lambda: read_public_key(str(path)), lambda: read_bundle_file(path, ROOT.public, LEDGER)
    )


def text(data: bytes) -> None:
    """What is typed at a prompt or stands in a setting."""
    said = data.decode("utf-8", "surrogateescape").replace("\0", "")  # no argument and no variable holds one
    each_typed(lambda: read_public_key(said), lambda: read_cli_time(said))
    if said.startswith("kafka:"):
        each_typed(lambda: open_log(said).close())
    read_parameters(data.decode("utf-8", "replace"))


def read_parameters(said: str) -> None:
    for read in (read_id, read_time, lambda text: read_text(text, "text")):
        with suppress(InvalidRequest):
            read(said)


def settings(data: bytes) -> None:
    folder = scratch("settings")
    (folder / "settings.toml").write_bytes(data)
    load_settings({"data_dir": str(folder)})


def tokens(data: bytes) -> None:
    path = file_of("tokens", data)
    each_typed(lambda: Tokens(path, "acme"))
    for caller in read_tokens(data.decode("utf-8", "replace")).values():
        assert caller.may("read") or caller.may("watch")


def secret(data: bytes) -> None:
    assert len(open_secret(file_of("secret", data))) == 32


def cursor(data: bytes) -> None:
    """Parts are the scope, and a position or a whole cursor."""
    scope, said, *_ = [each.decode("utf-8", "replace") for each in pieces.split(data)] + ["", ""]
    with suppress(InvalidRequest):
        read_cursor([scope], said, [str, int])
    assert read_cursor([scope], write_cursor([scope], [said, len(said)]), [str, int]) == [said, len(said)]


def _keys() -> Iterator[bytes]:
    path = scratch("files") / "made.jwk"
    path.unlink(missing_ok=True)
    create_key(path)
    yield json.dumps({**json.loads(path.read_text()), "d": "A" * 43, "x": "A" * 43, "kid": "k"}).encode()
    yield bundle_of(key_statement())


TARGETS = (
    Target("key-files", keys, _keys, short=300, words=(b'"d":', b'"x":', b'"kty":', b'"OKP"')),
    Target(
        "text",
        text,
        lambda: [
            KEY.key_id.encode(),
            b"2026-03-01T12:00:00Z",
            b"~/key",
            b"kafka://h:1/p?partitions=8",
            b"018f4c1e-6a00-7cc3-98c4-dc0c0c07398f",
        ],
        size=512,
        short=500,
        words=(b"~", b"kafka://", b"[::", b"?partitions=", b"+00:00", b"\xd9\xa0", b"9999-12-31", b"0001-01-01"),
    ),
    Target(
        "settings",
        settings,
        lambda: [b'tenant = "acme"\nlog_url = "kafka://h:1"\napi_port = 1\n'],
        size=512,
        short=150,
        words=(b"log_url =", b"store_url =", b"key =", b'"~x"', b"utc ="),
    ),
    Target(
        "token-file",
        tokens,
        lambda: [b"# hashes\n" + b"ab" * 32 + b" a%20cme auditor alice\n"],
        short=300,
        words=(b" admin ", b" operator "),
    ),
    Target("importer-secret", secret, lambda: [b"ab" * 32 + b"\n"], size=256, short=200),
    Target(
        "cursor", cursor, lambda: [pieces.join([b"events", write_cursor(["events"], ["x", 1]).encode()])], short=500
    ),
)
