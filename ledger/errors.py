"""The error tree: who is at fault decides what to do.

``InvalidEvent`` is the caller's fault, ``VerificationError`` is evidence and becomes a finding, ``BackendError`` may be
retried, ``NotFound`` is an answer. Every message is one sentence that names what to do; facts stand in attributes.
"""

from __future__ import annotations


class LedgerError(Exception):
    """Anything that this project raises on purpose."""


class InvalidEvent(LedgerError):
    """What a caller passed cannot be recorded; nothing was written."""


class SpoolFull(InvalidEvent):
    """The spool has no room for the event; nothing was written."""


class RecorderClosed(InvalidEvent):
    """The recorder was closed; open another one."""


class SpoolFailed(LedgerError):
    """The spool could not be written or is not ours; nothing was recorded."""


class SpoolUnreadable(SpoolFailed):
    """A spool that another release wrote, or that is damaged: left as it is for whoever can read it."""


class ConfigurationError(LedgerError):
    """A setting, key or file is missing or wrong; the message names it and what to do."""


class AccessDenied(ConfigurationError):
    """The log or the store does not let us in, or not do that. ``missing``: the right, or "authentication"."""

    def __init__(self, message: str, *, missing: str) -> None:
        super().__init__(message)
        self.missing = missing


class VerificationError(LedgerError):
    """Bytes that do not verify; ``reason`` is one of the names in ``ledger.trust.reasons``."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.detail = message


class BackendError(LedgerError):
    """The log, the store or the network failed; the same call may succeed later."""


class TopicMismatch(ConfigurationError):
    """A topic exists with settings under which the ledger's promises do not hold."""


class TopicAbsent(ConfigurationError):
    """A log does not hold the topic at all: an archive that was made without it."""


class PositionLost(BackendError):
    """The log no longer holds the position to read from; a person must decide how to go on."""

    def __init__(self, message: str, *, topic: str | None = None, partition: int | None = None) -> None:
        super().__init__(message)
        self.topic = topic
        self.partition = partition


class NotFound(LedgerError):
    """The ledger holds nothing under that name."""


class DrawingFailed(LedgerError):
    """A graph could not be drawn; the message says what to install or what to ask for instead."""


def told(error: BaseException) -> str:
    """An error for a log or a health check, which hold no content.

    The text of what failed of log, store or settings, which is ours. Of anything else only what it and its cause are called:
    a decoder, a driver that refuses a value, or a library may repeat what a record says.
    """
    if isinstance(error, BackendError | ConfigurationError):
        return str(error)
    name, cause = type(error).__name__, error.__cause__
    return name if cause is None else f"{name} from {type(cause).__name__}"
