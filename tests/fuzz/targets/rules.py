"""What a person types or writes for a question: the file of house rules, and names of tokens, grants and times."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from api.parameters import read_time
from api.problems import InvalidRequest
from ledger.attribution.house import VERSION, HouseRules, fits, read_house_rules
from ledger.cli.output import read_time as read_cli_time
from ledger.cli.rights import asked_right
from ledger.errors import ConfigurationError, LedgerError
from ledger.settings import Settings
from ledger.wiring import house_rules
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces
from tests.fuzz.targets.files import file_of

RULES = b"""version = 1
[[another_person]]
operations = ["payment:*", "transfer"]
scopes = ["payments:write"]
[[another_person]]
scopes = ["*"]
[consequence]
operations = ["mail:send"]
"""


def house(data: bytes) -> None:
    """The file: what is read of it and written again asks the same, under the same digest."""
    made = house_rules(Settings.model_construct(rules=file_of("rules.toml", data)))
    again = read_house_rules(_written(made))
    assert again == made
    assert again.digest == made.digest
    for duty in made.another_person:
        assert duty.operations or duty.scopes
        assert all(
            duty.covers(f"{each.removesuffix('*')}x" if each.endswith("*") else each, ()) for each in duty.operations
        )
        assert all(duty.covers("", [each.removesuffix("*")]) for each in duty.scopes)
    assert not fits((), "x")


def _written(rules: HouseRules) -> str:
    lines = [f"version = {VERSION}"]
    for duty in rules.another_person:
        lines += ["[[another_person]]", f"operations = {_listed(duty.operations)}", f"scopes = {_listed(duty.scopes)}"]
    return "\n".join([*lines, "[consequence]", f"operations = {_listed(rules.consequence)}", ""])


def _listed(names: Any) -> str:
    """A list as TOML has it, whose strings are JSON's but for one character that must be escaped."""
    return json.dumps(list(names), ensure_ascii=False).replace("\x7f", "\\u007f")


def names(data: bytes) -> None:
    """Parts are the name of a token or grant as one text, issuer and jti, and a time as CLI and HTTP read it."""
    said = [each.decode("utf-8", "surrogateescape") for each in pieces.split(data)] + [""] * 4
    text, issuer, jti, at = said[:4]
    with suppress(LedgerError):
        asked = asked_right(text, None)
        assert asked is None or len(asked.names) == 1
    with suppress(LedgerError):
        assert asked_right(None, (issuer, jti)) is not None
    if text and (issuer or jti):
        try:
            asked_right(text, (issuer, jti))
        except ConfigurationError:
            pass
        else:
            raise AssertionError("both")
    seen: list[int] = []
    with suppress(InvalidRequest):
        seen.append(read_time(at) or 0)
    with suppress(LedgerError):
        seen.append(read_cli_time(at))
    if len(seen) == 2 and at.endswith(("Z", "z")):
        assert seen[0] == seen[1], at


TARGETS = (
    Target(
        "house-rules",
        house,
        lambda: [RULES, b"version = 1\n"],
        short=500,
        words=(
            b"[[another_person]]",
            b"[consequence]",
            b"operations = [",
            b"scopes = [",
            b'"*"',
            b"version = 1",
            b"\\u0000",
            b"'''",
        ),
    ),
    Target(
        "names",
        names,
        lambda: [
            pieces.join(
                [b"token:https://login.example#jti-1", b"https://login.example", b"jti#1", b"2026-03-01T12:00:00Z"]
            ),
            pieces.join([b"token_digest:" + b"ab" * 32, b"", b"", b"2026-03-01 12:00:00.5+01:00"]),
            pieces.join([b"grant:g-1"]),
        ],
        size=512,
        short=500,
        words=(
            b"token:",
            b"grant:",
            b"token_digest:",
            b"#",
            b"Z",
            b"+00:00",
            b"9999-12-31T23:59:59",
            b"0001-01-01T00:00:00",
        ),
    ),
)
