"""What was imported before, on disk: 16 bytes an event. It spares the log what it already holds; it is never the truth.

An entry is made after the log has acknowledged the event. If the process dies in between, or the file is lost, the next
import sends the same bytes again, which the ledger counts as another sighting of one event. Entries belong to one log: where
a topic is made anew, nothing counts as imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ledger.errors import ConfigurationError

KEPT: Final = 16
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS sent (log TEXT, event BLOB, PRIMARY KEY (log, event)) WITHOUT ROWID"

_LOCK_SECONDS: Final = 60.0


class FileIndex:
    """A ``Known`` in one SQLite file, for the log of this ``identity``. Safe beside another import, which may know less."""

    def __init__(self, path: Path, identity: str) -> None:
        self._identity = identity
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._file = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise _no_index(path, error) from None
        try:
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute(_SCHEMA)
        except sqlite3.Error as error:
            self.close()
            raise _no_index(path, error) from None
        path.chmod(0o600)

    def known(self, events: Sequence[bytes]) -> set[bytes]:
        """Which of these event digests were imported before."""
        query = "SELECT 1 FROM sent WHERE log = ? AND event = ?"
        return {each for each in events if self._file.execute(query, (self._identity, each[:KEPT])).fetchone()}

    def remember(self, events: Sequence[bytes]) -> None:
        """These event digests are in the log."""
        rows = [(self._identity, each[:KEPT]) for each in events]
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR IGNORE INTO sent VALUES (?, ?)", rows)
        self._file.execute("COMMIT")

    def close(self) -> None:
        self._file.close()


def _no_index(path: Path, error: sqlite3.Error) -> ConfigurationError:
    return ConfigurationError(f"{path} is no index of imports ({error}); remove it: it is made again")
