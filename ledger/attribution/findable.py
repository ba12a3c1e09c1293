"""What an event can be found by, whatever it is called there: request and trace ids, addresses, hosts, resources and tables in
them, tool calls, tokens, decisions, approvals. Of what events state openly alone: contents are not searched, people have digests.

Where an event answers to a name that holds the whole value (``joins``), that name finds it; for all else it answers to
``value:<value>``. ``names_for`` are the names that a value may stand in, and ``matches`` the fields in which it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from ledger.attribution.joins import CORRELATIONS, REMEMBERED
from ledger.format.event import EventHeader

PARTS: Final = 16
"""Parts of one resource that it is found by at most, and ways in which a value is taken apart."""
SHORTEST: Final = 3
"""Characters of a part that can be looked for."""
_HOST: Final = 253
"""Characters of a host's name at most (RFC 1035, in text)."""
_BEGINNING: Final = 1024
"""Characters of a URL in which its host stands."""

Payload = Mapping[str, Any]

_NAMED: Final[Mapping[str, tuple[str, ...]]] = {
    "api_action": ("action_id", "resource", "grant_id", "oversight_ids"),
    "policy_decision": ("decision_id", "action_id", "grant_id", "policy_id"),
    "oversight": ("oversight_id", "reference"),
    "observation": ("uri",),
    "token_issuance": ("grant_id", "txn"),
    "token_revocation": ("grant_id",),
    "grant": ("grant_id", "parent_grant_id"),
    "trigger_registration": ("trigger_id", "grant_id"),
    "agent_registration": ("agent_id", "client_ids"),
}
"""Fields whose whole value stands in a name that the event answers to."""
_OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("origin", "trigger_id"),
    "reasoning_step": ("response_id",),
    "api_action": ("idempotency_key", "target_system", "decision_id", "origin"),
    "policy_decision": ("resource", "subject_agent"),
    "oversight": ("external_system", "external_id"),
    "observation": ("origin", "dataset", "action_id"),
    "memory": ("store", "key"),
    "token_issuance": ("client_id", "audiences", "resources", "session"),
    "token_revocation": ("client_id", "session"),
    "grant": ("delegate", "audiences"),
    "handoff": ("peer_ledger", "peer_agent", "task_id"),
    "execution_control": ("conversation",),
    "trigger_registration": ("target_agent",),
    "agent_registration": ("parent_agent",),
}
"""Fields with values that no name holds."""
_TOKENS: Final[Mapping[str, tuple[str, ...]]] = {
    "token_issuance": ("token", "subject_token", "actor_token"),
    **dict.fromkeys(
        ("prompt", "api_action", "policy_decision", "handoff", "trigger_registration", "token_revocation"), ("token",)
    ),
}
"""Fields with references to tokens."""
_WITH_PARTS: Final = frozenset({"resource", "resources", "uri"})
_WITH_HOST: Final = frozenset({"origin", "target_system", "external_system", "audiences", "peer_ledger"}) | _WITH_PARTS
_MANY: Final = frozenset({"audiences", "resources"})
"""Fields that hold several values."""
_WHOLE: Final = CORRELATIONS - {"parent_span"}
"""Correlations that stand in a name whole."""


class _Stated(NamedTuple):
    """The fields of a kind that hold a value which no name holds: those whose parts alone do, those of one value and of several,
    those of a token, and whether the event answers to the token's digest (to its jti alone no name leads)."""

    parted: tuple[str, ...]
    one: tuple[str, ...]
    many: tuple[str, ...]
    tokens: tuple[tuple[str, bool], ...]


_STATED: Final[Mapping[str, _Stated]] = {
    kind: _Stated(
        tuple(each for each in _NAMED.get(kind, ()) if each in _WITH_PARTS),
        tuple(each for each in _OTHERS.get(kind, ()) if each not in _MANY),
        tuple(each for each in _OTHERS.get(kind, ()) if each in _MANY),
        tuple(
            (each, each == "token" and kind in ("token_issuance", "token_revocation")) for each in _TOKENS.get(kind, ())
        ),
    )
    for kind in (*_NAMED, *_OTHERS, *_TOKENS)
}

_NAMES: Final = (
    "value", "action", "decision", "oversight", "oversight_use", "grant", "grant_use", "trigger", "agent", "resource", "policy",
    "txn", "token_digest", "correlation",
)  # fmt: skip


def names_for(value: str) -> list[str]:
    """The names by which an event may answer to a value; ``issuer#jti`` is a token."""
    tokens = [f"token:{issuer}\0{jti}" for issuer, jti in in_two(value)]
    return [
        *tokens,
        *(f"token_use:{token}" for token in tokens),
        *(f"{namespace}:{value}" for namespace in _NAMES),
        f"token_use:token_digest:{value}",
        *(f"correlation:{namespace}:{value}" for namespace in sorted(CORRELATIONS)),
    ]


