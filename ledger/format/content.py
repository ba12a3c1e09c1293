"""Content: whatever may have to be erased, kept apart from the events and referred to by salted digest. Persons are contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from json import loads
from typing import Final, Literal, NamedTuple

import rfc8785

from ledger.errors import InvalidEvent
from ledger.format.codec import Malformed, Schemas
from ledger.format.hashing import content_digest
from ledger.format.limits import CONTENT_BYTES, CONTENT_STRING_BYTES, CONTENT_SUBJECTS, CONTENT_VALUE_BYTES

PRINCIPAL: Final = "application/vnd.answerable.principal+json"


class Content(NamedTuple):
    """The fields of ``Content``, in the schema's order. ``subjects`` names the people whom it is about."""

    tenant: str
    salt: bytes
    media_type: str
    subjects: Sequence[str]
    bytes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A human or a workload with authority of its own, as its issuer names it."""

    issuer: str
    subject: str
    name: str | None = None
    kind: Literal["human", "workload"] = "human"

    @property
    def key(self) -> str:
        """The name under which all that is about this person is found and erased."""
        return f"{self.issuer}#{self.subject}"


def is_digest(text: str) -> bool:
    """Whether ``text`` is a digest as people and HTTP write it: 64 lower-case hex digits."""
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def named_person(text: str) -> str:
    """``text`` where it can name a person: a key, or a digest of theirs in hex; raises ``InvalidEvent``."""
    if "#" not in text and not is_digest(text):
        raise InvalidEvent(f"{text[:64]!r} names no person: it takes issuer#subject, or a digest of theirs in hex")
    return text


def encode_content(schemas: Schemas, content: Content) -> tuple[bytes, bytes]:
    """The record value of ``content`` and its digest; raises ``InvalidEvent`` where it is too large."""
    if len(content.bytes) > CONTENT_BYTES:
        raise InvalidEvent(
            f"a content has {len(content.bytes)} bytes and the limit is {CONTENT_BYTES}; record its digest and keep it elsewhere"
        )
    if fault := fault_of_strings(content):
        raise InvalidEvent(f"{fault}; shorten it")
    value = schemas.encode("Content", content._asdict())
    if len(value) > CONTENT_VALUE_BYTES:
        raise InvalidEvent(
            f"a content's record has {len(value)} bytes and the limit is {CONTENT_VALUE_BYTES}; name fewer people in one content"
        )
    return value, content_digest(value)


def decode_content(schemas: Schemas, value: bytes) -> Content:
    """The content in a record value; raises ``Malformed`` or ``SchemaUnknown``."""
    content = Content._make(schemas.decode_strictly(value, "Content"))
    if len(content.bytes) > CONTENT_BYTES:
        raise Malformed(f"the content has {len(content.bytes)} bytes; the limit is {CONTENT_BYTES}")
    if fault := fault_of_strings(content):
        raise Malformed(fault)
    return content


def fault_of_strings(content: Content) -> str | None:
    """What breaks a limit in tenant, media type or subjects, in words: a store indexes them. None if nothing does."""
    if len(content.subjects) > CONTENT_SUBJECTS:
        return f"a content has {len(content.subjects)} subjects; the limit is {CONTENT_SUBJECTS}"
    longest = max(len(each.encode()) for each in (content.tenant, content.media_type, *content.subjects))
    if longest > CONTENT_STRING_BYTES:
        return f"a string of a content has {longest} bytes; the limit is {CONTENT_STRING_BYTES}"
    return None


def record_key(tenant: str, digest: bytes) -> bytes:
    """The key of a content's record, by which it is compacted and erased."""
    return tenant.encode() + b"\0" + digest


def split_record_key(key: bytes) -> tuple[str, bytes]:
    """Tenant and digest of a content's record key; raises ``Malformed``."""
    if len(key) < 33 or key[-33] != 0:
        raise Malformed("the record key is not tenant, 0x00, digest")
    if len(key) - 33 > CONTENT_STRING_BYTES or 0 in key[:-33]:
        raise Malformed(f"the tenant in the record key holds U+0000 or has over {CONTENT_STRING_BYTES} bytes")
    try:
        return key[:-33].decode(), key[-32:]
    except UnicodeDecodeError:
        raise Malformed("the tenant in the record key is not UTF-8") from None


def person_content(tenant: str, salt: bytes, person: Person) -> Content:
    """The content that names ``person``; its digest is the pseudonym that events use."""
    named = {"issuer": person.issuer, "subject": person.subject, "kind": person.kind}
    if person.name is not None:
        named["display_name"] = person.name
    return Content(tenant, salt, PRINCIPAL, [person.key], rfc8785.dumps(named))


def read_person(content: Content) -> Person:
    """The person whom ``content`` names; raises ``Malformed`` for anything but a principal's content."""
    if content.media_type != PRINCIPAL:
        raise Malformed(f"a content of type {content.media_type} names no person")
    try:
        named = loads(content.bytes)
        issuer, subject, kind, name = named["issuer"], named["subject"], named["kind"], named.get("display_name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Malformed("the principal is not {issuer, subject, kind, display_name?}") from None
    if not (_is_text(issuer) and _is_text(subject) and kind in ("human", "workload")):
        raise Malformed("the principal's issuer, subject or kind is not one")
    person = Person(issuer=issuer, subject=subject, kind=kind, name=name if _is_text(name) else None)
    if person.key not in content.subjects:
        raise Malformed("the principal is not among the content's subjects, and could not be found to be erased")
    return person


def _is_text(value: object) -> bool:
    """Whether a JSON value is a string that can be stored: JSON can escape U+0000 and halves of surrogate pairs."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return not any("\ud800" <= each <= "\udfff" for each in value)
