"""What a migration may do: while an upgrade goes on, the release before it runs on its tables.

Read as text, so that a migration is seen before any store has it. What it would have to be told of twice stands in ``KNOWN``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

import pytest

OPERATIONS: Final = Path(__file__).parents[2] / "docs" / "operations.md"
BASELINE: Final = "0001"
_NAME: Final = r'"?(\w+)"?'
_QUOTED: Final = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
_COMMENT: Final = re.compile(r"--[^\n]*")
_MADE: Final = re.compile(rf"create (?:unlogged )?table (?:if not exists )?{_NAME}")
_ALTERED: Final = re.compile(rf"alter table (?:if exists )?(?:only )?{_NAME} (.*)", re.DOTALL)
_TAKES: Final = (
    (r"drop (table|view|sequence|type|function)\b", "drops a {0}"),
    (r"drop schema\b", "drops a schema"),
    (r"(?:truncate|delete from)\b", "takes rows away"),
    (r"revoke\b", "takes a right away"),
    (r"do\b", "does what this text does not say"),
    (r"alter (?:view|sequence|type|function|schema) .* rename\b", "renames"),
    (r"create unique index\b", "refuses what was allowed"),
    (r"create (?:or replace )?(?:constraint )?(?:trigger|rule|policy)\b", "puts something in the way of writes"),
)
_CHANGES: Final = (
    (r"rename\b", "renames"),
    (r"drop (?:constraint\b)?", "drops"),  # a constraint too: `on conflict` may rest on it
    (r"alter (?:column )?\w+ (?:set data )?type\b", "changes a type"),
    (r"alter (?:column )?\w+ set not null", "asks for what was not written before"),
    (r"alter (?:column )?\w+ drop default", "asks for what was not written before"),
    (r"(?:add )?(?:constraint \w+ )?(?:check|unique|primary key|foreign key|exclude)\b", "refuses what was allowed"),
    (r"(?:enable|force) row level security", "hides rows"),
    (r"set schema\b", "moves away"),
)
"""What an action of ``alter table`` does to a table that the release before has."""


class Taken(NamedTuple):
    """Something that a migration takes from the release before it."""

    migration: str
    table: str
    what: str


KNOWN: Final = {
    Taken("0002", "", "does what this text does not say"): None,  # makes the group roles, and grants
    Taken("0005", "seals", "asks for what was not written before"): "stop `materialize` until it is replaced",
}
"""What had to be, and what docs/operations.md tells an operator to do; None where there is nothing to do."""


def statements(text: str) -> list[str]:
    """In lower case, with one blank between words; what is quoted is not read."""
    bare = _QUOTED.sub("''", _COMMENT.sub("", text))
    return [" ".join(each.lower().split()) for each in bare.split(";") if each.strip()]


def actions(text: str) -> list[str]:
    """Of one ``alter table``: at its commas, but not at those in brackets."""
    found, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
    return [*found, text[start:].strip()]


def taken(name: str, text: str) -> Iterator[Taken]:
    """What the migration takes from the release before it. A table that it makes itself is nobody's yet; an index is no table."""
    made = {found[1] for each in statements(text) if (found := _MADE.match(each))}
    for statement in statements(text):
        altered = _ALTERED.match(statement)
        if altered is None:
            yield from (Taken(name, "", what.format(*found.groups())) for found, what in _first(_TAKES, statement))
        elif altered[1] not in made:
            for action in actions(altered[2]):
                yield from (Taken(name, altered[1], what) for _, what in _first(_CHANGES, action))
                if re.match(r"add (?:column )?", action) and _obliges(action):
                    yield Taken(name, altered[1], "asks for what was not written before")


def _obliges(action: str) -> bool:
    """Whether a column is added of which every row must state something."""
    return "not null" in action and not re.search(r"\bdefault\b|\bgenerated\b", action)


def _first(rules: Sequence[tuple[str, str]], text: str) -> Iterator[tuple[re.Match[str], str]]:
    for pattern, what in rules:
        if found := re.match(pattern, text):
            yield found, what
            return


def published() -> dict[str, str]:
    """The migrations after the first by their numbers."""
    folder = files("ledger.store") / "migrations"
    return {each.name[:4]: each.read_text() for each in folder.iterdir() if each.name.endswith(".sql")}


def test_a_migration_takes_nothing_from_the_release_before_it_but_what_is_known() -> None:
    found = {each for name, text in published().items() if name > BASELINE for each in taken(name, text)}
    assert found == KNOWN.keys()


def test_what_a_migration_takes_is_told_to_the_operator() -> None:
    page = OPERATIONS.read_text()
    upgrading = page[page.index("### With a migration") : page.index("### With a new schema")]
    for each, remedy in ((each, remedy) for each, remedy in KNOWN.items() if remedy is not None):
        (said,) = [line for line in upgrading.splitlines() if remedy in line]
        assert f"before `{each.migration}`" in said


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("drop table runs", "drops a table"),
        ("drop table if exists runs", "drops a table"),
        ("alter table seals drop column copies", "drops"),
        ("alter table seals drop copies", "drops"),
        ("alter table seals drop constraint few", "drops"),
        ("do $$ begin drop table runs; end $$", "does what this text does not say"),
        ("alter table seals rename column copies to n", "renames"),
        ("alter table seals rename to sealed", "renames"),
        ("ALTER TABLE seals\n  ALTER COLUMN copies TYPE bigint", "changes a type"),
        ("alter table seals alter copies set data type bigint", "changes a type"),
        ("alter table seals alter copies set not null", "asks for what was not written before"),
        ("alter table seals add column a numeric(1, 2), add b int not null", "asks for what was not written before"),
        ("alter table seals alter copies drop default", "asks for what was not written before"),
        ("alter table seals add constraint few check (copies < 9)", "refuses what was allowed"),
        ("alter table only seals add unique (number)", "refuses what was allowed"),
        ("alter table seals set schema elsewhere", "moves away"),
        ("revoke insert on seals from answerable_writer", "takes a right away"),
        ("delete from seals", "takes rows away"),
        ("create unique index seals_number on seals (number)", "refuses what was allowed"),
        ("create trigger t before insert on seals execute function f()", "puts something in the way of writes"),
    ],
)
def test_what_takes_something_is_seen(text: str, what: str) -> None:
    assert [each.what for each in taken("9999", f"-- one; two\nselect 'a; drop table x';\n{text};")] == [what]


@pytest.mark.parametrize(
    "text",
    [
        "create table kinds (id int not null); alter table kinds add constraint c check (id > 0), rename to sorts",
        "create index findings_kind on findings (name); drop index findings_open",
        "alter table seals add column note text",
        "alter table seals add column note text not null default '', alter column note set storage external",
        "alter table seals add column number2 bigint not null generated always as (number * 2) stored",
        "grant select on seals to answerable_reader; update seals set copies = copies",
        "alter table seals alter copies drop not null",
    ],
)
def test_what_takes_nothing_is_let_pass(text: str) -> None:
    assert list(taken("9999", text)) == []
