"""The kinds that a recorder states by itself, and nobody through it."""

from __future__ import annotations

from typing import Final

OWN_KINDS: Final = frozenset({"chain_open", "chain_heartbeat", "chain_loss", "chain_close"})
