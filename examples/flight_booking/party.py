"""What all parties share: where the others are, and how one is served: its recorder opened before, its spool sent after."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import rfc8785
import uvicorn
from fastapi import FastAPI, Request

from ledger import Recorder, open_recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """The base URL of each party."""

    alice: str
    authorization_server: str
    travel_agent: str
    policy_point: str
    flight_api: str

    @property
    def agent_id(self) -> str:
        """The logical agent: a URI that includes its authority."""
        return f"{self.authorization_server}#travel-agent"


def urls() -> Urls:
    """The URLs that the story chose for this run."""
    return Urls(**json.loads(os.environ["FLIGHT_BOOKING_URLS"]))


def serve(service: str, create_app: Callable[[Recorder], FastAPI]) -> None:
    """Serves a party on loopback until SIGTERM. ``service`` is the name under which it records, with its own key and spool.

    The recorder is closed at the end, which closes its chain: uvicorn raises the signal again once it has shut down, and
    the signal's own way would end the process before that.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with open_recorder(service=service) as recorder:
        port = int(getattr(urls(), service.replace("-", "_")).rpartition(":")[2])
        uvicorn.run(create_app(recorder), host="127.0.0.1", port=port, log_level="warning", access_log=False)


def parameter_digest(parameters: dict[str, Any]) -> bytes:
    """SHA-256 of the canonical JSON (RFC 8785): what decision, approval and action are bound to."""
    return sha256(rfc8785.dumps(parameters)).digest()


async def form(request: Request) -> dict[str, str]:
    """The fields of an ``application/x-www-form-urlencoded`` body."""
    return dict(parse_qsl((await request.body()).decode()))
