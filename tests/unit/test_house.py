"""The file of house rules: what it says, and what is wrong with one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger import wiring
from ledger.attribution.house import NO_RULES, Duty, HouseRules, read_house_rules
from ledger.errors import ConfigurationError
from ledger.settings import load_settings

GOOD = """
version = 1
[[another_person]]
operations = ["payment:*", "close"]
scopes = ["payments:write"]
[[another_person]]
scopes = ["admin*"]
[[decision]]
operations = ["payroll:*", "close"]
[[decision]]
operations = ["wipe"]
[consequence]
operations = ["mail:send"]
[subjects]
public = ["https://login.example"]
"""


def test_a_file_says_what_needs_another_person_or_a_decision_and_what_is_of_consequence() -> None:
    assert read_house_rules(GOOD) == HouseRules(
        another_person=(
            Duty(operations=("payment:*", "close"), scopes=("payments:write",)),
            Duty(scopes=("admin*",)),
        ),
        decision=("payroll:*", "close", "wipe"),
        consequence=("mail:send",),
        public_subjects=("https://login.example",),
    )
    assert read_house_rules("version = 1") == NO_RULES


@pytest.mark.parametrize(
    ("operation", "scopes", "covered"),
    [
        ("payment:wire", [], True),
        ("payment", [], False),
        ("close", [], True),
        ("closed", [], False),
        ("any", ["payments:write"], True),
        ("any", ["payments:write:all", "read"], False),
    ],
)
def test_a_star_at_the_end_stands_for_any_rest_and_nothing_else_does(
    operation: str, scopes: list[str], covered: bool
) -> None:
    assert read_house_rules(GOOD).another_person[0].covers(operation, scopes) is covered


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version = ", "not TOML"),
        ("", "must say `version = 1`"),
        ("version = 2", "must say `version = 1`"),
        ("version = true", "must say `version = 1`"),
        ("version = 1\nanother_persons = []", "'another_persons'"),
        ("version = 1\nanother_person = 3", "[[another_person]]"),
        ("version = 1\n[[another_person]]", "covers nothing"),
        ("version = 1\n[[another_person]]\noperation = ['a']", "'operation' in another_person"),
        ("version = 1\n[[another_person]]\noperations = 'a'", "list of names"),
        ("version = 1\n[[another_person]]\nscopes = ['']", "none of them empty"),
        ("version = 1\n[[another_person]]\nscopes = [1]", "list of names"),
        ("version = 1\nsubjects = 3", "[subjects]"),
        ("version = 1\n[subjects]\npublik = ['a']", "'publik' in subjects"),
        ("version = 1\ndecision = 3", "[[decision]]"),
        ("version = 1\n[[decision]]", "a decision covers nothing"),
        ("version = 1\n[[decision]]\nscopes = ['a']", "'scopes' in decision"),
        ("version = 1\nconsequence = 1", "[consequence]"),
        ("version = 1\n[consequence]\nscopes = ['a']", "'scopes' in consequence"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_says_what_to_change(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_house_rules(text)
    assert says in str(refused.value)
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"ANSWERABLE_RULES, .*rules\.toml: "):
        wiring.house_rules(load_settings({"rules": tmp_path / "rules.toml"}))


def test_the_setting_names_the_file_and_without_it_there_are_no_rules(tmp_path: Path) -> None:
    assert wiring.house_rules(load_settings({})) is NO_RULES
    (tmp_path / "rules.toml").write_text(GOOD)
    assert wiring.house_rules(load_settings({"rules": tmp_path / "rules.toml"})) == read_house_rules(GOOD)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        wiring.house_rules(load_settings({"rules": tmp_path / "none.toml"}))
    (tmp_path / "rules.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        wiring.house_rules(load_settings({"rules": tmp_path / "rules.toml"}))


@pytest.mark.parametrize("text", ["version = " + "1" * 5000, "version = " + "[" * 5000])
def test_what_the_reader_of_toml_itself_gives_up_on_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the rules are not TOML"):
        read_house_rules(text)


def test_the_digest_is_of_what_the_rules_ask_and_not_of_how_the_file_was_written() -> None:
    written = 'version = 1\n[[another_person]]\noperations = ["pay:*"]\nscopes = ["a", "b"]\n'
    otherwise = '# the same\nversion=1\n[[another_person]]\nscopes=["a","b"]\noperations = ["pay:*",]\n[consequence]\n'
    assert read_house_rules(written).digest == read_house_rules(otherwise).digest
    others = [
        read_house_rules(written.replace("pay", "buy")),
        read_house_rules(written.replace('"a", "b"', '"a, b"')),
        read_house_rules(written + '[consequence]\noperations = ["x"]\n'),
        read_house_rules(written + '[[decision]]\noperations = ["x"]\n'),
        NO_RULES,
    ]
    assert len({each.digest for each in (read_house_rules(written), *others)}) == 6
