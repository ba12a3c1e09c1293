"""What an importer derives is the same every time, under one secret, and nobody else can derive it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ledger.errors import ConfigurationError
from ledger.format import ids
from ledger.importers.derivation import Derivation, open_secret

NOW = 1_749_650_492_598


def test_the_secret_is_made_once_and_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "importer.secret"
    first = open_secret(path)
    assert len(first) == 32
    assert open_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["importer.secret"]


@pytest.mark.parametrize("text", ["", "zz", "00" * 31])
def test_a_damaged_secret_is_never_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "importer.secret"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="restore"):
        open_secret(path)
    assert path.read_text() == text


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "importer.secret"
    open_secret(path)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_secret(path)


def test_ids_carry_the_records_milliseconds_and_depend_on_everything_else() -> None:
    one = Derivation(b"s" * 32, "acme")
    found = one.event_id(NOW, b"record", "main")
    assert ids.is_event_id(found)
    assert found[6] >> 4 == 8
    assert ids.milliseconds(found) == NOW
    assert found == Derivation(b"s" * 32, "acme").event_id(NOW, b"record", "main")
    others = [
        one.event_id(NOW, b"record", "other"),
        one.event_id(NOW, b"another", "main"),
        Derivation(b"t" * 32, "acme").event_id(NOW, b"record", "main"),
        Derivation(b"s" * 32, "other").event_id(NOW, b"record", "main"),
    ]
    assert len({found, *others}) == 5


def test_a_content_has_another_salt_in_another_record_and_a_person_has_not() -> None:
    derivation = Derivation(b"s" * 32, "acme")
    assert derivation.content_salt(b"a", "text/plain", b"hi") != derivation.content_salt(b"b", "text/plain", b"hi")
    assert derivation.person_salt("alice") == derivation.person_salt("alice")


def test_pseudonyms_are_the_tenants_where_it_has_a_correlation_key() -> None:
    shared = [Derivation(secret * 32, "acme", b"key").pseudonym("alice") for secret in (b"s", b"t")]
    assert shared[0] == shared[1]
    assert Derivation(b"s" * 32, "acme").pseudonym("alice") != shared[0]


def test_long_values_are_not_cut_short() -> None:
    derivation = Derivation(b"s" * 32, "acme")
    assert derivation.fitting("é" * 256) == "é" * 256
    assert derivation.fitting("é" * 257).startswith("hmac:")
