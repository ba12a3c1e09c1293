"""``docs/format.md`` prints the tables of the code, and its worked example is what the code computes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ledger.attribution.joins import NAMESPACES
from ledger.format import hashing, limits
from ledger.format.event import RELATIONS, TO_TRIGGERS
from ledger.format.hashing import event_prefix, tree_entry
from ledger.trust import bundle
from ledger.trust.bundle import NAMED_KINDS
from ledger.trust.reasons import REASONS
from tests.sealing import (
    KEY,
    LEDGER,
    SCHEMAS,
    SERVICE,
    TENANT,
    bundle_of,
    digests_of,
    event,
    key_statement,
    opening,
    seal,
)

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


def rows(title: str) -> list[list[str]]:
    """The cells of every table row of a section, without back quotes, headings left out."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:1] == "|"
    ]
    return [row for row in found if row[0].strip().startswith("`")]


def test_the_page_has_every_limit_of_the_code_and_no_other() -> None:
    code = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert {row[0].strip("`"): int(row[1]) for row in rows("19. Limits")} == code


def test_every_large_number_of_the_page_is_a_limit_or_a_setting_of_a_topic() -> None:
    text = "".join(PAGE.split("\n## ")[2:19])
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d{1,3}(?:,\d{3})+", text)}
    milliseconds, topics = {1000}, {1 << 20, 9 << 20}
    assert numbers - milliseconds - topics <= {value for name, value in vars(limits).items() if name.isupper()}


def test_the_page_has_every_label_that_is_hashed_or_signed() -> None:
    labels = [value for module in (hashing, bundle) for value in vars(module).values() if isinstance(value, bytes)]
    code = {value[:-1].decode() for value in labels if value.startswith(b"answerable/")}
    assert set(re.findall(r'"(answerable/\w+/v\d+)" ‖ 0x00', PAGE)) == code


def test_the_page_names_the_kinds_that_a_star_leaves_out() -> None:
    (said,) = re.findall(r"any kind \*\*but\*\* (.*?): those count", PAGE)
    assert set(re.findall(r"`(\w+)`", said)) == NAMED_KINDS


def test_the_summary_of_the_schemas_has_their_fields_in_order_with_their_types() -> None:
    summary = PAGE.split("## 3. What is signed\n\n```\n")[1].split("```")[0]
    said = " ".join(summary.split())
    several = r"(?<!: )\b(\w+), (\w+): (\w+)"  # a, b: type
    while re.search(several, said):
        said = re.sub(several, r"\1: \3, \2: \3", said)
    names = ("SealedBatch", "Seal", "EventHeader", "Content")
    assert said == " ".join(f"{name} {summarized(SCHEMAS.by_name[name].parsed, {})}" for name in names)


def summarized(schema: Any, named: dict[str, Any]) -> str:
    """A type as the page writes it."""
    if isinstance(schema, list):
        return f"{summarized(schema[1], named)}?"
    if isinstance(schema, str):
        return summarized(named[schema], named) if schema in named else schema
    named[schema.get("name", "")] = schema
    if schema["type"] == "array":
        return f"[{summarized(schema['items'], named)}]"
    if schema["type"] == "fixed":
        return f"fixed{schema['size']}"
    fields = [f"{field['name']}: {summarized(field['type'], named)}" for field in schema["fields"]]
    return f"{{ {', '.join(fields)} }}"


def test_the_contents_name_every_section() -> None:
    listed = re.findall(r"\[(\d+) ([^]]+)\]\(#([^)]+)\)", PAGE.split("\n## ")[0])
    sections = re.findall(r"^## (\d+)\. (.+)$", PAGE, re.MULTILINE)
    assert [(number, title) for number, title, _ in listed] == sections
    assert [link for _, _, link in listed] == [f"{n}-{title.lower().replace(' ', '-')}" for n, title in sections]


def test_the_page_has_every_reason_and_finding_as_the_code_says_it() -> None:
    page = [tuple(row) for row in rows("20. Reasons and findings")]
    code = [
        (f"`{each.name}`", "refuses" if each.refuses else "finding", each.scope, each.meaning, each.remedy)
        for each in REASONS.values()
    ]
    assert page == code


def test_the_page_has_every_relation_and_which_lead_to_triggers() -> None:
    page = {row[0].strip("`"): row[2] for row in rows("12. Relations")}
    assert page == {each: "yes" if each in TO_TRIGGERS else "no" for each in RELATIONS}


def test_the_page_has_every_kind() -> None:
    kinds = set(SCHEMAS.by_name) - {"SealedBatch", "Seal", "EventHeader", "Content"}
    assert {row[0].strip("`") for row in rows("14. Kinds")} == kinds


def test_the_page_has_every_name_that_events_are_joined_by() -> None:
    page = {row[0].strip("`"): row[1] for row in rows("13. Correlation and joins") if len(row) == 2}
    assert page == dict(NAMESPACES)


def test_the_worked_example_is_what_the_code_computes() -> None:
    example = re.sub(r"\s", "", PAGE.split("## 21. Worked example")[1])
    made = seal([opening(), event(1)])
    first, second = made.batch.events
    digests = digests_of(made.batch.events)
    signature = made.batch.signatures[0].signature
    facts = [
        first.header,
        second.header,
        first.payload or b"",
        second.payload or b"",
        first.salt,
        second.salt,
        *digests,
    ]
    facts += [made.digest, signature, tree_entry(made.digest, signature), event_prefix(LEDGER, TENANT, SERVICE)[1:]]
    facts.append(made.seal)
    assert [fact.hex() for fact in facts if fact.hex() not in example] == []
    assert KEY.key_id in example
    assert re.sub(r"\s", "", bundle_of(key_statement()).decode()) in example
