"""The adapters of the ``Log`` port: Kafka, Postgres, and an archive file. ``open_log`` chooses by URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from ledger.errors import ConfigurationError

if TYPE_CHECKING:
    from ledger.logs.kafka_access import KafkaAccess
    from ledger.ports import Log

_NUMBERS = {"partitions", "replication", "linger_ms", "session_seconds"}
_TLS = "tls"


def open_log(url: str, access: KafkaAccess | None = None) -> Log:
    """The log at ``url``; nothing is contacted yet.

    ``kafka://HOST:PORT[,HOST:PORT]/PREFIX`` (after ``?``: ``tls=1``, partitions, replication, linger_ms,
    session_seconds), ``postgresql://…``, ``file:PATH`` (an archive, opened and indexed at once). ``access``: who we are
    to Kafka's brokers.
    """
    scheme = url.partition(":")[0]
    if scheme == "kafka":
        return _open_kafka(url, access)
    if scheme in {"postgresql", "postgres"}:
        try:
            from ledger.logs.postgres import PostgresLog
        except ImportError as error:
            raise ConfigurationError("a log in Postgres needs psycopg: pip install 'answerable[postgres]'") from error
        return PostgresLog(url)
    if scheme == "file":
        from ledger.logs.archive import ArchiveLog

        return ArchiveLog(unquote(url.removeprefix("file://").removeprefix("file:")))
    meant = f"; did you mean file:{url}?" if Path(url).is_file() else ""
    raise ConfigurationError(f"no log at {scheme}: a log's URL begins with kafka://, postgresql:// or file:{meant}")


def _open_kafka(url: str, access: KafkaAccess | None) -> Log:
    from ledger.logs.kafka import KafkaLog

    try:
        parts = urlsplit(url)
    except ValueError as error:  # a bracket without its other one, where an IPv6 address would stand
        raise ConfigurationError(f"the log's URL has no host that can be read: {error}") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "@" in parts.netloc:
        raise ConfigurationError(
            "a log's URL names no user: set ANSWERABLE_KAFKA_USER, and ANSWERABLE_KAFKA_PASSWORD_FILE"
        )
    unknown = set(options) - _NUMBERS - {_TLS}
    if unknown or not parts.netloc:
        what = f"unknown settings {', '.join(sorted(unknown))}" if unknown else "no broker's host and port"
        raise ConfigurationError(
            f"the log's URL has {what}: kafka://HOST:PORT/PREFIX?partitions=8&tls=1 is what one looks like"
        )
    try:
        numbers = {name: int(value) for name, value in options.items() if name in _NUMBERS}
        tls = {"0": False, "1": True}[options.get(_TLS, "0")]
    except ValueError as error:
        raise ConfigurationError(f"the log's URL has a setting that is no number: {error}") from error
    except KeyError:
        raise ConfigurationError("the log's URL says neither tls=1, for brokers that speak TLS, nor tls=0") from None
    return KafkaLog(parts.netloc, unquote(parts.path.lstrip("/")), tls=tls, access=access, **numbers)
