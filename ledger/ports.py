"""The ports: what the ledger needs from the world, each with its contract. Adapters live beside their technology.

Times are µs UTC (``int``). Errors of drivers are translated at the adapter to ``ledger.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Literal, NamedTuple, Protocol, TypeVar

from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits, Subgraph

EVENTS = "ledger.events"
CONTENTS = "ledger.contents"


class Clock(Protocol):
    """The time, as an argument."""

    def now(self) -> int:
        """µs since 1970, UTC."""
        ...


class Signer(Protocol):
    """Signs seals with one private key, wherever that is kept."""

    @property
    def key_id(self) -> str:
        """RFC 7638 thumbprint of the public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The raw signature over ``message``."""
        ...


class Outgoing(NamedTuple):
    """A record to append. ``value`` None is a tombstone."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None


class Record(NamedTuple):
    """A record as the log holds it. ``append_time`` is the log's clock, µs UTC (Kafka's has whole milliseconds).

    Offsets grow within a partition and may leave gaps. ``key`` and ``value`` are whatever somebody wrote. A batch that
    Kafka's client cannot unpack within bounds is one record without key, its value the bytes as they are.
    """

    topic: str
    partition: int
    offset: int
    append_time: int
    key: bytes | None
    value: bytes | None


class Bounds(NamedTuple):
    """Offsets of a partition: the first one kept, and the one that the next record will get."""

    first: int
    end: int


def partition_of(key: bytes, partitions: int) -> int:
    """Where a record goes, by the last 8 bytes of its key, which are random in a chain's id and in a digest alike.

    All that publish a content choose alike, so that compaction keeps one of it.
    """
    return int.from_bytes(key[-8:], "big") % partitions


def record_digest(record: Record) -> bytes:
    """SHA-256 over key and value, each after its length: by it a topic that was made anew is told from the one before."""
    digest = sha256()
    for part in (record.key, record.value):
        digest.update(b"\xff" * 8 if part is None else len(part).to_bytes(8, "big") + part)
    return digest.digest()


def is_still_there(log: Log, topic: str, partition: int, offset: int, digest: bytes) -> bool:
    """Whether the record at ``offset`` is the one with ``digest``, or none is left to compare (compaction takes some away)."""
    return all(record_digest(record) == digest for record in log.read(topic, partition, offset, offset + 1))


class Position(NamedTuple):
    """How far a partition is materialized: the topic's identity then, the next offset, and a digest of the last record.

    ``unclean``: the owner before did not release it, and may have died of a record.
    """

    identity: str
    next_offset: int
    last_digest: bytes | None
    unclean: bool


class Problem(NamedTuple):
    """Something about a topic, in a sentence that says what to do. ``unseen``: we have no right to look. ``note``: it works, and
    will not where more goes wrong.
    """

    kind: Literal["missing", "wrong", "unseen", "note"]
    text: str


class Log(Protocol):
    """An append-only, partitioned log: at least once, order inside one partition, append time set by the log.

    Threads may share it. A forked child may go on using it: it gets connections of its own. Where nothing is prepared,
    every method but ``prepare`` and ``problems`` raises ``ConfigurationError``.
    """

    def prepare(self) -> None:
        """Makes the topics where they are missing; raises ``TopicMismatch`` where one exists with wrong settings."""
        ...

    def problems(self) -> list[Problem]:
        """What is wrong with the topics, and what could not be looked at; empty if nothing. For ``doctor``."""
        ...

    def partitions(self, topic: str) -> int:
        """How many partitions ``topic`` has now."""
        ...

    def identity(self, topic: str) -> str:
        """An id that changes when the topic is made anew."""
        ...

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:
        """Returns when every record is durable in the log, in order per partition.

        Raises ``BackendError`` if that is not known for all of them within ``timeout`` seconds: any of them may then be
        in the log. The caller sends all of them again, in order; the adapter has abandoned its connection by then.
        Raises ``InvalidEvent``, with nothing sent, where a record is larger than its topic ever takes.
        """
        ...

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        """The offsets of every partition now. Raises ``TopicAbsent`` where this log never holds the topic."""
        ...

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        """The records with start ≤ offset < stop, in order, of those that are there now.

        Raises ``PositionLost`` if ``start`` is before the first kept, or the topic is made anew while it is read.
        """
        ...

    def subscribe(self, topic: str, group: str, assigned: Callable[[Sequence[int]], Mapping[int, int]]) -> Subscription:
        """Joins ``group``. ``assigned`` is called with the partitions newly given to this member, and returns the offset to
        read each from: the store's positions are the truth, never the log's own. It is called inside ``poll``, by the
        thread that polls, and what it raises comes out of ``poll``. A partition may be given again without having been
        taken: each change of the group may deal all of them out anew.
        """
        ...

    def close(self) -> None: ...


