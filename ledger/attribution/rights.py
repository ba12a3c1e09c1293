"""How tokens and grants come from each other, as one event states it: steps from what was used to what was obtained with it.

A token or grant is named as the joins name its uses (``token_use:``, ``grant_use:``), so that the key of a step leads to both,
what was obtained with it and what was done with it. The store keeps the keys; whoever reads compares names (``steps_of``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, Final, NamedTuple

from ledger.attribution.joins import Keys, token_names
from ledger.format.event import EventHeader

EXCHANGED: Final = 1
"""A token was obtained with another one: exchanged, refreshed, or a credential that made the request."""
ACTED: Final = 2
"""A token was obtained by who presented another one as the actor's."""
GRANTED: Final = 3
"""A token was issued under a grant."""
DELEGATED: Final = 4
"""A grant was derived from another one."""
ALIAS: Final = 5
"""One token by two names: (iss, jti) and digest."""
ENDED: Final = 6
"""A token or grant was revoked; leads to itself."""
GIVEN: Final = 7
"""A grant was given, changed or withdrawn; leads to itself."""

OBTAINED: Final = frozenset({EXCHANGED, ACTED, GRANTED, DELEGATED})

Payload = Mapping[str, Any]


class Step(NamedTuple):
    """From a right (``above``) to what was obtained with it (``below``), both by name."""

    above: str
    below: str
    how: int


def uses_of_token(token: Payload | None) -> list[str]:
    """The names under which the uses of a token are found: by (iss, jti) first, by digest, or both."""
    return [f"token_use:{name}" for name in token_names(token)]


def uses_of_grant(grant_id: str | None) -> list[str]:
    """The name under which the uses of a grant are found, if there is a grant."""
    return [] if grant_id is None else [f"grant_use:{grant_id}"]


def steps_of(header: EventHeader, payload: Payload | None) -> list[Step]:
    """The steps that an event states, each once. ``payload`` None: erased or of an unknown schema."""
    if payload is None or (read := _BY_KIND.get(header.kind)) is None:
        return []
    return list(dict.fromkeys(read(payload)))


def step_keys(keys: Keys, header: EventHeader, payload: Payload | None) -> list[tuple[bytes, bytes, int]]:
    """The same as the store keeps them: key above, key below, how."""
    return [(keys[above], keys[below], how) for above, below, how in steps_of(header, payload)]


def _token_issuance(payload: Payload) -> Iterator[Step]:
    own = uses_of_token(payload["token"]) if payload["status"] != "refused" else []
    if not own:
        return
    yield from _aliases(own)
    for how, field in ((EXCHANGED, "subject_token"), (ACTED, "actor_token")):
        source = uses_of_token(payload[field])
        yield from _aliases(source)
        yield from (Step(above, own[0], how) for above in source[:1])
    yield from (Step(above, own[0], GRANTED) for above in uses_of_grant(payload["grant_id"]))


def _token_revocation(payload: Payload) -> Iterator[Step]:
    names = uses_of_token(payload["token"])
    yield from _aliases(names)
    for name in [*names[:1], *uses_of_grant(payload["grant_id"])]:
        yield Step(name, name, ENDED)


def _grant(payload: Payload) -> Iterator[Step]:
    (own,) = uses_of_grant(payload["grant_id"])
    yield Step(own, own, GIVEN)
    yield from (Step(above, own, DELEGATED) for above in uses_of_grant(payload["parent_grant_id"]))


def _aliases(names: list[str]) -> Iterator[Step]:
    return (Step(one, other, ALIAS) for one, other in product(names, names) if one != other)


_BY_KIND: Final[Mapping[str, Callable[[Payload], Iterator[Step]]]] = {
    "token_issuance": _token_issuance,
    "token_revocation": _token_revocation,
    "grant": _grant,
}
