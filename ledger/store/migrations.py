"""The store's schema: numbered plain SQL files, applied once each, in order, under a lock."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from time import gmtime
from typing import Final

import psycopg
from psycopg import sql

from ledger.errors import ConfigurationError
from ledger.store.connect import connect
from ledger.store.partitions import make_years

LIVE: Final = "public"
"""The schema that readers and writers see; ``rebuild`` fills another one."""
FIRST_YEAR: Final = 2020
_LOCK: Final = 0x616E7377  # "answ": one migration at a time in a database


def migrate(url: str, *, schema: str = LIVE) -> list[str]:
    """Brings ``schema`` up to date and makes the partitions of the years to next year; returns the files it applied.

    Raises ``ConfigurationError`` where a file that was applied has changed, or the store is newer than this release.
    """
    with connect(url, schema=schema) as connection, connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        applied = _applied(connection)
        new = [name for name in _texts() if name not in applied]
        for name in new:
            text = _texts()[name]
            connection.execute(text.encode())
            connection.execute("insert into migrations values (%s, %s)", [name, sha256(text.encode()).hexdigest()])
        make_years(connection, range(FIRST_YEAR, gmtime().tm_year + 2))
    return new


def check_migrated(connection: psycopg.Connection) -> None:
    """Raises ``ConfigurationError`` unless the store has every migration of this release.

    It may have later ones: while an upgrade goes on, the release before runs on the tables of the next one. So a migration
    takes away nothing that the release before it reads or writes.
    """
    found = connection.execute("select to_regclass('migrations') is not null").fetchone()
    if not found or not found[0] or set(_texts()) - set(_known(connection)):
        raise ConfigurationError("the store's tables are not those of this release; run `answerable migrate`")


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    connection.execute("create table if not exists migrations (name text primary key, checksum text not null)")
    applied, texts = _known(connection), _texts()
    for name, checksum in applied.items():
        if name not in texts:
            raise ConfigurationError(f"the store has migration {name}, which this release does not know; update it")
        if sha256(texts[name].encode()).hexdigest() != checksum:
            raise ConfigurationError(f"migration {name} is not the one that was applied; restore the published file")
    return applied


def _known(connection: psycopg.Connection) -> dict[str, str]:
    return dict(connection.execute("select name, checksum from migrations").fetchall())


def _texts() -> dict[str, str]:
    folder = files("ledger.store") / "migrations"
    return {
        each.name: each.read_text()
        for each in sorted(folder.iterdir(), key=lambda f: f.name)
        if each.name.endswith(".sql")
    }
