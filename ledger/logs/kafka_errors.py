"""Kafka's errors as ours. A right that is missing is named, as the one who grants it would write it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from kafka.errors import (
    AuthorizationError,
    GroupAuthorizationFailedError,
    KafkaError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from ledger.errors import AccessDenied, BackendError, PositionLost

_LOST: Final = (LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError)


class Right(NamedTuple):
    """What an ACL allows, spelt as ``kafka-acls`` does."""

    operation: Literal["Read", "Write", "Describe", "DescribeConfigs", "Create"]
    resource: Literal["topic", "group"]
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


def denied(connection: Mapping[str, Any], right: Right) -> AccessDenied:
    """The brokers know us, and do not let us."""
    user = connection.get("sasl_plain_username")
    who = f"User:{user}" if user else "the client's certificate" if "ssl_context" in connection else "User:ANONYMOUS"
    principal = who if who.startswith("User:") else "User:CN=…"
    return AccessDenied(
        f"Kafka gives {who} no right to {right}: whoever runs it grants that by kafka-acls --add --allow-principal "
        f"{principal} --operation {right.operation} --{right.resource} {right.name}",
        missing=str(right),
    )


@contextlib.contextmanager
def translated(connection: Mapping[str, Any], *needs: Right) -> Iterator[None]:
    """Kafka's errors inside the block as ours. ``needs``: the rights it takes, of a topic first, then perhaps of a group."""
    try:
        yield
    except _LOST as error:
        raise PositionLost(
            f"{needs[0].name} no longer holds the position to read from ({error}): retention or a new topic took it; "
            "see 'answerable doctor' before going on"
        ) from error
    except AuthorizationError as error:
        resource = "group" if isinstance(error, GroupAuthorizationFailedError) else "topic"
        raise denied(connection, next((n for n in needs if n.resource == resource), needs[0])) from error
    except KafkaError as error:
        raise BackendError(f"Kafka failed at {needs[0].name}: {error}") from error
