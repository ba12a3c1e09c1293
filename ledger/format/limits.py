"""Every limit of the wire format, in bytes, counts and µs. The table in ``docs/format.md`` is made from the same numbers."""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1

SEAL_BYTES: Final = 2 * 1024
HEADER_BYTES: Final = 8 * 1024
PAYLOAD_BYTES: Final = 64 * 1024
BATCH_BYTES: Final = 768 * 1024
CONTENT_BYTES: Final = 8 * 1024 * 1024
CONTENT_VALUE_BYTES: Final = CONTENT_BYTES + 64 * 1024
"""Of a content's record: its bytes, and what may stand around them."""
CONTENT_STRING_BYTES: Final = 2 * 1024
"""Of a content's tenant, media type, and each subject."""
CONTENT_SUBJECTS: Final = 256
KEPT_OF_OVERSIZE: Final = 64 * 1024

EVENTS_PER_SEAL: Final = 256
CAUSES: Final = 64
HEADER_STRING_BYTES: Final = 512
SIGNATURES: Final = 16
NUMBER: Final = 2**53 - 1
"""The largest seal number, first sequence and ``sealed_at``: exact in JSON, and safe to add to in 64 bits."""
NEXT_WITHIN: Final = 366 * 24 * 60 * 60
"""The longest promise of a next seal, in seconds."""

SECOND: Final = 1_000_000
SEALED_AHEAD: Final = 5 * 60 * SECOND
"""A seal dated further than this after its append time is ``clock_skew``."""
SEALED_BEHIND: Final = 60 * 60 * SECOND
"""A seal dated further than this before its append time is ``late``."""
EVENT_AHEAD: Final = 24 * 60 * 60 * SECOND
"""An event dated further than this after append time is ``clock_skew``."""
