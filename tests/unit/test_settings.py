"""Settings: which value wins, where it came from, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import ConfigurationError
from ledger.passwords import without_password
from ledger.settings import Settings, file_name_of, load_settings, unknown_variables


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


def origin_of(settings: Settings, name: str) -> str:
    return next(each.origin for each in settings.explain() if each.name == name)


def test_without_anything_the_store_and_the_log_are_embedded_in_the_data_directory(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.data_dir == tmp_path / "xdg" / "answerable"
    assert settings.effective_store_url == settings.effective_log_url == f"embedded:{settings.data_dir}/postgres"
    assert {each.origin for each in settings.explain() if each.name != "ANSWERABLE_DATA_DIR"} == {"default"}


def test_a_flag_beats_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(tmp_path))
    (tmp_path / "settings.toml").write_text('ledger = "file"\ntenant = "file"\nservice = "file"\n')
    monkeypatch.setenv("ANSWERABLE_TENANT", "environment")
    monkeypatch.setenv("ANSWERABLE_SERVICE", "environment")
    settings = load_settings({"service": "flag", "ledger": None})
    assert (settings.ledger, settings.tenant, settings.service) == ("file", "environment", "flag")
    assert origin_of(settings, "ANSWERABLE_LEDGER") == "file"
    assert origin_of(settings, "ANSWERABLE_TENANT") == "environment"
    assert origin_of(settings, "ANSWERABLE_SERVICE") == "flag"
    assert origin_of(settings, "ANSWERABLE_API_PORT") == "default"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERABLE_TENANT", "")
    assert load_settings().tenant == "default"


@pytest.mark.parametrize(
    ("name", "value"), [("API_PORT", "http"), ("API_PORT", "70000"), ("UTC", "perhaps"), ("LEDGER", "x" * 300)]
)
def test_a_wrong_variable_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ANSWERABLE_{name}", value)
    with pytest.raises(ConfigurationError, match=f"^ANSWERABLE_{name} cannot be used: ") as caught:
        load_settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["ledger = ", 'colour = "blue"', 'data_dir = "/elsewhere"'])
def test_a_wrong_settings_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"settings\.toml"):
        load_settings({"data_dir": tmp_path})


def test_a_wrong_value_in_the_file_is_said_to_stand_there(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('api_port = "http"')
    with pytest.raises(ConfigurationError, match="'api_port' in the settings file"):
        load_settings({"data_dir": tmp_path})


@pytest.mark.parametrize("name", ["DATA_DIR", "KEY"])
def test_a_path_below_the_home_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"ANSWERABLE_{name}", "~nobody-of-this-name/data")
    with pytest.raises(ConfigurationError, match=f"{name}.*|no data directory") as told:
        load_settings()
    assert "the home directory in '~nobody-of-this-name/data' is not known" in str(told.value)


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERABLE_LOGURL", "kafka://nowhere")
    assert unknown_variables() == ["ANSWERABLE_LOGURL"]


def test_a_ledger_without_name_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="answerable serve"):
        load_settings().require_ledger()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://a:secret@h:1/db?x=y", "postgresql://a:***@h:1/db?x=y"),
        ("postgresql://a@h/db", "postgresql://a@h/db"),
        ("host=h password=secret user=u", "host=h password=*** user=u"),
        ("postgresql://h/db?user=a&password=secret", "postgresql://h/db?user=a&password=***"),
        ("host=h password = 'two words' user=u", "host=h password = *** user=u"),
        ("postgresql://[h", "(not a URL)"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_service_name_cannot_leave_the_directory_of_keys() -> None:
    settings = load_settings()
    assert settings.key_path("../../etc/passwd").parent == settings.keys_path
    assert file_name_of("travel-agent") == "travel-agent"
    assert file_name_of("a/b") != file_name_of("a.b")
    assert file_name_of("..") not in ("", ".", "..")


@pytest.mark.parametrize("text", ["api_port = " + "1" * 5000, "api_port = " + "[" * 5000])
def test_a_file_that_the_reader_of_toml_itself_gives_up_on_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_settings({"data_dir": str(tmp_path)})
