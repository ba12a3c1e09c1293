"""What an organisation asks beyond what the events state: a small file of rules, TOML, versioned.

    version = 1

    [[another_person]]              # separation of duties: whoever triggered it may not be the only one to approve it
    operations = ["payment:*"]      # operations of api_action; a star at the end stands for any rest
    scopes = ["payments:write"]     # or scopes of the token presented

    [[decision]]                    # what takes effect only on a recorded decision that allows it
    operations = ["payroll:*"]

    [consequence]                   # operations of consequence, where services do not state what their calls do
    operations = ["mail:send"]

    [subjects]                      # issuers that call a person the same at every client: two subjects are two people there
    public = ["https://login.example"]

Without a file nobody is accused of any of it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import ConfigurationError

VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What needs another person than who triggered it: any of the operations, or any with a token of the scopes."""

    operations: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()

    def covers(self, operation: str, scopes: Iterable[str]) -> bool:
        return fits(self.operations, operation) or any(fits(self.scopes, scope) for scope in scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseRules:
    """``decision`` are operations that need one; ``consequence`` those that count as of consequence whatever their activity is
    said to be; ``public_subjects`` the issuers that call a person the same at every client."""

    another_person: tuple[Duty, ...] = ()
    decision: tuple[str, ...] = ()
    consequence: tuple[str, ...] = ()
    public_subjects: tuple[str, ...] = ()

    @property
    def digest(self) -> bytes:
        """SHA-256 over what the rules say, however the file was written: equal where they ask the same in the same order."""
        asked = [[duty.operations, duty.scopes] for duty in self.another_person]
        said = [VERSION, asked, self.decision, self.consequence, self.public_subjects]
        return sha256(json.dumps(said).encode()).digest()


NO_RULES: Final = HouseRules()


def fits(patterns: Iterable[str], name: str) -> bool:
    """Whether a name is one of ``patterns``, or begins as one that ends in a star does."""
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in patterns)


def read_house_rules(text: str) -> HouseRules:
    """The rules in the text of a file; raises ``ConfigurationError`` that says what to change."""
    try:
        written = tomllib.loads(text)
    except (
        ValueError,
        RecursionError,
    ) as error:  # numbers of thousands of digits and deep nesting, beside what is no TOML
        raise ConfigurationError(f"the rules are not TOML: {error}") from None
    if written.get("version") != VERSION or isinstance(written["version"], bool):
        raise ConfigurationError(f"the rules must say `version = {VERSION}`, the only one that this release knows")
    _only(written, "version", "another_person", "decision", "consequence", "subjects")
    duties, decisions = _tables(written, "another_person"), _tables(written, "decision")
    return HouseRules(
        another_person=tuple(_duty(each) for each in duties),
        decision=tuple(name for each in decisions for name in _decided(each)),
        consequence=_list_in(written, "consequence", "operations"),
        public_subjects=_list_in(written, "subjects", "public"),
    )


def _list_in(written: Mapping[str, object], table: str, key: str) -> tuple[str, ...]:
    """The one list that a table holds."""
    found = written.get(table, {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"{table} is a table: write [{table}]")
    _only(found, key, of=table)
    return _names(found, key, table)


def _duty(written: Mapping[str, object]) -> Duty:
    _only(written, "operations", "scopes", of="another_person")
    duty = Duty(
        operations=_names(written, "operations", "another_person"), scopes=_names(written, "scopes", "another_person")
    )
    if not (duty.operations or duty.scopes):
        raise ConfigurationError("an another_person covers nothing: name operations or scopes in it")
    return duty


def _decided(written: Mapping[str, object]) -> tuple[str, ...]:
    _only(written, "operations", of="decision")
    operations = _names(written, "operations", "decision")
    if not operations:
        raise ConfigurationError("a decision covers nothing: name operations in it")
    return operations


def _tables(written: Mapping[str, object], key: str) -> list[dict[str, object]]:
    tables = written.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise ConfigurationError(f"{key} is a table that may be repeated: write [[{key}]]")
    return tables


def _only(written: Mapping[str, object], *known: str, of: str = "") -> None:
    """A misspelt rule would be a control that nobody knows is off."""
    if unknown := sorted(set(written) - set(known)):
        where = f" in {of}" if of else ""
        raise ConfigurationError(
            f"the rules have {unknown[0]!r}{where}, which means nothing; known are {', '.join(known)}"
        )


def _names(written: Mapping[str, object], key: str, of: str) -> tuple[str, ...]:
    value = written.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ConfigurationError(f"{key} in {of} is a list of names, none of them empty")
    return tuple(value)


__all__ = ["NO_RULES", "VERSION", "Duty", "HouseRules", "fits", "read_house_rules"]
