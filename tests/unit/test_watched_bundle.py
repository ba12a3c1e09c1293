"""A trust bundle in a file that is read again when it changes, and cannot always be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.faults import BUNDLE_UNREADABLE, Bundle
from ledger.errors import ConfigurationError
from ledger.trust_file import WatchedBundle
from tests.services.forge import LEDGER, Trust, signer

NOBODY = 65534


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """A folder that this process may not look into, also where it is root's."""
    mode, user = folder.stat().st_mode, os.geteuid()
    folder.chmod(0)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        folder.chmod(mode)


def test_where_the_folder_may_not_be_looked_into_the_last_bundle_stands_and_it_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "trust"
    folder.mkdir()
    path, trust = folder / "trust.jsonl", Trust().key(signer("agent"))
    path.write_bytes(trust.data)
    watched = WatchedBundle(path, signer("root").public, LEDGER)
    bundle = Bundle(watched)
    held, wrong = bundle.look()
    assert held is not None
    assert (held.digest, wrong) == (trust.bundle.digest, [])
    with unreadable(folder):
        assert bundle.look() == (held, [BUNDLE_UNREADABLE])
        with pytest.raises(ConfigurationError, match="cannot be read"):
            watched()
    path.write_bytes(trust.key(signer("other")).data)
    longer, wrong = bundle.look()
    assert longer is not None
    assert (longer.digest, wrong) == (trust.bundle.digest, [])


def test_a_bundle_that_never_could_be_read_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "trust"
    folder.mkdir()
    with unreadable(folder):
        assert Bundle(WatchedBundle(folder / "trust.jsonl", signer("root").public, LEDGER)).look() == (
            None,
            [BUNDLE_UNREADABLE],
        )
