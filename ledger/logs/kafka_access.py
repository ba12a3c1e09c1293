"""How a client comes in to brokers that ask who it is: TLS, SASL, and what kafka-python is told of both.

Nothing of it stands in the log's URL but ``tls=1``. The TLS context is made once, so that what is wrong with a file is
said at once and names the file; the password of a private key is not kept.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from ledger.errors import ConfigurationError

Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]
DEFAULT_MECHANISM: Final = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaAccess:
    """Who we are to the brokers, and by which authority we know them (the system's where ``ca_file`` is None)."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    mechanism: Mechanism | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def connection(self, *, tls: bool) -> dict[str, Any]:
        """kafka-python's settings; raises ``ConfigurationError`` where they contradict each other or a file is no good."""
        mechanism = self._mechanism()
        if not tls and any((self.ca_file, self.certificate_file, self.key_file)):
            raise ConfigurationError("certificates for Kafka are set and the log's URL has no TLS: add ?tls=1 to it")
        if not tls and mechanism == "PLAIN":
            raise ConfigurationError(
                "SASL PLAIN without TLS would send the password in the clear: add ?tls=1 to LOG_URL"
            )
        settings: dict[str, Any] = {}
        if mechanism is not None:
            # At DEBUG these two print every request, and with PLAIN that is the password.
            for name in ("kafka.protocol.parser", "kafka.net.connection"):
                logging.getLogger(name).setLevel(logging.INFO)
            settings |= {
                "sasl_mechanism": mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        if tls:
            settings["ssl_context"] = self._context()
        protocol = f"{'SASL_' if mechanism else ''}{'SSL' if tls else 'PLAINTEXT'}"
        return settings | {"security_protocol": protocol}

    def _mechanism(self) -> Mechanism | None:
        given = (self.user is not None, self.password is not None)
        if given == (True, True):
            return self.mechanism or DEFAULT_MECHANISM
        if any(given) or self.mechanism is not None:
            missing = "ANSWERABLE_KAFKA_PASSWORD_FILE" if self.password is None else "ANSWERABLE_KAFKA_USER"
            raise ConfigurationError(f"Kafka's user and password come together: set {missing}")
        return None

    def _context(self) -> ssl.SSLContext:
        with _named("ANSWERABLE_KAFKA_CA_FILE", self.ca_file):
            context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if (self.certificate_file is None) != (self.key_file is None):
            missing = "CERT_FILE" if self.certificate_file is None else "KEY_FILE"
            raise ConfigurationError(
                f"Kafka's client certificate and its key come together: set ANSWERABLE_KAFKA_{missing}"
            )
        if self.certificate_file is not None:
            with _named("ANSWERABLE_KAFKA_CERT_FILE and _KEY_FILE", self.certificate_file, self.key_file):
                # Without any password OpenSSL would ask for one at the terminal.
                context.load_cert_chain(self.certificate_file, self.key_file, self.key_password or "")
        return context


@contextlib.contextmanager
def _named(setting: str, *files: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # SSLError is one
        names = " and ".join(str(file) for file in files)
        why = "no such file, not PEM, not matching each other, or locked by another password"
        raise ConfigurationError(f"{setting} cannot be used ({names}): {error.strerror or error}; {why}") from None