class Subscription(Protocol):
    """A member of a group that reads one topic. One thread uses it."""

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        """Up to ``max_records`` next records, as soon as there are any, or none after ``timeout`` seconds.

        Raises ``PositionLost`` where retention ate the next offset, where the log holds less than was read, or where
        the topic was made anew; there is no auto reset. After ``BackendError`` the next poll joins again. While a group
        is dealt out, ``poll`` may take some seconds longer than ``timeout``.
        """
        ...

    def assignment(self) -> frozenset[int]:
        """The partitions that this member reads now."""
        ...

    def seek(self, partition: int, offset: int) -> None:
        """The next poll reads ``partition`` from ``offset``; ignored if the partition is no longer assigned."""
        ...

    def close(self) -> None: ...


class Refused(NamedTuple):
    """A record that was refused, and what its seal claims, where that can be read. Claims of a stranger, and no content."""

    reason: str
    partition: int
    offset: int
    service: str | None = None
    chain_id: bytes | None = None
    seal: int | None = None


class Opened(NamedTuple):
    """A finding that was opened, and the record that showed it. ``seal`` is the one it is about, of a gap the first missing."""

    name: str
    partition: int
    offset: int
    service: str | None = None
    chain_id: bytes | None = None
    seal: int | None = None


class Tally(NamedTuple):
    """What one commit did. ``rejected`` counts by name; ``refused`` are the records among those, ``opened`` the findings."""

    records: int
    events: int
    copies: int
    rejected: Mapping[str, int]
    refused: Sequence[Refused] = ()
    opened: Sequence[Opened] = ()


Prepared = TypeVar("Prepared")
"""Records judged and packed, ready to be committed by the projection that made it."""


class Projection(Protocol[Prepared]):
    """Writes the store. Rows, chain state and position of a commit stand together or not at all.

    ``prepare`` may run on one thread while ``commit`` of what was prepared before runs on another; commits are in order.
    """

    def reach(self) -> None:
        """Raises ``BackendError`` where the store does not answer. A connection that was lost is made anew."""
        ...

    def claim(self, topic: str, identity: str, numbers: Sequence[int]) -> Mapping[int, Position]:
        """Makes this worker the owner of the partitions; a stuck predecessor is terminated after a time-out."""
        ...

    def prepare(self, records: Sequence[Record]) -> Prepared:
        """Judges records, in order per partition, and packs their rows; changes nothing that is seen."""
        ...

    def commit(self, prepared: Prepared) -> Tally:
        """Commits it. Raises ``BackendError`` where nothing was committed: claim again, read from the position, try again."""
        ...

    def lost(self, topic: str, partition: int, first: int, until: int, detail: str) -> None:
        """Keeps the finding ``lost_to_retention`` about the offsets ``first`` to ``until``."""
        ...

    def reset(self, topic: str, partition: int, identity: str, offset: int) -> None:
        """Moves a position of this worker's, by a person's decision."""
        ...

    def release(self, topic: str, numbers: Sequence[int]) -> None:
        """Ends the ownership, clean."""
        ...

    def attempt(self, record: Record) -> int:
        """Counts, and commits, that a suspect record is about to be worked on; returns which attempt this is."""
        ...

    def attempted(self, record: Record) -> None:
        """The suspect record was innocent."""
        ...

    def set_aside(self, record: Record, detail: str) -> None:
        """Quarantines a record, and moves the position past it."""
        ...

    def close(self) -> None: ...


class Lineage(Protocol):
    """Fetches the part of the ledger that one question is about. It judges nothing; ``ledger.attribution`` does.

    Bounded by ``limits``; what they kept out is in ``Subgraph.cut``. With ``as_of``, an append time, what the log held then:
    events, people, findings, and how far chains were known; judged by the trust statements of today, which are dated
    themselves, and without what was erased since. Other tenants' events are never seen. Raises ``NotFound`` where the tenant
    has no event of this id (by then).
    """

    def above(
        self, tenant: str, event_id: bytes, *, as_of: int | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> Subgraph:
        """The event (every digest of it), what it comes from by causes and joins, the registrations of the agents met, the
        uses of the approvals met, the people named, and how far the chains met are known.
        """
        ...

    def below(
        self, tenant: str, event_id: bytes, *, as_of: int | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> Subgraph:
        """The event and what came of it: by the causes that later events state, and by uses of its tokens and approvals."""
        ...
