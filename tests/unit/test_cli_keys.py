"""`answerable keys`: the bundle grows by signed lines, and what it says is what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ledger.cli.app import command
from ledger.errors import ConfigurationError
from ledger.settings import Settings
from ledger.signers import load_key
from ledger.trust.bundle import read_bundle
from ledger.trust_file import read_public_key


@pytest.fixture(autouse=True)
def own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(tmp_path))


def run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(command(), list(arguments))
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


def ask(*arguments: str) -> dict[str, object]:
    answer = json.loads(run(*arguments, "--json").stdout)
    assert isinstance(answer, dict)
    return answer


def test_a_new_key_is_trusted_by_a_bundle_that_the_first_statement_begins(tmp_path: Path) -> None:
    made = ask("keys", "new", "agent")
    ask(
        "keys",
        "trust",
        "agent",
        "--service",
        "agent",
        "--kind",
        "*",
        "--kind",
        "oversight",
        "--from",
        "2026-01-01T00:00Z",
    )
    root = read_public_key(str(tmp_path / "keys" / "root.public.jwk"))
    (name,) = (line for line in (tmp_path / "settings.toml").read_text().splitlines() if line.startswith("ledger"))
    bundle = read_bundle((tmp_path / "trust.jsonl").read_bytes(), root, name.split('"')[1])
    authority = bundle.authority(str(made["key_id"]), "default", "agent", 1_767_225_600_000_000)
    assert not isinstance(authority, str)
    assert [authority.allows(each) for each in ("prompt", "oversight", "content_erasure")] == [True, True, False]
    assert bundle.authority(str(made["key_id"]), "default", "agent", 1_767_225_599_999_999) == "expired_key"
    assert bundle.authority(str(made["key_id"]), "default", "other", 1_767_225_600_000_000) == "wrong_scope"


def test_a_revoked_key_is_listed_with_the_time(tmp_path: Path) -> None:
    ask("keys", "new", "agent")
    ask("keys", "trust", "agent", "--service", "agent")
    ask("keys", "revoke", "agent", "--from", "2026-01-01T00:00:00Z")
    (row,) = ask("keys", "list")["statements"]  # type: ignore[misc]
    assert row["revoked_from"] == 1_767_225_600_000_000
    assert row["file"] == "agent.jwk"
    assert "revoked from 2026-01-01 00:00:00.000Z" in run("keys", "list", "--utc").stdout


def test_a_key_that_no_statement_names_is_listed_as_untrusted() -> None:
    ask("keys", "new", "agent")
    ask("keys", "trust", "agent", "--service", "agent")
    other = ask("keys", "new", "other")
    assert ask("keys", "list")["untrusted"] == [{"key_id": other["key_id"], "file": "other.jwk"}]


def test_another_root_key_extends_nothing(tmp_path: Path) -> None:
    ask("keys", "new", "agent")
    ask("keys", "trust", "agent", "--service", "agent")
    before = (tmp_path / "trust.jsonl").read_bytes()
    stranger = str(tmp_path / "keys" / "agent.jwk")
    result = run("keys", "trust", "agent", "--service", "more", "--root-key", stranger, status=2)
    assert "is not the configured root" in result.stderr
    assert (tmp_path / "trust.jsonl").read_bytes() == before


def test_a_bundle_that_was_changed_is_never_extended(tmp_path: Path) -> None:
    ask("keys", "new", "agent")
    ask("keys", "trust", "agent", "--service", "agent")
    changed = (tmp_path / "trust.jsonl").read_bytes().replace(b'"agent"', b'"tnega"')
    (tmp_path / "trust.jsonl").write_bytes(changed)
    assert "line 0" in run("keys", "trust", "agent", "--service", "more", status=2).stderr
    assert (tmp_path / "trust.jsonl").read_bytes() == changed


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["keys", "list"], 2, "no trust root"),
        (["keys", "revoke", "nobody"], 2, "no trust root"),
        (["keys", "trust", "nobody", "--service", "a"], 2, "neither a file"),
        (["keys", "trust", "nobody"], 2, "--service"),
        (["keys", "unlist"], 2, "No such command"),
    ],
)
def test_misuse_is_told_in_a_sentence(arguments: list[str], status: int, says: str) -> None:
    assert says in run(*arguments, status=status).stderr


def test_an_unknown_kind_is_refused() -> None:
    ask("keys", "new", "agent")
    assert "no kind of event" in run("keys", "trust", "agent", "--service", "a", "--kind", "Seal", status=2).stderr


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    ask("keys", "new", "agent")
    key_id = load_key(tmp_path / "keys" / "agent.jwk").key_id
    assert "never overwritten" in run("keys", "new", "agent", status=2).stderr
    assert load_key(tmp_path / "keys" / "agent.jwk").key_id == key_id


def test_no_private_key_is_ever_printed(tmp_path: Path) -> None:
    printed = run("keys", "new", "agent", "--json").output + run("keys", "trust", "agent", "--service", "a").output
    printed += run("keys", "list", "--json").output
    for path in (tmp_path / "keys").glob("*.jwk"):
        secret = json.loads(path.read_text()).get("d")
        assert secret is None or secret not in printed


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"d":' * 100_000, b'{"d": 5}', b'{"d": "AAAA"}', b"[]", b"\xff", b"null"]
)
def test_a_file_that_is_no_key_is_named_whatever_it_holds(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key.jwk"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match="is neither a file"):
        read_public_key(str(path))
    with pytest.raises(ConfigurationError, match="is not an Ed25519 private key"):
        load_key(path)


def test_a_key_in_the_home_of_nobody_is_no_key() -> None:
    with pytest.raises(ConfigurationError, match="neither a file"):
        read_public_key("~nobody-of-this-name/key.jwk")
