"""The adapters of the ``Log`` port: Kafka, Postgres, and an archive file. ``open_log`` chooses by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from ledger.errors import ConfigurationError

if TYPE_CHECKING:
    from ledger.ports import Log

_NUMBERS = {"partitions", "replication", "linger_ms", "session_seconds"}
_SECURITY = {
    "security_protocol",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
}


def open_log(url: str) -> Log:
    """The log at ``url``; nothing is contacted yet.

    ``kafka://HOST:PORT[,HOST:PORT]/PREFIX`` (after ``?``: partitions, replication, linger_ms, session_seconds, and
    kafka-python's names of TLS and SASL settings), ``postgresql://…``, ``file:PATH`` (an archive, opened and indexed
    at once).
    """
    scheme = url.partition(":")[0]
    if scheme == "kafka":
        return _open_kafka(url)
    if scheme in {"postgresql", "postgres"}:
        try:
            from ledger.logs.postgres import PostgresLog
        except ImportError as error:
            raise ConfigurationError("a log in Postgres needs psycopg: pip install 'answerable[postgres]'") from error
        return PostgresLog(url)
    if scheme == "file":
        from ledger.logs.archive import ArchiveLog

        return ArchiveLog(unquote(url.removeprefix("file://").removeprefix("file:")))
    raise ConfigurationError(f"no log at {scheme}: a log's URL begins with kafka://, postgresql:// or file:")


def _open_kafka(url: str) -> Log:
    from ledger.logs.kafka import KafkaLog

    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = set(options) - _NUMBERS - _SECURITY
    if unknown or not parts.netloc:
        what = f"unknown settings {', '.join(sorted(unknown))}" if unknown else "no broker's host and port"
        raise ConfigurationError(
            f"the log's URL has {what}: kafka://HOST:PORT/PREFIX?partitions=8 is what one looks like"
        )
    try:
        numbers = {name: int(value) for name, value in options.items() if name in _NUMBERS}
    except ValueError as error:
        raise ConfigurationError(f"the log's URL has a setting that is no number: {error}") from error
    security = {name: value for name, value in options.items() if name in _SECURITY}
    return KafkaLog(parts.netloc, unquote(parts.path.lstrip("/")), security=security, **numbers)
