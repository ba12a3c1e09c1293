"""What looks like a raw token: it is in no event and no content, ever. A net for slips, not a proof."""

from __future__ import annotations

import re
from typing import Final

_JWT: Final = re.compile(rb"(?<![\w-])(?>[\w-]*?eyJ)[\w-]{8,}+\.(?:eyJ|[\w-]*+\.[\w-]{4,})")
"""Compact form (RFC 7515 §7.1, RFC 7516 §7.1): the first part, and of a JWT the second, is the base64url of ``{"…``; also
where it was cut off. Each run of such characters is read from its start and never again: a stranger's text of many ``eyJ``
would hold the caller for hours."""
_SCHEME: Final = re.compile(rb"(?i)\b(?:bearer|dpop) +(?=[\w.~+/=-]*\d)[\w.~+/=-]{16,}")
"""The credentials of an Authorization header (RFC 6750 §2.1, RFC 9449 §7.1). Prose about bearers has no such word after it."""

ADVICE: Final = "give its digest or jti by a TokenReference, or record it with record_token()"


def fault_of_text(text: str) -> str | None:
    """``fault_of_bytes`` for the text of an event. Where nothing looks like a token it is the quicker one: a single character
    is found many times faster than a word of it.
    """
    if "J" in text and "eyJ" in text:
        return fault_of_bytes(text.encode())
    if " " in text:
        lower = text.lower()
        if "bearer " in lower or "dpop " in lower:
            return fault_of_bytes(text.encode())
    return None


def fault_of_bytes(data: bytes) -> str | None:
    """Why ``data`` may not be recorded, in words that follow a noun; None if nothing in it looks like a token."""
    if b"eyJ" in data and _JWT.search(data):
        return f"holds a raw token (JWT); {ADVICE}"
    lower = data.lower()
    if (b"bearer " in lower or b"dpop " in lower) and _SCHEME.search(data):
        return f"holds the credentials of an Authorization header; {ADVICE}"
    return None
