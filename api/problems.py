"""Every error as RFC 9457 ``application/problem+json``, from one table. No body ever holds a traceback or a driver's words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ledger.errors import BackendError, ConfigurationError, DrawingFailed, InvalidEvent, LedgerError, NotFound

MEDIA_TYPE: Final = "application/problem+json"
_DETAIL: Final = 500
_log = logging.getLogger("answerable.api")


class InvalidRequest(LedgerError):
    """A parameter is not one; nothing was looked up."""


class Unauthenticated(LedgerError):
    """There is no valid bearer token."""


class Forbidden(LedgerError):
    """The token's role does not include this."""


class Misdirected(LedgerError):
    """The request was meant for another host."""


class Kind(NamedTuple):
    """A kind of problem: the last part of its ``type``, status and title."""

    name: str
    status: int
    title: str


TABLE: Final[Mapping[type[LedgerError], Kind]] = {
    InvalidRequest: Kind("invalid-request", 400, "The request cannot be understood"),
    InvalidEvent: Kind("invalid-request", 400, "The request cannot be understood"),
    Unauthenticated: Kind("unauthenticated", 401, "A bearer token is required"),
    Forbidden: Kind("forbidden", 403, "The token's role does not allow this"),
    NotFound: Kind("not-found", 404, "The ledger holds nothing under that name"),
    Misdirected: Kind("misdirected", 421, "The request was meant for another host"),
    DrawingFailed: Kind("not-drawn", 501, "The graph cannot be drawn here"),
    BackendError: Kind("unavailable", 503, "The store cannot answer now"),
    ConfigurationError: Kind("misconfigured", 503, "The server is not configured for this"),
}
"""Errors to problems; a class not listed is told as the nearest one above it."""
INTERNAL: Final = Kind("internal", 500, "A defect of the server")
_HEADERS: Final = {401: {"WWW-Authenticate": 'Bearer realm="answerable"'}, 503: {"Retry-After": "1"}}


class Problem(BaseModel):
    """RFC 9457."""

    type: str = Field(description="names the kind of problem; it does not change")
    title: str
    status: int
    detail: str = Field("", description="what is wrong here, and what to do")


def problem_response(kind: Kind, detail: str) -> JSONResponse:
    """The response that tells a problem."""
    body = {
        "type": f"urn:answerable:problem:{kind.name}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail[:_DETAIL].encode("utf-8", "replace").decode(),
    }
    return JSONResponse(body, kind.status, _HEADERS.get(kind.status), MEDIA_TYPE)


def response_to(error: LedgerError) -> JSONResponse:
    """The problem that an error of ours is."""
    kind = next((TABLE[each] for each in type(error).__mro__ if each in TABLE), INTERNAL)
    if kind.status >= 500 and kind.status != 501:
        _log.error("%s: %s", kind.name, error)
        return problem_response(kind, "" if kind is INTERNAL else "try again; the server's log says more")
    return problem_response(kind, str(error))


def install(app: FastAPI) -> None:
    """Makes ``app`` answer every failure with a problem."""

    @app.exception_handler(LedgerError)
    async def of_ledger(request: Request, error: LedgerError) -> JSONResponse:  # noqa: ARG001 - FastAPI's signature
        return response_to(error)

    @app.exception_handler(RequestValidationError)
    async def of_validation(request: Request, error: RequestValidationError) -> JSONResponse:  # noqa: ARG001 - FastAPI's signature
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        return problem_response(TABLE[InvalidRequest], f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:  # noqa: ARG001 - FastAPI's signature
        title = HTTPStatus(error.status_code).phrase
        kind = TABLE[NotFound] if error.status_code == 404 else Kind(_slug(title), error.status_code, title)
        response = problem_response(kind, "no such path" if error.status_code == 404 else str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def of_defect(request: Request, error: Exception) -> JSONResponse:
        _log.error("defect at %s", request.url.path, exc_info=error)
        return problem_response(INTERNAL, "")


EVERYWHERE: Final = (400, 414, 421)
"""What the door refuses before any path is looked at."""


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a path can answer with, for OpenAPI: those of every path, and ``statuses``."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        each: {"description": _phrase(each), "content": {MEDIA_TYPE: schema}}
        for each in sorted({*EVERYWHERE, *statuses})
    }


def _phrase(status: int) -> str:
    """The same on every release of Python."""
    known = {kind.status: kind.title for kind in TABLE.values()}
    return known.get(status) or HTTPStatus(status).phrase


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")
