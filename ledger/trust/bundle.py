"""The trust bundle: an append-only file of signed statements that say which key may sign what, and when.

One JSON line a statement: ``{"signature": base64url, "statement": {…}}``, RFC 8785 canonical, LF after each. A statement has
``number`` (0, 1, …), ``previous`` (hex SHA-256 of the line before without its LF; 64 zeros at first), ``ledger``, and

* ``type: "key"`` – ``key`` (JWK), ``role`` (source | importer), ``tenants``, ``services``, ``kinds`` (lists; ``"*"`` is any,
  but for kinds not the four that must be named), ``from``, ``until`` (µs UTC of append time; ``until`` null is open), or
* ``type: "revocation"`` – ``key_id``, ``from``.

The signature is Ed25519 by the root key over ``answerable/trust/v1 ‖ 0x00 ‖ canonical statement``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import rfc8785

from ledger.errors import LedgerError
from ledger.trust.keys import KeyRefused, PublicKey, b64url, b64url_decode, read_jwk

NAMED_KINDS: Final = frozenset({"content_erasure", "token_revocation", "agent_registration", "oversight"})
"""Kinds that ``*`` leaves out."""
ANY: Final = "*"
_LABEL: Final = b"answerable/trust/v1\x00"
_FIRST: Final = "0" * 64


class TrustError(LedgerError):
    """The bundle does not verify as a whole; none of it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One statement about a key: what it may sign, by append time in µs UTC, ``until`` excluded."""

    role: str
    tenants: frozenset[str]
    services: frozenset[str]
    kinds: frozenset[str]
    valid_from: int
    valid_until: int | None

    def covers(self, tenant: str, service: str) -> bool:
        return _named(self.tenants, tenant) and _named(self.services, service)

    def holds_at(self, append_time: int) -> bool:
        return self.valid_from <= append_time and (self.valid_until is None or append_time < self.valid_until)

    def allows(self, kind: str) -> bool:
        return kind in self.kinds or (ANY in self.kinds and kind not in NAMED_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """All that a bundle says about one key."""

    public: PublicKey
    grants: tuple[Grant, ...]
    revoked_from: int | None

    @property
    def says(self) -> tuple[tuple[Grant, ...], int | None]:
        """All that matters to a verdict, in a form that compares."""
        return self.grants, self.revoked_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What a key may state in one seal."""

    role: str
    kinds: tuple[Grant, ...]

    def allows(self, kind: str) -> bool:
        return any(grant.allows(kind) for grant in self.kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustBundle:
    """A verified bundle. ``digest`` is the SHA-256 of its bytes, ``lines`` those of each line, to compare bundles by."""

    keys: Mapping[str, TrustedKey]
    lines: tuple[bytes, ...]
    digest: bytes
    statements: tuple[Mapping[str, Any], ...] = field(repr=False)

    def extends(self, shorter: Sequence[bytes]) -> bool:
        """Whether the lines hashed in ``shorter`` are the beginning of this bundle."""
        return self.lines[: len(shorter)] == tuple(shorter)

    def authority(self, key_id: str, tenant: str, service: str, append_time: int) -> Authority | str:
        """What the key may state for tenant and service at ``append_time``, or the reason why nothing."""
        key = self.keys.get(key_id)
        if key is None:
            return "unknown_key"
        if key.revoked_from is not None and append_time >= key.revoked_from:
            return "revoked_key"
        covering = [grant for grant in key.grants if grant.covers(tenant, service)]
        if not covering:
            return "wrong_scope"
        holding = tuple(grant for grant in covering if grant.holds_at(append_time))
        if not holding:
            return "expired_key"
        role = "source" if any(grant.role == "source" for grant in holding) else "importer"
        return Authority(role=role, kinds=holding)


def prefix_of(bundle: TrustBundle, count: int) -> TrustBundle:
    """What ``bundle`` said in its first ``count`` lines; its digest is left empty."""
    statements = bundle.statements[:count]
    return TrustBundle(keys=_keys_of(statements), lines=bundle.lines[:count], digest=b"", statements=statements)


EMPTY: Final = TrustBundle(keys={}, lines=(), digest=sha256(b"").digest(), statements=())
"""A bundle that trusts nobody."""


def read_bundle(data: bytes, root: PublicKey, ledger: str) -> TrustBundle:
    """Verifies a whole bundle; raises ``TrustError`` naming the line at fault. A last line without its LF was cut short."""
    if data and not data.endswith(b"\n"):
        raise TrustError("the trust bundle is cut short: its last line has no end; fetch it again")
    lines = data.split(b"\n")[:-1]
    statements: list[Mapping[str, Any]] = []
    previous = _FIRST
    for number, line in enumerate(lines):
        statements.append(_read_line(line, number, previous, root, ledger))
        previous = sha256(line).hexdigest()
    return TrustBundle(
        keys=_keys_of(statements),
        lines=tuple(sha256(line).digest() for line in lines),
        digest=sha256(data).digest(),
        statements=tuple(statements),
    )


def extend_bundle(data: bytes, ledger: str, statement: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> bytes:
    """``data`` with one more signed line. ``statement`` without ``number``, ``previous`` and ``ledger``, which are set here."""
    lines = data.split(b"\n")[:-1]
    previous = sha256(lines[-1]).hexdigest() if lines else _FIRST
    whole = {**statement, "number": len(lines), "previous": previous, "ledger": ledger}
    _interpret(whole)
    signature = b64url(sign(_LABEL + rfc8785.dumps(whole)))
    return data + rfc8785.dumps({"signature": signature, "statement": whole}) + b"\n"


def _read_line(line: bytes, number: int, previous: str, root: PublicKey, ledger: str) -> Mapping[str, Any]:
    try:
        outer = json.loads(line)
        statement, signature = outer["statement"], outer["signature"]
        canonical = rfc8785.dumps(outer) == line and len(outer) == 2
        message = _LABEL + rfc8785.dumps(statement)
        verified = root.verifies(message, b64url_decode(signature))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, rfc8785.CanonicalizationError):
        raise TrustError(f"line {number} of the trust bundle is not a signed statement") from None
    if not canonical:
        raise TrustError(f"line {number} of the trust bundle is not canonical JSON")
    if not verified:
        raise TrustError(f"line {number} of the trust bundle is not signed by the configured root key")
    if not isinstance(statement, dict) or isinstance(statement.get("number"), bool):
        raise TrustError(f"line {number} of the trust bundle has no number")
    if statement.get("number") != number or statement.get("previous") != previous:
        raise TrustError(f"line {number} of the trust bundle does not follow from the line before it")
    if statement.get("ledger") != ledger:
        raise TrustError(f"line {number} of the trust bundle is for another ledger ({statement.get('ledger')})")
    try:
        _interpret(statement)
    except (KeyRefused, ValueError, KeyError, TypeError) as error:
        raise TrustError(f"line {number} of the trust bundle cannot be used: {error}") from None
    return statement


def _interpret(statement: Mapping[str, Any]) -> tuple[PublicKey, Grant] | tuple[str, int]:
    """The meaning of one statement; raises ``ValueError`` (``KeyRefused`` among them) or ``KeyError`` where it has none."""
    if statement["type"] == "revocation":
        return _text(statement["key_id"]), _time(statement["from"])
    if statement["type"] != "key":
        raise ValueError(f"unknown type of statement {statement['type']!r}")
    if statement["role"] not in ("source", "importer"):
        raise ValueError("role is neither source nor importer")
    until = statement["until"]
    grant = Grant(
        role=statement["role"],
        tenants=_texts(statement["tenants"]),
        services=_texts(statement["services"]),
        kinds=_texts(statement["kinds"]),
        valid_from=_time(statement["from"]),
        valid_until=None if until is None else _time(until),
    )
    return read_jwk(statement["key"]), grant


def _keys_of(statements: Sequence[Mapping[str, Any]]) -> dict[str, TrustedKey]:
    public: dict[str, PublicKey] = {}
    grants: dict[str, list[Grant]] = {}
    revoked: dict[str, int] = {}
    for statement in statements:
        subject, meaning = _interpret(statement)
        if isinstance(subject, PublicKey) and isinstance(meaning, Grant):
            public[subject.key_id] = subject
            grants.setdefault(subject.key_id, []).append(meaning)
        elif isinstance(subject, str) and isinstance(meaning, int):
            revoked[subject] = min(meaning, revoked.get(subject, meaning))
    return {
        key_id: TrustedKey(public=key, grants=tuple(grants[key_id]), revoked_from=revoked.get(key_id))
        for key_id, key in public.items()
    }


def _named(names: frozenset[str], name: str) -> bool:
    return name in names or ANY in names


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _texts(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise ValueError("tenants, services and kinds are lists that name at least one, or *")
    return frozenset(_text(each) for each in value)


def _time(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a time is a whole number of µs since 1970")
    return value
