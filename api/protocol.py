"""HTTP/1.1 as uvicorn speaks it, but that what cannot be read is told as a problem too."""

from __future__ import annotations

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from api.door import HEADERS, TARGET_BYTES
from api.problems import TABLE, InvalidRequest, problem_response


class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # one of two classes, by what is installed
    """Where its parser gives up, no handler hears of a request: as of a target over 65,535 bytes."""

    def send_400_response(self, _: str) -> None:
        detail = f"this is no HTTP/1.1 request, or it is too long: path and query are limited to {TARGET_BYTES} bytes"
        told = problem_response(TABLE[InvalidRequest], detail)
        named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in told.raw_headers]
        lines = [f"{name}: {value}\r\n" for name, value in (*named, *HEADERS.items(), ("connection", "close"))]
        self.transport.write("".join(("HTTP/1.1 400 Bad Request\r\n", *lines, "\r\n")).encode("latin-1") + told.body)
        self.transport.close()
