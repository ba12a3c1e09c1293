"""What may have to be erased, on its way into contents: texts with a fresh salt each, people with one salt a process."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes
from threading import Lock
from typing import Final, NamedTuple

from ledger.errors import InvalidEvent
from ledger.format.codec import Schemas
from ledger.format.content import Content, Person, encode_content, person_content, record_key
from ledger.recorder.frames import content_frame
from ledger.recorder.given import listed
from ledger.recorder.randomness import Randomness
from ledger.recorder.secrets import fault_of_bytes

PEOPLE: Final = 16_384
"""People whose content is known to be in the spool; beyond, the oldest is spooled again, under the same digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text, or bytes, to be kept as content. ``subjects`` are the people whom it is about: by them it is found for erasure.

    None means the principal of the event, where there is one.
    """

    value: str | bytes
    media_type: str = "text/plain"
    subjects: Sequence[Person | str] | None = None


class Kept(NamedTuple):
    """A content of which the digest is known: it is, or goes, into the spool by itself."""

    digest: bytes


Textual = str | bytes | Text | Kept
"""What a content may be given as: a text, bytes of no stated type, either with type and subjects, or one kept before."""
Named = Person | Kept
"""What a person may be given as."""


class Prepared(NamedTuple):
    """A content's record, to be spooled before the event that refers to it."""

    digest: bytes
    key: bytes
    value: bytes


class Contents:
    """Makes contents for one process."""

    def __init__(self, schemas: Schemas, randomness: Randomness) -> None:
        self._schemas = schemas
        self._draw = randomness.draw
        self._secret = token_bytes(32)
        self._lock = Lock()
        self._people: dict[tuple[str, Person], bytes] = {}

    def text(self, tenant: str, given: str | bytes | Text, about: Person | None) -> Prepared:
        """The content of a text; raises ``InvalidEvent`` where it is too large or holds a token."""
        text = given if isinstance(given, Text) else Text(value=given, media_type=_media_type(given))
        if not (isinstance(text.value, str | bytes) and isinstance(text.media_type, str)):
            raise InvalidEvent("the value of a Text is str or bytes, and its media type str; give these")
        try:
            data = text.value.encode() if isinstance(text.value, str) else bytes(text.value)
        except UnicodeEncodeError:
            raise InvalidEvent("a text holds half a surrogate pair; decode it properly before") from None
        if isinstance(text.value, str) and "\0" in text.value:
            raise InvalidEvent("a text holds U+0000, which no store takes; remove it, or give bytes")
        if fault := fault_of_bytes(data):
            raise InvalidEvent(f"a content {fault}")
        of = () if about is None else (about,)
        if text.subjects is not None:
            of = listed(text.subjects, "subjects")
        subjects = [each.key if isinstance(each, Person) else each for each in of]
        if not all(isinstance(each, str) for each in subjects):
            raise InvalidEvent("the subjects of a content are Persons, or their issuer#subject; give these")
        return self._prepare(Content(tenant, self._draw(), text.media_type, subjects, data))

    def person(self, tenant: str, person: Person) -> bytes | Prepared:
        """The digest that stands for ``person`` in this process, if their content is spooled; else what must be spooled."""
        known = self._people.get((tenant, person))
        if known is not None:
            return known
        if fault := _fault_of(person):
            raise InvalidEvent(f"a person {fault}")
        name = "\0".join((tenant, person.issuer, person.subject, person.kind, person.name or "")).encode()
        salt = hmac.digest(self._secret, name, sha256)[:16]
        if fault := fault_of_bytes(name):
            raise InvalidEvent(f"a person {fault}")
        return self._prepare(person_content(tenant, salt, person))

    def spooled(self, tenant: str, person: Person, digest: bytes) -> None:
        """The content of ``person`` is in the spool."""
        with self._lock:
            if len(self._people) >= PEOPLE:
                del self._people[next(iter(self._people))]
            self._people[tenant, person] = digest

    def _prepare(self, content: Content) -> Prepared:
        if "\0" in content.media_type or any("\0" in each for each in content.subjects):
            raise InvalidEvent("the media type or a subject of a content holds U+0000; remove it")
        value, digest = encode_content(self._schemas, content)
        return Prepared(digest, record_key(content.tenant, digest), value)


class Gathered:
    """The contents of one event while it is made: into the spool with it, or not at all."""

    __slots__ = ("_about", "_contents", "_people", "frames", "tenant")

    def __init__(self, contents: Contents, tenant: str, about: Person | None) -> None:
        self._contents = contents
        self.tenant = tenant
        self._about = about
        self._people: list[tuple[Person, bytes]] = []
        self.frames: list[bytes] = []

    def text(self, given: Textual) -> bytes:
        """The digest of a text; raises ``InvalidEvent``."""
        if isinstance(given, Kept):
            return given.digest
        if not isinstance(given, str | bytes | Text):
            raise InvalidEvent(
                f"a content is given as {type(given).__name__}; give str, bytes, Text or what keep() returned"
            )
        return self._add(self._contents.text(self.tenant, given, self._about))

    def person(self, given: Named) -> bytes:
        """The digest that stands for a person; raises ``InvalidEvent``."""
        if isinstance(given, Kept):
            return given.digest
        if not isinstance(given, Person):
            raise InvalidEvent(
                f"a person is given as {type(given).__name__}; give a Person or what identify() returned"
            )
        known = self._contents.person(self.tenant, given)
        if isinstance(known, bytes):
            return known
        self._people.append((given, known.digest))
        return self._add(known)

    def spooled(self) -> None:
        """All of it is in the spool."""
        for person, digest in self._people:
            self._contents.spooled(self.tenant, person, digest)

    def _add(self, prepared: Prepared) -> bytes:
        self.frames.append(content_frame(prepared.key, prepared.value))
        return prepared.digest


def _fault_of(person: Person) -> str | None:
    """Why ``person`` could not be told from others, in words that follow a noun; None if nothing is wrong."""
    said = (person.issuer, person.subject, person.name if person.name is not None else "unnamed")
    if not all(isinstance(each, str) for each in said) or not (person.issuer and person.subject):
        return "has no issuer or no subject, or one that is no str; give Person(issuer=…, subject=…), as the issuer has them"
    if person.kind not in ("human", "workload"):
        return f"is of kind {person.kind!r:.60}; it must be human or workload"
    if any("\ud800" <= each <= "\udfff" for each in "".join(said)):
        return "is named with half a surrogate pair; decode it properly before"
    return None


def _media_type(given: str | bytes) -> str:
    return "text/plain" if isinstance(given, str) else "application/octet-stream"
