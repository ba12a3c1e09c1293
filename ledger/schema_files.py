"""The published schemas, read from their files and held against ``LOCK``. The only place that knows where they lie."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from ledger.errors import ConfigurationError
from ledger.format.codec import Schemas
from ledger.format.lock import lock_line, read_lock

_RESTORE: Final = "restore it, or install the package again"


def directory() -> Path:
    """``ledger/schemas`` in an installed wheel, ``schemas`` beside ``ledger`` in a checkout."""
    package = Path(__file__).parent
    installed = package / "schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def read_locked(folder: Path) -> list[bytes]:
    """The exact bytes of every schema that ``LOCK`` lists, in its order; raises ``ConfigurationError`` for any difference."""
    try:
        locked = read_lock((folder / "LOCK").read_bytes().decode())
        texts = [(folder / each.file).read_bytes() for each in locked]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the published schemas cannot be read: {error}; {_RESTORE}") from None
    if not locked:
        raise ConfigurationError(f"the LOCK of the published schemas is empty; {_RESTORE}")
    for each, text in zip(locked, texts, strict=True):
        if sha256(text).hexdigest() != each.sha256 or lock_line(each.file, text) != " ".join(each):
            raise ConfigurationError(f"schema {each.file} is not the published one; {_RESTORE}")
    return texts


@cache
def load_schemas() -> Schemas:
    """The schemas of this release, parsed once in a process."""
    return Schemas(read_locked(directory()))
