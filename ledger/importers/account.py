"""The count of an import: read = imported + refused + duplicate, and no way for a record to be anything else.

``Tally`` gives out records one by one and wants to hear what became of each before it gives the next; an ``Account`` whose
parts do not add up cannot be made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, Literal, NamedTuple, TypeVar

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bad_gzip": "the file begins as gzip and does not unpack",
        "not_json": "no JSON, or of a depth that no JSON reader takes",
        "not_a_record": "JSON, but no record of this format",
        "too_large": "beyond a limit of size",
        "too_deep": "nested deeper than 64 levels",
        "duplicate_key": "an object names a member twice, so that two readers may see two records",
        "no_id": "the ids that name the record are missing or malformed",
        "bad_time": "the record's time is missing, malformed or outside 1970 to 9999",
        "not_a_trace": "a log record or metric: only spans are imported",
        "not_an_action": "a summary of many calls (CloudTrail Insights), not one of them",
        "digest_file": "a CloudTrail digest file: it describes log files and holds no records",
        "unfit": "a value does not fit the field that it belongs to",
    }
)
"""Every reason to refuse, and what it means."""


class Refusal(NamedTuple):
    """Why a record became no event. ``reason`` is one of ``REASONS``; ``detail`` never quotes the record."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of every record that was read. ``events`` and ``contents`` were appended to the log in this run."""

    read: int
    imported: int
    duplicate: int
    reasons: Mapping[str, int]
    events: int
    contents: int

    def __post_init__(self) -> None:
        if self.read != self.imported + self.refused + self.duplicate:
            raise ValueError(f"{self.read} records read, of which {self.imported} + {self.refused} + {self.duplicate}")

    @property
    def refused(self) -> int:
        return sum(self.reasons.values())

    def line(self) -> str:
        """The account in one line."""
        return f"read {self.read} = imported {self.imported} + refused {self.refused} + duplicate {self.duplicate}"


Record = TypeVar("Record")


class Tally(Generic[Record]):
    """Counts while records are read. ``for record in tally`` gives each; ``settle`` or ``refuse`` must follow before the next."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = records
        self._open = False
        self._read = 0
        self._imported = 0
        self._duplicate = 0
        self._reasons: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Record]:
        for record in self._records:
            self._require(settled=True)
            self._read += 1
            self._open = True
            yield record
        self._require(settled=True)

    def settle(self, outcome: Literal["imported", "duplicate"]) -> None:
        """The record given last became events, or all of its events were there already."""
        self._close()
        if outcome == "imported":
            self._imported += 1
        else:
            self._duplicate += 1

    def refuse(self, refusal: Refusal) -> None:
        """The record given last became no event."""
        if refusal.reason not in REASONS:
            raise ValueError(f"{refusal.reason} is no reason to refuse")
        self._close()
        self._reasons[refusal.reason] += 1

    def account(self, *, events: int, contents: int) -> Account:
        """The account of all that was read so far."""
        self._require(settled=True)
        return Account(
            read=self._read,
            imported=self._imported,
            duplicate=self._duplicate,
            reasons=MappingProxyType(dict(sorted(self._reasons.items()))),
            events=events,
            contents=contents,
        )

    def _close(self) -> None:
        self._require(settled=False)
        self._open = False

    def _require(self, *, settled: bool) -> None:
        if self._open is settled:
            raise ValueError("each record is settled once, before the next is read")
