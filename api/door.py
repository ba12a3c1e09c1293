"""What every request passes first, and every response last: host, lengths, security headers. Plain ASGI, no waiting."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import is_loopback
from api.problems import TABLE, InvalidRequest, Kind, Misdirected, problem_response

TARGET_BYTES: Final = 60 * 1024
"""Of path and query, as they are sent: within what uvicorn's parsers take (65,535 bytes of a target), with room
for headers. Whatever a header names fits in, and any person; of what stands in a payload all but what is tens of thousands of
characters long."""
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TOO_LONG: Final = Kind("uri-too-long", 414, "URI Too Long")


class Door:
    """Refuses what no handler should see. ``local``: nobody needs a token, so only requests to a loopback name are served.

    A browser on this machine can be made to send requests here under a stranger's host name (DNS rebinding); by the host
    name they are told apart.
    """

    def __init__(self, app: ASGIApp, *, local: bool) -> None:
        self._app = app
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                del headers["server"]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, with_headers)
        else:
            await problem_response(*refusal)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[Kind, str] | None:
        path: bytes = scope.get("raw_path") or b""
        query: bytes = scope.get("query_string") or b""
        if len(path) + len(query) > TARGET_BYTES:
            return _TOO_LONG, f"path and query are limited to {TARGET_BYTES} bytes"
        if b"%00" in path or b"%00" in query or "\0" in scope["path"]:
            return TABLE[InvalidRequest], "U+0000 is in no name of this ledger"
        if self._local and not is_loopback(_host(scope)):
            return TABLE[Misdirected], "without tokens this server answers to loopback names only, such as 127.0.0.1"
        return None


def _host(scope: Scope) -> str:
    sent = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    return sent.rpartition("]")[0] + "]" if sent.startswith("[") else sent.partition(":")[0]