def in_two(value: str) -> list[tuple[str, str]]:
    """What stands before and after a ``#``: at each of the last, for either may hold one."""
    found: list[tuple[str, str]] = []
    first = value
    while "#" in first and len(found) < PARTS:
        first = first.rpartition("#")[0]
        found.append((first, value[len(first) + 1 :]))
    return found


def value_names(header: EventHeader, payload: Payload | None) -> list[str]:
    """The names of the values that no other name of the event holds, each once. Of every event that is stored: no field is looked
    at that the kind has not, and what repeats is worked out once."""
    values: dict[str, None] = {}
    for each in header.correlation:
        namespace, _, value = each.partition(":")
        if namespace not in _WHOLE:
            values[value] = None
    if payload is not None and (stated := _STATED.get(header.kind)) is not None:
        for field in stated.parted:
            if held := payload[field]:
                values.update(_parts(field, held))
        for field in stated.one:
            if held := payload[field]:
                values[held] = None
                if field in _WITH_HOST:
                    values.update(_parts(field, held))
        for field in stated.many:
            for value in payload[field]:
                values[value] = None
                if field in _WITH_HOST:
                    values.update(_parts(field, value))
        for field, whole in stated.tokens:
            if (token := payload[field]) is not None and (jti := token["jti"]) is not None:
                values[jti] = None
                if not whole and (digest := token["digest"]) is not None:
                    values[digest.hex()] = None
    return [f"value:{value}" for value in values]


def matches(header: EventHeader, payload: Payload | None, value: str) -> list[str]:
    """The fields of an event in which exactly this value stands, or a part of one is exactly this: each once."""
    return list(dict.fromkeys(field for field, held in _values(header, payload) if held == value))


def _values(header: EventHeader, payload: Payload | None) -> Iterator[tuple[str, str]]:
    """Every field with its values and the parts of them."""
    for each in header.correlation:
        namespace, _, value = each.partition(":")
        yield f"correlation {namespace}", value
        yield f"correlation {namespace}", each
    if payload is None:
        return
    for field in (*_NAMED.get(header.kind, ()), *_OTHERS.get(header.kind, ())):
        held = payload[field]
        for value in (held,) if isinstance(held, str) else held or ():
            yield from ((field, each) for each in (value, *_parts(field, value)))
    for field in _TOKENS.get(header.kind, ()):
        if (token := payload[field]) is not None:
            yield from ((field, each) for each in _of_token(token))


def _of_token(token: Payload) -> Iterator[str]:
    """What a token is called by."""
    if (jti := token["jti"]) is not None:
        yield jti
        yield f"{token['issuer'] or ''}#{jti}"
    if (digest := token["digest"]) is not None:
        yield digest.hex()


def _parts(field: str, value: str) -> dict[str, None]:
    """What ``_parted`` says, remembered of short values alone: of a long one each part may be as long."""
    return (_remembered if len(value) <= REMEMBERED else _parted)(field, value)


def _parted(field: str, value: str) -> dict[str, None]:
    """A host or address in a value; of a resource what stands between slashes and colons, and a table without what it is in.

    No part of a host's name, and none of fewer than ``SHORTEST`` characters: nobody looks for `com` or `v1`, and each part of
    every event that is stored costs a row.
    """
    found: dict[str, None] = {}
    host = _host(value) if field in _WITH_HOST else None
    if host is not None:
        found[host] = None
    if field in _WITH_PARTS:
        for part in _path(value, host).replace(":", "/").split("/"):
            found[part] = None
            while (part := part.partition(".")[2]) and len(found) < PARTS:
                found[part] = None
            if len(found) >= PARTS:
                break
    return {each: None for each in found if len(each) >= SHORTEST and each != value}


_remembered: Final = lru_cache(maxsize=1 << 12)(_parted)


def _path(value: str, host: str | None) -> str:
    """A resource without scheme and host."""
    _, scheme, rest = value.partition("://")
    return rest.partition("/")[2] if scheme and host is not None else rest or value


def _host(value: str) -> str | None:
    """The host of a URL, or of `host:port`. Only the beginning is split: the library remembers what it split, however long."""
    begun = value[:_BEGINNING]
    try:
        host = urlsplit(begun if "://" in begun else f"//{begun}").hostname
    except ValueError:
        return None
    return host if host is not None and len(host) <= _HOST else None


__all__ = ["PARTS", "in_two", "matches", "names_for", "value_names"]
