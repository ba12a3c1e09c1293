"""What can be wrong with a running server, each with what to do; told in health, metrics and log while it is so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from api.store import Store
from ledger.attribution.house import HouseRules
from ledger.errors import BackendError, ConfigurationError, LedgerError
from ledger.store import overview
from ledger.store.criteria import standing
from ledger.store.migrations import check_migrated
from ledger.trust.bundle import TrustBundle


class Fault(NamedTuple):
    """``detail`` is the same for everybody, with no figure or address in it. ``down``: nothing can be answered."""

    name: str
    detail: str
    remedy: str
    down: bool = False


STORE_AWAY: Final = Fault(
    "store_away", "the store does not answer", "start Postgres, or check ANSWERABLE_STORE_URL", True
)
STORE_NOT_MIGRATED: Final = Fault(
    "store_not_migrated", "the store has not the tables of this release", "run `answerable migrate`", True
)
LOG_AWAY: Final = Fault(
    "log_away", "the log does not answer: how far the store is behind is not known", "check the brokers and LOG_URL"
)
LOG_REPLACED: Final = Fault(
    "log_replaced", "the log was made anew since it was read", "find out why; then decide with `answerable rebuild`"
)
RECORDS_LOST: Final = Fault(
    "records_lost", "the log dropped records before they were read", "see lost_to_retention in /v1/findings"
)
BEHIND: Final = Fault(
    "materializer_behind", "records wait in the log, and answers lack them", "see whether `answerable materialize` runs"
)
CONTENTS_BEHIND: Final = Fault(
    "contents_behind",
    "contents wait in the log: texts and people's names are missing from answers",
    "see whether `answerable contents` runs",
)
ERASURES_WAIT: Final = Fault(
    "erasures_waiting",
    "what was erased is not taken away yet",
    "see whether `answerable contents` runs, and what its log says",
)
BUNDLE_UNREADABLE: Final = Fault(
    "bundle_unreadable", "the trust bundle cannot be read, or does not verify", "`answerable doctor` says what is wrong"
)
BUNDLE_DIFFERENT: Final = Fault(
    "bundle_different",
    "the store was judged under a bundle that this server's does not extend",
    "find out who cut or replaced the bundle",
)
RULES_DIFFERENT: Final = Fault(
    "rules_different",
    "the sentinel judges by other house rules than this server answers by",
    "give both the same file by ANSWERABLE_RULES, and start them again",
)
ALL: Final = (
    STORE_AWAY,
    STORE_NOT_MIGRATED,
    LOG_AWAY,
    LOG_REPLACED,
    RECORDS_LOST,
    BEHIND,
    CONTENTS_BEHIND,
    ERASURES_WAIT,
    BUNDLE_UNREADABLE,
    BUNDLE_DIFFERENT,
    RULES_DIFFERENT,
)
LOOKED: Final = (STORE_AWAY, STORE_NOT_MIGRATED, BUNDLE_UNREADABLE, BUNDLE_DIFFERENT, RULES_DIFFERENT)
"""What ``Bundle.look`` and ``look_at_store`` tell of this moment; the rest is the pulse's to tell."""


class Bundle:
    """The trust bundle as it can be read now, or else the last one that could."""

    def __init__(self, read: Callable[[], TrustBundle | None]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._last: TrustBundle | None = None

    def look(self) -> tuple[TrustBundle | None, Sequence[Fault]]:
        """The bundle, and what is wrong with it."""
        with self._lock:
            try:
                self._last = self._read()
            except LedgerError:
                return self._last, [BUNDLE_UNREADABLE]
            return self._last, []


class Judged(NamedTuple):
    """Under what the store was judged: the lines of a bundle, and the digest of the sentinel's house rules, if there was one."""

    lines: list[bytes]
    house: bytes


def look_at_store(store: Store, wait: float) -> tuple[Judged | None, Sequence[Fault]]:
    """Under what the store was judged, None where it does not answer within ``wait`` seconds."""
    try:
        with store.connection(wait) as connection:
            check_migrated(connection)
            return Judged(overview.trust_lines(connection), standing(connection).criteria.house), []
    except ConfigurationError:
        return None, [STORE_NOT_MIGRATED]
    except (BackendError, LedgerError):
        return None, [STORE_AWAY]


def compare(bundle: TrustBundle, lines: list[bytes]) -> tuple[str, Sequence[Fault]]:
    """``bundle`` against the one under which the store was judged."""
    if not bundle.extends(lines):
        return "different", [BUNDLE_DIFFERENT]
    return "current" if len(lines) == len(bundle.lines) else "behind", []


def compare_rules(house: HouseRules, judged: Judged) -> Sequence[Fault]:
    """The house rules of this server against the sentinel's."""
    return [RULES_DIFFERENT] if judged.house not in (b"", house.digest) else []
