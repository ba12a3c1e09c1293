"""Answerable: a provenance and audit ledger for AI agents. What a service imports; each name is loaded when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ledger.errors import (
        BackendError,
        ConfigurationError,
        InvalidEvent,
        LedgerError,
        RecorderClosed,
        SpoolFailed,
        SpoolFull,
    )
    from ledger.format import kinds
    from ledger.format.content import Person
    from ledger.format.event import Cause
    from ledger.format.heads import KnownHead, format_heads
    from ledger.recorder.contents import Kept, Text
    from ledger.recorder.context import Recorded, Remote
    from ledger.recorder.headers import Incoming
    from ledger.recorder.health import Health
    from ledger.recorder.recorder import Recorder
    from ledger.recorder.tokens import token_reference
    from ledger.wiring import open_recorder

_HOMES: Final = {
    "BackendError": "ledger.errors",
    "Cause": "ledger.format.event",
    "ConfigurationError": "ledger.errors",
    "Health": "ledger.recorder.health",
    "Incoming": "ledger.recorder.headers",
    "InvalidEvent": "ledger.errors",
    "Kept": "ledger.recorder.contents",
    "KnownHead": "ledger.format.heads",
    "LedgerError": "ledger.errors",
    "Person": "ledger.format.content",
    "Recorded": "ledger.recorder.context",
    "Recorder": "ledger.recorder.recorder",
    "RecorderClosed": "ledger.errors",
    "Remote": "ledger.recorder.context",
    "SpoolFailed": "ledger.errors",
    "SpoolFull": "ledger.errors",
    "Text": "ledger.recorder.contents",
    "format_heads": "ledger.format.heads",
    "open_recorder": "ledger.wiring",
    "token_reference": "ledger.recorder.tokens",
}


def __getattr__(name: str) -> Any:
    if name == "kinds":
        return import_module("ledger.format.kinds")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ledger' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


__all__ = [
    "BackendError",
    "Cause",
    "ConfigurationError",
    "Health",
    "Incoming",
    "InvalidEvent",
    "Kept",
    "KnownHead",
    "LedgerError",
    "Person",
    "Recorded",
    "Recorder",
    "RecorderClosed",
    "Remote",
    "SpoolFailed",
    "SpoolFull",
    "Text",
    "format_heads",
    "kinds",
    "open_recorder",
    "token_reference",
]
