"""What a token says, without the token: its claims, read leniently, and its digest. Nothing is verified here."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from ledger.attribution.delegation import act_of
from ledger.errors import InvalidEvent
from ledger.format.content import Person
from ledger.format.kinds import Actor, ActorChain, Authentication, TokenReference
from ledger.recorder.contents import Text
from ledger.recorder.secrets import fault_of_bytes

LONGEST: Final = 2048
"""Bytes of a claim that is kept; a longer one is not a name."""
MOST: Final = 256
"""Items of a list claim that are kept."""
_CONFIRMATIONS: Final = ("jkt", "x5t#S256", "kid")


class Reading(NamedTuple):
    """A token's header and claims; both empty where it is opaque or cannot be read."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def read_jwt(token: str) -> Reading:
    """Header and claims of a JWT in compact form. Never fails and never verifies."""
    parts = token.split(".")
    if len(parts) != 3:
        return Reading({}, {})
    return Reading(_json(parts[0]), _json(parts[1]))


def token_reference(token: str, claims: Mapping[str, Any] | None = None) -> TokenReference:
    """The name of a raw token: issuer and jti where its claims have them, and its digest."""
    claims = read_jwt(token).claims if claims is None else claims
    return TokenReference(
        issuer=_text(claims.get("iss")),
        jti=_text(claims.get("jti")),
        digest=sha256(token.encode("utf-8", "surrogatepass")).digest(),
    )


def issuance_fields(token: str, claims: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of a ``token_issuance`` that the token tells; ``claims`` stand in place of its own (introspection)."""
    reading = read_jwt(token)
    claims = reading.claims if claims is None else claims
    _check_size(claims)
    method, confirmation = _confirmation(claims.get("cnf"))
    return {
        "token": token_reference(token, claims),
        "token_type": _text(reading.header.get("typ")),
        "subject": _subject(claims),
        "act": _chain(claims),
        "may_act": _may_act(claims.get("may_act")),
        "client_id": next(
            (found for name in ("client_id", "azp", "appid") if (found := _text(claims.get(name)))), None
        ),
        "audiences": _texts(claims.get("aud")),
        "scopes": _scopes(claims),
        "roles": _texts(claims.get("roles")),
        "authorization_details": _details(claims.get("authorization_details")),
        "issued_at": _time(claims.get("iat")),
        "not_before": _time(claims.get("nbf")),
        "expires_at": _time(claims.get("exp")),
        "confirmation_method": method,
        "confirmation": confirmation,
        "session": _text(claims.get("sid")),
        "txn": _text(claims.get("txn")),
        "authentication": _authentication(claims),
    }


def _check_size(claims: Mapping[str, Any]) -> None:
    """Raises ``InvalidEvent`` where a list is larger than an event keeps: half a scope would be another scope."""
    scopes = claims.get("scope", claims.get("scp"))
    listed = {"scope": scopes.split() if isinstance(scopes, str) else scopes}
    listed |= {name: claims.get(name) for name in ("aud", "roles", "may_act")}
    for name, value in listed.items():
        items = value if isinstance(value, list) else [value]
        if len(items) > MOST:
            raise InvalidEvent(f"the token's {name} has {len(items)} items and the limit is {MOST}; {_INSTEAD}")
        longest = max((len(each) for each in items if isinstance(each, str)), default=0)
        if longest > LONGEST:
            raise InvalidEvent(f"the token's {name} has an item of {longest} characters; {_INSTEAD}")


_INSTEAD: Final = "give claims= with what you rely on of it"


def _json(part: str) -> Mapping[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    """A claim that an event can hold; None for anything else. A token inside a token stays out."""
    if not isinstance(value, str) or not value or "\0" in value or len(value) > LONGEST:
        return None
    try:
        data = value.encode()
    except UnicodeEncodeError:
        return None
    return None if len(data) > LONGEST or fault_of_bytes(data) else value


def _texts(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(found for each in items[:MOST] if (found := _text(each)) is not None)


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    scope = claims.get("scope", claims.get("scp"))
    return _texts(scope.split() if isinstance(scope, str) else scope)


def _time(value: object) -> int | None:
    """A NumericDate (RFC 7519 §2) in µs."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value * 1_000_000) if abs(value) < 1e12 else None


def _subject(claims: Mapping[str, Any]) -> Person | None:
    """A client that got a token for itself is a workload: its `sub` is the client (RFC 9068 §2.2), or the issuer says so."""
    issuer, subject = _text(claims.get("iss")), _text(claims.get("sub"))
    if not issuer or not subject:
        return None
    itself = subject in (claims.get("client_id"), claims.get("azp"), claims.get("appid"))
    workload = itself or claims.get("idtyp") == "app" or subject.startswith("spiffe://")
    return Person(issuer=issuer, subject=subject, kind="workload" if workload else "human")


def _chain(claims: Mapping[str, Any]) -> ActorChain | None:
    read = act_of(claims)
    if read is None:
        return None
    actors = tuple(Actor(iss=_text(each.iss), sub=_text(each.sub)) for each in read.chain)
    return ActorChain(chain=actors, truncated=read.truncated, omitted=read.omitted, malformed=read.malformed)


def _may_act(value: object) -> tuple[Actor, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(
        Actor(iss=_text(each.get("iss")), sub=_text(each.get("sub"))) for each in items[:MOST] if isinstance(each, dict)
    )


def _confirmation(value: object) -> tuple[str | None, str | None]:
    """RFC 7800: by which key the bearer proves possession."""
    if not isinstance(value, dict):
        return None, None
    for method in _CONFIRMATIONS:
        if found := _text(value.get(method)):
            return method, found
    return None, None


def _details(value: object) -> Text | None:
    """RFC 9396: may hold account numbers and names, hence content."""
    if value is None:
        return None
    data = json.dumps(value)
    return None if fault_of_bytes(data.encode()) else Text(value=data, media_type="application/json")


def _authentication(claims: Mapping[str, Any]) -> Authentication | None:
    acr, amr, time = _text(claims.get("acr")), _texts(claims.get("amr")), _time(claims.get("auth_time"))
    if acr is None and not amr and time is None:
        return None
    return Authentication(issuer=_text(claims.get("iss")), acr=acr, amr=amr, auth_time=time)
