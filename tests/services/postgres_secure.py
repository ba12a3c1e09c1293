"""A Postgres that wants a password, behind TLS.

The wheel's server is built without TLS, so it is spoken here, in front of it, as poolers and clouds do: the client asks
for it (SSLRequest), gets it or is sent away, and what it says goes on to the server's socket.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

import psycopg

from ledger.embedded import EmbeddedPostgres
from tests.services.certificates import Authority

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""The first message of a client that wants TLS (Postgres, 54.2.10)."""
_HBA = "local all postgres trust\nlocal all all scram-sha-256\n"


class SecurePostgres:
    """The server, its authority (whose certificate is for ``localhost`` alone) and what stands in front. A context manager."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "tls")
        pair = self.authority.issue("server", ["localhost"])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._server = EmbeddedPostgres(directory / "postgres", {"fsync": "off"})
        self._front = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._front.getsockname()[1]

    def __enter__(self) -> SecurePostgres:
        self._server.start()
        (self._server.directory / "data" / "pg_hba.conf").write_text(_HBA)
        self.admin("select pg_reload_conf()")
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *ending: object) -> None:
        self._front.close()
        self._server.stop()

    @property
    def admin_url(self) -> str:
        return self._server.url

    def admin(self, statement: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def user(self, name: str, password: str, role: str) -> None:
        """A login role that may do what the group role may."""
        self.admin(f"create role {name} login password '{password}' in role {role}")

    def url(
        self,
        user: str,
        *,
        host: str = "localhost",
        mode: str = "verify-full",
        authority: Path | None = None,
        database: str = "postgres",
    ) -> str:
        """Where a user comes in, as a setting has it: without password."""
        trusted = authority or self.authority.file
        return f"postgresql://{user}@{host}:{self.port}/{database}?sslmode={mode}&sslrootcert={trusted}"

    def socket_url(self, user: str, database: str) -> str:
        """Where a user comes in past TLS, which the wheel's own programs do not speak."""
        return urlunsplit(urlsplit(self.admin_url)._replace(netloc=f"{user}@", path=f"/{database}"))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._front.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(plain)
            stack.enter_context(contextlib.suppress(OSError))
            if plain.recv(len(SSL_REQUEST), socket.MSG_WAITALL) != SSL_REQUEST:
                return
            plain.sendall(b"S")
            client = stack.enter_context(self._context.wrap_socket(plain, server_side=True))
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.connect(parse_qs(urlsplit(self.admin_url).query)["host"][0] + "/.s.PGSQL.5432")
            _pass_on(client, server)


def _pass_on(client: ssl.SSLSocket, server: socket.socket) -> None:
    while True:
        ready = [client] if client.pending() else select.select([client, server], [], [])[0]
        for one, other in ((client, server), (server, client)):
            if one in ready:
                data = one.recv(1 << 16)
                if not data:
                    return
                other.sendall(data)
