"""The embedded Postgres: ``start`` a server for a directory, or ``attach`` to the one that runs."""

from ledger.embedded.postgres import EmbeddedPostgres, attach, start

__all__ = ["EmbeddedPostgres", "attach", "start"]
