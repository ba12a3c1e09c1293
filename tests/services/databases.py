"""Fresh databases on one server, each copied from a template in a few milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import psycopg

_END = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"


class Databases:
    """Makes and drops databases. ``prepare`` runs once for a session; each database it names is a copy of its result."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._count = 0
        self._templates: dict[Callable[[str], object], str] = {}

    def fresh(self, prepare: Callable[[str], object] | None = None) -> str:
        """The URL of a new database: empty, or as ``prepare(url)`` left its template (it must close its connections)."""
        template = "template0" if prepare is None else self._template(prepare)
        return self._create(template)

    def drop(self, url: str) -> None:
        self._run(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")

    def copy(self, url: str) -> str:
        """The URL of a copy of a database, as a backup is one. Whoever is connected to it loses the connection."""
        self._run(_END, urlsplit(url).path[1:])
        return self._create(urlsplit(url).path[1:])

    def restore(self, url: str, backup: str) -> None:
        """Puts a copy in the place of a database."""
        self.drop(url)
        self._run(f"ALTER DATABASE {urlsplit(backup).path[1:]} RENAME TO {urlsplit(url).path[1:]}")

    def _template(self, prepare: Callable[[str], object]) -> str:
        if prepare not in self._templates:
            url = self._create("template0")
            prepare(url)
            self._templates[prepare] = urlsplit(url).path[1:]
        return self._templates[prepare]

    def _create(self, template: str) -> str:
        self._count += 1
        name = f"test_{self._count}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def _run(self, statement: str, *given: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode(), given or None)
