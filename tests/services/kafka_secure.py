"""A Kafka broker that asks everybody who they are, and lets them do only what an ACL says.

Users come in by TLS and SCRAM-SHA-512 at ``bootstrap`` (one by PLAIN), or by a certificate at ``certificates``. An admin
may do all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)

from tests.services.certificates import Authority
from tests.services.kafka_broker import HOST, KafkaBroker, Node, free_port

ADMIN = "admin"
ADMIN_PASSWORD = "admin-secret-of-this-broker"
PLAIN_USER, PLAIN_PASSWORD = "plain", "plain-secret-of-this-broker"
MECHANISM = "SCRAM-SHA-512"


class SecureKafka:
    """The broker, its authority, and an admin client. A context manager."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "tls")
        node, by_certificate, inside = Node(1, free_port(), free_port()), free_port(), free_port()
        self.bootstrap = f"{HOST}:{node.port}"
        self.certificates = f"{HOST}:{by_certificate}"
        settings = self._settings(node, inside)
        scram = f"{MECHANISM}=[name={ADMIN},password={ADMIN_PASSWORD}]"
        self.broker = KafkaBroker(
            directory / "broker", node=node, settings=settings, format_options=["--add-scram", scram]
        )

    def __enter__(self) -> SecureKafka:
        self.broker.start()
        self.admin = KafkaAdminClient(
            bootstrap_servers=self.bootstrap,
            security_protocol="SASL_SSL",
            ssl_cafile=str(self.authority.file),
            sasl_mechanism=MECHANISM,
            sasl_plain_username=ADMIN,
            sasl_plain_password=ADMIN_PASSWORD,
        )
        return self

    def __exit__(self, *ending: object) -> None:
        self.admin.close()
        self.broker.stop()

    def user(self, name: str, password: str) -> None:
        """Makes a user, or gives it another password."""
        made = self.admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, MECHANISM, password)])
        assert made == {name: None}, made
        _wait(lambda: name in str(self.admin.describe_user_scram_credentials()))

    def allow(self, user: str, operations: Iterable[str], resource: str, name: str) -> None:
        """Gives ``user`` rights, spelt as ``kafka-acls`` does, on the ``topic`` or ``group`` called ``name``."""
        rights = [_right(user, operation, resource, name) for operation in operations]
        failed = self.admin.create_acls(rights)["failed"]
        assert not failed, failed
        _wait(lambda: all(self.admin.describe_acls(right)[0] for right in rights))

    def forbid(self, user: str, operations: Iterable[str], resource: str, name: str) -> None:
        """Takes rights away again."""
        rights = [_right(user, operation, resource, name) for operation in operations]
        self.admin.delete_acls(rights)
        _wait(lambda: not any(self.admin.describe_acls(right)[0] for right in rights))

    def _settings(self, node: Node, inside: int) -> dict[str, str]:
        pair = self.authority.issue("broker", [HOST, "localhost"])
        stored = pair.certificate.with_name("broker.keystore.pem")
        stored.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
        stored.chmod(0o600)
        controller = f"CONTROLLER://{HOST}:{node.controller_port}"
        open_to = f"USERS://{self.bootstrap},CERTIFICATES://{self.certificates},INSIDE://{HOST}:{inside}"
        return {
            "listeners": f"{open_to},{controller}",
            "advertised.listeners": open_to,
            "listener.security.protocol.map": "USERS:SASL_SSL,CERTIFICATES:SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INSIDE",
            "sasl.enabled.mechanisms": f"{MECHANISM},PLAIN",
            "listener.name.users.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'user_{PLAIN_USER}="{PLAIN_PASSWORD}";'
            ),
            "listener.name.users.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(stored),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.certificates.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The broker itself comes in where nobody is asked, and there as nobody; the two other listeners ask.
            "super.users": f"User:{ADMIN};User:ANONYMOUS",
        }


def _right(user: str, operation: str, resource: str, name: str) -> ACL:
    spelt = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()
    pattern = ResourcePattern(ResourceType[resource.upper()], name)
    return ACL(f"User:{user}", "*", ACLOperation[spelt], ACLPermissionType.ALLOW, pattern)


def _wait(holds: Callable[[], bool]) -> None:
    """The broker hears of a change a moment after it was made."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "the broker never heard of it"
        time.sleep(0.02)
