"""What a process that keeps running writes to its log: a line of JSON each, or text for a person at a terminal.

Our own lines and those of libraries come out alike, with time (UTC) and level. They name partitions, offsets, chains and
seals, and hold nothing of what events or contents say.
"""

from __future__ import annotations

import logging
import sys
from traceback import format_tb
from typing import Final

import structlog
from structlog.typing import ExcInfo, Processor

from ledger.errors import told

_BOTH: Final[list[Processor]] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def trace(exc_info: ExcInfo) -> str:
    """Where an error came from, and those before it: frames and names, and no text that may repeat what a record says."""
    error: BaseException | None = exc_info[1]
    parts: list[str] = []
    while error is not None:
        parts.append("".join(format_tb(error.__traceback__)) + told(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(parts))


_ERRORS: Final = structlog.processors.ExceptionRenderer(trace)


def write_lines() -> None:
    """From now on every line goes to standard error in that form. For the process's main function."""
    stream = sys.stderr
    last: Processor = structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*_BOTH, _ERRORS, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    of_libraries = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_BOTH, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _ERRORS,
            last,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(of_libraries)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
