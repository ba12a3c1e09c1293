"""Passwords: from the environment or a file, in no URL, and hidden wherever anything is shown."""

from __future__ import annotations

import logging
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from ledger.cli.app import command
from ledger.errors import ConfigurationError
from ledger.logs import open_log
from ledger.logs.kafka_access import KafkaAccess
from ledger.passwords import Password, check_url, read_password_file, with_password, without_password
from ledger.settings import Settings, load_settings
from ledger.wiring import open_log as wired
from ledger.wiring import store_url

SECRET = "s3cr3t &?#@:/'\\%"
NAMES = ["log_password", "store_password", "kafka_password", "kafka_key_password"]


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(tmp_path))


@pytest.mark.parametrize("url", ["postgresql://u@h:5/d?sslmode=verify-full", "postgresql:///d", "host = h user=u"])
def test_a_driver_gets_the_password_whatever_is_in_it(url: str) -> None:
    given = with_password(url, SECRET)
    assert conninfo_to_dict(given)["password"] == SECRET
    assert conninfo_to_dict(given) == conninfo_to_dict(url) | {"password": SECRET}
    assert "3cr3t" not in without_password(given)


@pytest.mark.parametrize("name", NAMES)
def test_a_password_comes_from_a_variable_or_a_file_and_never_from_both(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variable = f"ANSWERABLE_{name.upper()}"
    assert load_settings().password(name) is None
    monkeypatch.setenv(variable, SECRET)
    assert load_settings().password(name) == SECRET
    (tmp_path / "file").write_text("from the file\r\n")
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match=f"{variable} and {variable}_FILE are both set"):
        load_settings().password(name)
    monkeypatch.delenv(variable)
    settings = load_settings()
    assert settings.password(name) == "from the file"
    (tmp_path / "file").write_text("changed")
    assert settings.password(name) == "changed"


@pytest.mark.parametrize("text", ["", "\n", "two\nlines\n", "nul\0"])
def test_a_password_file_holds_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(ConfigurationError, match=r"ANSWERABLE_X_FILE names .*one line"):
        read_password_file(tmp_path / "file", "ANSWERABLE_X_FILE")


def test_a_password_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ANSWERABLE_X_FILE names .*nowhere.*No such file"):
        read_password_file(tmp_path / "nowhere", "ANSWERABLE_X_FILE")


def test_no_password_is_shown_nor_handed_to_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(f"ANSWERABLE_{name.upper()}", SECRET)
    monkeypatch.setenv("ANSWERABLE_STORE_URL", "postgresql://u:3cr3t@h/d")
    settings = load_settings()
    shown = {each.name: each.value for each in settings.explain()}
    assert {shown[f"ANSWERABLE_{name.upper()}"] for name in NAMES} == {"***"}
    assert "3cr3t" not in repr(settings) + str(shown) + str(settings.as_environment() | {"ANSWERABLE_STORE_URL": ""})
    assert repr({"sasl_plain_password": Password(SECRET)}) == "{'sasl_plain_password': '***'}"


def test_the_store_s_password_goes_to_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERABLE_STORE_URL", "postgresql://u@h/d")
    monkeypatch.setenv("ANSWERABLE_STORE_PASSWORD", SECRET)
    assert conninfo_to_dict(store_url(load_settings()))["password"] == SECRET


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@3cr3t@h/d",
        "postgresql://u:3cr3t/x@h/d",
        "postgresql://u:3cr3t#x@h/d",
        "postgresql://u:3cr3t?x@h/d",
        "postgresql://[3cr3t",
        "kafka://h:3cr3t/p",
        "host=h 3cr3t",
        "host=h password='3cr3t",
    ],
)
def test_a_url_that_can_be_read_in_two_ways_is_refused_unseen(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERABLE_STORE_URL", url)
    with pytest.raises(ConfigurationError, match=r"^ANSWERABLE_STORE_URL cannot be used") as caught:
        load_settings()
    assert "3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "kafka://a:1,b:2/p",
        "postgresql://u@[::1]:5/d",
        "postgresql://u:p%40@h,i:6/d",
        "host=h",
        "embedded:/x",
        "postgresql:///d",
    ],
)
def test_other_urls_are_taken(url: str) -> None:
    assert check_url(url) == url


def test_a_url_that_postgres_does_not_take_is_not_repeated() -> None:
    from ledger.store.connect import connect

    with pytest.raises(psycopg.ProgrammingError, match="3cr3t"):
        psycopg.connect("host=h 3cr3t")
    with pytest.raises(ConfigurationError, match="STORE_URL") as caught:
        connect("host=h 3cr3t")
    assert "3cr3t" not in str(caught.value)


@pytest.mark.parametrize("flag", ["--log-url", "--store-url"])
def test_a_password_on_the_command_line_is_refused_unseen(flag: str) -> None:
    done = CliRunner().invoke(command(), [flag, "postgresql://u:3cr3t@h/d", "doctor"])
    assert done.exit_code == 2
    assert "PASSWORD_FILE" in done.stderr
    assert "3cr3t" not in done.output


@pytest.mark.parametrize(
    ("url", "access", "told"),
    [
        ("kafka://u:3cr3t@h:1/p", KafkaAccess(), "names no user"),
        ("kafka://h:1/p?sasl_plain_password=3cr3t", KafkaAccess(), "unknown settings sasl_plain_password"),
        ("kafka://h:1/p?tls=yes", KafkaAccess(), "tls=1"),
        ("kafka://h:1/p", KafkaAccess(ca_file=Path("/x")), r"add \?tls=1"),
        ("kafka://h:1/p", KafkaAccess(user="u", password="3cr3t", mechanism="PLAIN"), "in the clear"),
        ("kafka://h:1/p", KafkaAccess(user="u"), "ANSWERABLE_KAFKA_PASSWORD_FILE"),
        ("kafka://h:1/p", KafkaAccess(password="3cr3t"), "ANSWERABLE_KAFKA_USER"),
        ("kafka://h:1/p", KafkaAccess(mechanism="SCRAM-SHA-256"), "come together"),
        ("kafka://h:1/p?tls=1", KafkaAccess(ca_file=Path("/nowhere")), "ANSWERABLE_KAFKA_CA_FILE cannot be used"),
        ("kafka://h:1/p?tls=1", KafkaAccess(key_file=Path("/x")), "ANSWERABLE_KAFKA_CERT_FILE"),
        ("kafka://h:1/p?tls=1", KafkaAccess(certificate_file=Path("/x")), "ANSWERABLE_KAFKA_KEY_FILE"),
    ],
)
def test_what_contradicts_itself_about_kafka_is_refused_before_anything_is_sent(
    url: str, access: KafkaAccess, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        open_log(url, access).close()
    assert "3cr3t" not in str(caught.value)


def test_the_settings_reach_kafka_s_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANSWERABLE_LOG_URL", "kafka://h:1/p")
    monkeypatch.setenv("ANSWERABLE_KAFKA_USER", "alice")
    monkeypatch.setenv("ANSWERABLE_KAFKA_PASSWORD", SECRET)
    monkeypatch.setenv("ANSWERABLE_KAFKA_SASL", "SCRAM-SHA-256")
    log = wired(load_settings())
    connection = log._connection  # type: ignore[attr-defined]
    assert (connection["security_protocol"], connection["sasl_mechanism"]) == ("SASL_PLAINTEXT", "SCRAM-SHA-256")
    assert (connection["sasl_plain_username"], connection["sasl_plain_password"]) == ("alice", SECRET)
    assert logging.getLogger("kafka.protocol.parser").level == logging.INFO
    log.close()
