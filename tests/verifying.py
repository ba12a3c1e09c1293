"""A log in memory, written record by record at chosen times, and its verification."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ledger.format.batch import Sealed
from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.trust.bundle import TrustBundle
from ledger.trust.verdict import Judge
from ledger.verification import Fault, Report, verify_log
from tests.services.forge import LEDGER, START, Forge, Trust, signer
from tests.services.memory_log import MemoryLog


class At:
    """A clock that stands."""

    def now(self) -> int:
        return START


class Written(MemoryLog):
    """Takes whatever is put into it."""

    def __init__(self, partitions: int = 3) -> None:
        super().__init__(At(), partitions)

    def put(
        self,
        forge: Forge,
        value: Sealed | bytes,
        *,
        at: int | None = None,
        partition: int = 0,
        key: bytes | None = None,
    ) -> None:
        data = value.value if isinstance(value, Sealed) else value
        when = forge.now + 5_000 if at is None else at
        offset = self.bounds(EVENTS)[partition].end
        self.records.append(Record(EVENTS, partition, offset, when, forge.chain_id if key is None else key, data))


def trust() -> Trust:
    return Trust().key(signer("alpha")).key(signer("beta"))


def verified(log: MemoryLog, bundle: TrustBundle | None = None, *, canonical: bool = False, **options: Any) -> Report:
    """The report on ``log``."""
    judge = Judge(load_schemas(), LEDGER, bundle or trust().bundle, canonical=canonical)
    return verify_log(log, judge, load_schemas(), **options)


def names(faults: Iterable[Fault]) -> list[str]:
    return [fault.name for fault in faults]
