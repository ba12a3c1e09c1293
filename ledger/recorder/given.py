"""What callers give, judged before it is used: Python would take a text for a list of its letters, and sign that for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ledger.errors import InvalidEvent

_AGENT: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://[^/?#]|[^/])")
"""How a URI begins whose authority is not empty (RFC 3986 §3); that of ``urn:`` and its like stands in what follows."""


def listed(given: Any, name: str) -> tuple[Any, ...]:
    """The items of ``given``; raises ``InvalidEvent`` for a single one, and for what has none."""
    kind = given.__class__
    if kind is tuple or kind is list:  # in the way of every event
        return tuple(given)
    single = isinstance(given, str | bytes | bytearray | Mapping) or hasattr(kind, "_fields")
    if single or not isinstance(given, Iterable):
        raise InvalidEvent(f"{name} is given as {kind.__name__}; give a list, also of a single one")
    return tuple(given)


def check_agent(agent_id: str) -> None:
    """Raises ``InvalidEvent`` where ``agent_id`` names no agent to other ledgers: two authorities may both have a ``travel``."""
    if not isinstance(agent_id, str) or not _AGENT.match(agent_id):
        raise InvalidEvent(
            "the agent_id is no URI with an authority; give one such as spiffe://acme.example/travel or "
            "https://issuer.example#client_id"
        )
