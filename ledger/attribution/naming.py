"""Whether two names are shown to be of one thing, or of two: only names of one scheme can be. Other words alone tell nothing.

Each function answers True (one thing), False (two things) or None (nobody can tell).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from ledger.attribution.house import fits

_VARIABLE: Final = re.compile(r"[{<:*?]")
_PORTS: Final = {"https": ":443", "http": ":80"}
_WITHIN: Final = tuple("/:#")


class Thing(NamedTuple):
    """A resource as an event names it: AuthZEN `resource.type` and `resource.id`, or those of an action."""

    type_: str | None
    name: str


class _Words(NamedTuple):
    shape: str
    text: str
    is_open: bool


def agents_named(issuer: str, subject: str) -> list[str]:
    """The names under which whoever is known by an issuer as ``subject`` would be registered as an agent: `issuer#subject`, and
    a URI that its own authority gave, or that nobody is named as having given."""
    own = "://" in subject and issuer in _authorities(subject)
    return [f"{issuer}#{subject}", *((subject,) if own or not issuer else ())]


def keys_of_agent(agent: str) -> list[str]:
    """The other way about: by which keys (``Person.key``) somebody is known who is registered under a name."""
    return [agent, f"#{agent}", *(f"{each}#{agent}" for each in _authorities(agent))]


def _authorities(uri: str) -> list[str]:
    """The authority of a URI, with and without its scheme."""
    scheme, found, rest = uri.partition("://")
    authority = rest.partition("/")[0]
    return [f"{scheme}://{authority}", authority] if found else []


def same_agent(one: str, other: str) -> bool | None:
    """Of two agent ids: those that one authority gave are of two agents where they differ."""
    return True if one == other else False if _authority(one) == _authority(other) else None


def same_thing(one: Thing, other: Thing) -> bool | None:
    """Of two resources, or one and a folder or pattern that it lies in. Ids are compared where both say that they are of one
    type, URIs and ARNs of one authority unless both say that they are of two.

    The path of a URI matters (RFC 8707 §2, RFC 9728 §1.2): two of one host are two things, but for one below the other. Not shown
    to be two are one path and the same behind a mount (`/api/v1/x` and `/x`: gateways rewrite them), and two queries on one path.
    """
    if one.type_ is not None and other.type_ is not None and one.type_.casefold() != other.type_.casefold():
        return None
    if _authority(one.name) != _authority(other.name):
        return None
    first, second = _path(one.name), _path(other.name)
    if first == second and len({_query(one.name), _query(other.name)} - {""}) > 1:
        return None
    if fits((first,), second) or fits((second,), first) or _lies_in(first, second) or _lies_in(second, first):
        return True
    if _may_be_mounted(first, second) or _may_be_mounted(second, first):
        return None
    global_ = _is_global(one.name) and _is_global(other.name)
    return False if global_ or (one.type_ is not None and other.type_ is not None) else None


def covers(asked: Thing, done: Thing) -> bool:
    """Whether a resource is another, or lies in it: who is denied one thing in a folder is not denied the folder."""
    first, second = _path(asked.name), _path(done.name)
    return same_thing(asked, done) is True and (fits((first,), second) or _lies_in(second, first))


def same_operation(one: str, other: str) -> bool | None:
    """Of two operations, or one and a class of them (a star at the end): tool names, routes and API operations are three ways to
    say it. How a name is spelt, and what stands before it (`mcp__server__`), makes no other."""
    if fits((one,), other) or fits((other,), one):
        return True
    first, second = _words(one), _words(other)
    if first.shape != second.shape:
        return None
    if (first.is_open and second.text.startswith(first.text)) or (
        second.is_open and first.text.startswith(second.text)
    ):
        return True
    return first.text == second.text


def is_for(audience: str, called: str) -> bool:
    """Whether an audience is whoever is called, or has it below its path (RFC 8707 §2). How a URI is written makes no other
    (RFC 3986 §6.2); names that are none are compared letter by letter (RFC 7519 §2, StringOrURI)."""
    if audience == called:
        return True
    if "://" not in audience or _authority(audience) != _authority(called) or _query(audience) != _query(called):
        return False
    return _path(called) == _path(audience) or _lies_in(_path(called), _path(audience))


def same_name(one: str, other: str) -> bool:
    """Whether two names are one, however it is written where it is a URI."""
    return is_for(one, other) and is_for(other, one)


def covers_scope(given: str, asked: str) -> bool:
    """Whether a scope is another, or stands for it: by a star at its end, as all that was consented to (`RESOURCE/.default`), or
    written with the resource that it is of (`RESOURCE/Mail.Read` and `Mail.Read`). Other words are opaque (RFC 6749 §3.3)."""
    if fits((given,), asked):
        return True
    (resource, name), (of, wanted) = _scope(given), _scope(asked)
    alike = None in (resource, of) or resource == of
    return alike and (name == ".default" or name == wanted)


def _scope(scope: str) -> tuple[str | None, str]:
    """The resource that a scope is written with, if it is, and the rest of it."""
    resource, _, name = scope.rpartition("/")
    return (resource, name) if "://" in resource and name else (None, scope)


def _authority(name: str) -> tuple[str, ...]:
    """Who gave a name: scheme and authority of a URI, partition and service of an ARN, what stands before a `#`."""
    scheme, found, rest = name.partition("://")
    if found:
        host = re.split(r"[/?#]", rest, maxsplit=1)[0].casefold()
        return scheme.casefold(), host.removesuffix(_PORTS.get(scheme.casefold(), "\0"))
    if name.startswith(("arn:", "urn:")):
        return tuple(name.casefold().split(":")[: 3 if name.startswith("arn:") else 2])
    return ("hmac:",) if name.startswith("hmac:") else (name.partition("#")[0],) if "#" in name else ()


def _is_global(name: str) -> bool:
    return "://" in name or name.startswith(("arn:", "urn:"))


def _path(name: str) -> str:
    """Of a URI what follows its authority, as it means the same however it is written (RFC 3986 §6.2.2)."""
    _, found, rest = name.partition("?")[0].partition("://")
    if not found:
        return name
    path = unquote(rest[len(re.split(r"[/#]", rest, maxsplit=1)[0]) :])
    return re.sub(r"/(?:\.?/)+", "/", path).rstrip("/")


def _query(name: str) -> str:
    return name.partition("?")[2] if "://" in name else ""


def _may_be_mounted(name: str, other: str) -> bool:
    """Whether one path is the other behind a mount."""
    return other.startswith("/") and name.endswith(other)


def _lies_in(name: str, folder: str) -> bool:
    return name.startswith(folder) and name[len(folder) :].startswith(_WITHIN)


def _words(operation: str) -> _Words:
    if "/" in operation:
        text, *more = _VARIABLE.split(operation.casefold().replace(" ", ""), maxsplit=1)
        return _Words("route", text.rstrip("/") if not more else text, bool(more))
    text, is_open = operation.removesuffix("*"), operation.endswith("*")
    if ":" in operation:
        return _Words("api", _plain(text), is_open)
    return _Words("tool", _plain(re.split(r"__|\.", text)[-1]), is_open)


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]", "", text).casefold()
