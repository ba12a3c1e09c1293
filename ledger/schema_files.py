"""The published schemas, read from their files and held against ``LOCK``. The only place that knows where they lie."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from ledger.errors import ConfigurationError
from ledger.format.codec import Schemas, read_schema


def directory() -> Path:
    """``ledger/schemas`` in an installed wheel, ``schemas`` beside ``ledger`` in a checkout."""
    package = Path(__file__).parent
    installed = package / "schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def read_locked(folder: Path) -> list[bytes]:
    """The exact bytes of every schema that ``LOCK`` lists, in its order; raises ``ConfigurationError`` for any difference."""
    texts = []
    for line in (folder / "LOCK").read_text().splitlines():
        fingerprint, digest, name = line.split()
        text = (folder / name).read_bytes()
        if sha256(text).hexdigest() != digest or read_schema(text).frame[2:].hex() != fingerprint:
            raise ConfigurationError(
                f"schema {name} is not the published one; restore it, or install the package again"
            )
        texts.append(text)
    return texts


@cache
def load_schemas() -> Schemas:
    """The schemas of this release, parsed once in a process."""
    return Schemas(read_locked(directory()))
