"""Fresh databases on one server, each copied from a template in a few milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import psycopg


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

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())
