"""Reading an `act` claim (RFC 8693 §4.1) into a chain of actors. It never fails: what could not be read is said, because
malformed is not absent. Claims inside `act` other than `iss` and `sub` are counted and not kept: they may be personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

DEPTH: Final = 16
"""Actors that are kept; RFC 8693 sets no bound."""
COUNTED: Final = 4096
"""Actors beyond ``DEPTH`` that are counted before reading stops."""
NAME_BYTES: Final = 2048
"""An `iss` or `sub` longer than this in UTF-8 is read as not being one."""

ACT_NOT_OBJECT: Final = "act_not_object"
NESTED_ACT_NOT_OBJECT: Final = "nested_act_not_object"
ISS_NOT_STRING: Final = "iss_not_string"
SUB_NOT_STRING: Final = "sub_not_string"


class ActActor(NamedTuple):
    """One party of the chain, as the token states it."""

    iss: str | None
    sub: str | None


class ActChain(NamedTuple):
    """An `act` claim as read. ``chain`` is outermost first: the first is the current actor, later ones are informational.

    ``truncated`` counts actors beyond ``DEPTH``, ``omitted`` the claims of the kept actors other than iss, sub and act.
    ``malformed`` says why parts could not be read, each reason once, in order; empty for a well-formed claim.
    """

    chain: tuple[ActActor, ...]
    truncated: int
    omitted: int
    malformed: tuple[str, ...]

    @property
    def reason(self) -> str | None:
        """The first reason; None for a well-formed claim."""
        return self.malformed[0] if self.malformed else None


def read_act(claim: object) -> ActChain:
    """The chain in the value of an `act` claim that is there. A JSON null is malformed: see ``act_of`` for absence."""
    actors: list[ActActor] = []
    malformed: dict[str, None] = {}
    truncated = omitted = 0
    wrong = ACT_NOT_OBJECT
    while True:
        if not isinstance(claim, Mapping):
            malformed[wrong] = None
            break
        if len(actors) < DEPTH:
            actors.append(_read_actor(claim, malformed))
            omitted += sum(1 for name in claim if name not in ("iss", "sub", "act"))
        else:
            truncated += 1
        if "act" not in claim or truncated == COUNTED:
            break
        claim, wrong = claim["act"], NESTED_ACT_NOT_OBJECT
    return ActChain(tuple(actors), truncated, omitted, tuple(malformed))


def act_of(claims: Mapping[str, object]) -> ActChain | None:
    """The chain of a token's claims; None where the token has no `act`, which is not the same as a malformed one."""
    return read_act(claims["act"]) if "act" in claims else None


def _read_actor(claim: Mapping[object, object], malformed: dict[str, None]) -> ActActor:
    return ActActor(
        _read_name(claim, "iss", ISS_NOT_STRING, malformed),
        _read_name(claim, "sub", SUB_NOT_STRING, malformed),
    )


def _read_name(claim: Mapping[object, object], name: str, wrong: str, malformed: dict[str, None]) -> str | None:
    """The string under ``name``; one that no event can hold (U+0000, lone surrogates, too long) is not one."""
    if name not in claim:
        return None
    value = claim[name]
    if isinstance(value, str) and "\0" not in value and len(value) <= NAME_BYTES:
        try:
            if len(value.encode()) <= NAME_BYTES:
                return value
        except UnicodeEncodeError:
            pass
    malformed[wrong] = None
    return None
