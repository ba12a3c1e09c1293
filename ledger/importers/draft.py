"""What one source record becomes: events ready to be sealed, and the contents that they refer to. Pure.

A reader fills a ``Draft`` and never sees a secret: the record that it reads was cleaned and redacted before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ledger.errors import InvalidEvent
from ledger.format.codec import Schemas
from ledger.format.content import Content, Person, encode_content, person_content
from ledger.format.event import Cause, EventHeader, encode_header, fault_of_header
from ledger.format.hashing import payload_digest
from ledger.format.kinds import Kind, check, content_digests, to_avro
from ledger.format.limits import CONTENT_BYTES, HEADER_BYTES, PAYLOAD_BYTES
from ledger.importers.account import Refusal
from ledger.importers.derivation import Derivation
from ledger.importers.json_text import Refused

LATEST: Final = 253_402_300_799_999_999
"""The end of the year 9999, µs."""


class ImportedEvent(NamedTuple):
    """An event as it will stand in a batch."""

    event_id: bytes
    header: bytes
    salt: bytes
    payload: bytes


class ImportedContent(NamedTuple):
    """A content as it will stand in the log."""

    digest: bytes
    value: bytes


class Imported(NamedTuple):
    """What a record became."""

    events: tuple[ImportedEvent, ...]
    contents: tuple[ImportedContent, ...]


class Publication(NamedTuple):
    """What the events of an import have in common."""

    schemas: Schemas
    derivation: Derivation


class Draft:
    """The events of one record, being made. ``name`` is what makes the record this one; ``occurred_at`` its start, µs."""

    def __init__(self, publication: Publication, name: bytes, occurred_at: int) -> None:
        if not 0 <= occurred_at <= LATEST:
            raise Refused("bad_time", "the record's time is outside 1970 to 9999")
        self._publication = publication
        self._name = name
        self._occurred_at = occurred_at
        self._contents: dict[bytes, ImportedContent] = {}
        self._events: list[Callable[[bytes], ImportedEvent]] = []
        self.agent_id: str | None = None
        self.agent_instance: str | None = None
        self.principal: bytes | None = None
        self.execution_id: bytes | None = None
        self.subjects: list[str] = []

    @property
    def derivation(self) -> Derivation:
        return self._publication.derivation

    def content(self, media_type: str, data: str, *, within: bytes | None = None) -> bytes:
        """The digest of a content that holds ``data`` and is about the record's people; raises ``Refused`` (too_large).

        ``within``: the name of something wider than the record, in which the same words get the same digest.
        """
        encoded = data.encode()
        salt = self.derivation.content_salt(within or self._name, media_type, encoded)
        return self._keep(Content(self.derivation.tenant, salt, media_type, sorted(set(self.subjects)), encoded))

    def person(self, person: Person) -> bytes:
        """The digest by which ``person`` is named, in this record as in others; raises ``Refused`` (too_large)."""
        digest = self._keep(person_content(self.derivation.tenant, self.derivation.person_salt(person.key), person))
        self.subjects.append(person.key)
        return digest

    def event_id(self, role: str) -> bytes:
        """The id of this record's event in ``role``: the record's own milliseconds, then a keyed hash."""
        return self.derivation.event_id(self._occurred_at // 1000, self._name, role)

    def event(
        self,
        role: str,
        payload: Kind,
        *,
        because: Sequence[tuple[str, str]] = (),
        correlation: Sequence[str] = (),
        occurred_at: int | None = None,
    ) -> None:
        """Adds an event. ``because`` names earlier events of this record: role and relation."""
        at = self._occurred_at if occurred_at is None or not 0 <= occurred_at <= LATEST else occurred_at
        causes = [Cause(self.event_id(cause), None, relation) for cause, relation in because]
        fitting = self.derivation.fitting
        names = [fitting(each) for each in dict.fromkeys(correlation)]
        self._events.append(lambda original: self._encode(role, payload, at, causes, names, original))

    def finish(self, media_type: str, original: str) -> Imported:
        """Everything, with the ``original`` record as a content of each event; raises ``Refused``."""
        digest = self.content(media_type, original)
        events = tuple(make(digest) for make in self._events)
        return Imported(events, tuple(self._contents.values()))

    def _keep(self, content: Content) -> bytes:
        if len(content.bytes) > CONTENT_BYTES:
            raise Refused("too_large", f"a content of {len(content.bytes)} bytes; the limit is {CONTENT_BYTES}")
        try:
            value, digest = encode_content(self._publication.schemas, content)
        except InvalidEvent as error:  # of a name that is too long, which each content of a person holds
            raise Refused("too_large", str(error)) from error
        self._contents[digest] = ImportedContent(digest, value)
        return digest

    def _encode(
        self, role: str, payload: Kind, at: int, causes: list[Cause], correlation: list[str], original: bytes
    ) -> ImportedEvent:
        try:
            check(payload)
        except InvalidEvent as error:
            raise Refused("unfit", payload.KIND) from error
        event_id = self.event_id(role)
        salt = self.derivation.event_salt(event_id)
        body = self._publication.schemas.encode(payload.KIND, to_avro(payload))
        persons = [] if self.principal is None else [self.principal]
        header = EventHeader(
            event_id,
            payload.KIND,
            at,
            self.execution_id,
            self._optional(self.agent_id),
            self._optional(self.agent_instance),
            self.principal,
            causes,
            correlation,
            list(dict.fromkeys([*content_digests(payload), *persons, original])),
            payload_digest(salt, body),
        )
        if fault := fault_of_header(header):
            raise Refused("unfit", fault)
        encoded = encode_header(self._publication.schemas, header)
        if len(encoded) > HEADER_BYTES or len(body) > PAYLOAD_BYTES:
            raise Refused("too_large", f"a header of {len(encoded)} bytes with a payload of {len(body)}")
        return ImportedEvent(event_id, encoded, salt, body)

    def _optional(self, value: str | None) -> str | None:
        return None if value is None else self.derivation.fitting(value)


def refusal_of(error: Refused) -> Refusal:
    """What a reader answers in the place of events."""
    return Refusal(error.reason, error.detail)
