"""Clients of kafka-python, made so that one which cannot be had leaves nothing behind and says why.

Its constructors start a thread, and where no broker lets them in they raise without ending it. And they raise "unable to
bootstrap" for whatever reason: a wrong password, an authority that does not fit, nobody there. So the network half of a
client is kept in hand; and once it gave up we knock again, and take the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from kafka.errors import KafkaError, SaslAuthenticationFailedError
from kafka.net.compat import KafkaNetClient

from ledger.errors import AccessDenied, BackendError, LedgerError

_KNOCKS: Final = 3
_KNOCK_MS: Final = 1000
_HEAR_SECONDS: Final = 0.05

Client = TypeVar("Client")


class _Refused(Exception):
    """The broker did not let us log in."""


def opened(make: Callable[..., Client], connection: Mapping[str, Any], **settings: Any) -> Client:
    """The client that ``make`` makes; raises ``BackendError``, or ``AccessDenied`` where the brokers do not know us."""
    halves: list[KafkaNetClient] = []

    def half(**config: Any) -> KafkaNetClient:
        halves.append(KafkaNetClient(**config))
        return halves[-1]

    try:
        return make(**connection, **settings, kafka_client=half)
    except KafkaError as error:
        for each in halves:
            each.close()
        raise _unreachable(connection, error) from error


def _unreachable(connection: Mapping[str, Any], error: KafkaError) -> LedgerError:
    where = ",".join(connection["bootstrap_servers"])
    answer = _knock(connection)
    if isinstance(answer, _Refused):
        user = connection.get("sasl_plain_username")
        return AccessDenied(
            f"Kafka at {where} does not take the password of {user} ({connection['sasl_mechanism']}): see "
            "ANSWERABLE_KAFKA_USER, ANSWERABLE_KAFKA_PASSWORD_FILE and ANSWERABLE_KAFKA_SASL",
            missing="authentication",
        )
    hint = ""
    if "certificate verify failed" in str(answer):
        hint = "; ANSWERABLE_KAFKA_CA_FILE must hold the authority that signed the broker's certificate, for that name"
    elif "ssl_context" not in connection and "ECONNREFUSED" not in str(answer):
        hint = "; if it wants TLS, add ?tls=1 to the log's URL"
    return BackendError(f"no Kafka broker answers at {where}: {answer or error}{hint}")


def _knock(connection: Mapping[str, Any]) -> Exception | None:
    """Why the first broker does not let us in; None where it does.

    A broker that refuses a login hangs up, and now and then without a word: one that does so time after time has refused.
    """
    answer: Exception | None = None
    for _ in range(_KNOCKS):
        answer, refused = _knock_once(connection)
        if refused is None:
            return answer
        if isinstance(refused, SaslAuthenticationFailedError):
            break
    return _Refused(str(answer))


def _knock_once(connection: Mapping[str, Any]) -> tuple[Exception | None, KafkaError | None]:
    """How it ended, and how the login did: kafka-python tells of a hang-up before it tells of an answer."""
    client = KafkaNetClient(**connection)
    manager = client._manager
    refused: list[KafkaError] = []

    async def knock() -> None:
        broker = manager.cluster.bootstrap_brokers()[0]
        made = manager.get_connection(
            broker.node_id, timeout_ms=_KNOCK_MS, pop_on_close=False, refresh_metadata_on_err=False
        )
        made._sasl_authenticate = _overheard(made._sasl_authenticate, refused)
        try:
            await made
        except KafkaError:
            await manager._net.sleep(_HEAR_SECONDS)
            raise

    try:
        manager.run(knock)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return error, refused[0] if refused else None
    finally:
        client.close()
    return None, None


def _overheard(login: Callable[..., Awaitable[None]], refused: list[KafkaError]) -> Callable[..., Awaitable[None]]:
    """``login`` that notes how it failed."""

    async def listening(*given: Any, **named: Any) -> None:
        try:
            await login(*given, **named)
        except KafkaError as error:
            refused.append(error)
            raise

    return listening
