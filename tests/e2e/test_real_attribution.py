"""The page about attribution against real records: its table is what the files give, and every issued key leads to its issuance.

What should be linked is worked out from the JSON alone, by code that knows nothing of the importer.
``python -m tests.write_attribution`` prints the table.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ledger.ask import who_triggered
from tests.importing import TENANT, data_files
from tests.real_answers import Answered, imported, row, table
from tests.services.databases import Databases

PAGE = Path(__file__).parents[2] / "docs" / "attribution.md"


@pytest.fixture(scope="module")
def answered(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answered]:
    work = tmp_path_factory.mktemp("real")
    for name in ("otlp", "cloudtrail"):
        data_files(name)  # skips where they are not there
    return {name: imported(name, postgres.fresh(), work) for name in ("otlp", "cloudtrail")}


def test_the_table_of_the_page_is_what_the_files_give(answered: dict[str, Answered]) -> None:
    page = PAGE.read_text()
    for name, each in answered.items():
        for line in table(name, each):
            assert row(line) in page, row(line)


def test_every_issued_key_that_returns_in_use_leads_to_its_issuance_and_no_other_link_is_made_up(
    answered: dict[str, Answered],
) -> None:
    raw = [record for path in data_files("cloudtrail") for record in json.loads(path.read_bytes())]
    issued = {key: record["eventID"] for record in raw if (key := issued_key(record)) is not None}
    expected = Counter(
        (record["eventID"], issued[key])
        for record in raw
        if (key := (record.get("userIdentity") or {}).get("accessKeyId")) in issued
    )
    assert sum(expected.values()) == 48
    found: Counter[tuple[str, str]] = Counter()
    of = answered["cloudtrail"]
    for answer in of.answers:
        links = {link for step in answer.path for link in step.links if link.join in ("token", "token_digest")}
        for link in links:
            assert (link.grade, link.candidates, link.relation) == ("inferred", 1, "authorized_by")
            if link.effect == answer.asked:
                found[of.name(link.effect), of.name(link.cause)] += 1
    assert found == expected


def test_an_issued_key_in_use_is_answered_with_its_caller(answered: dict[str, Answered]) -> None:
    of = answered["cloudtrail"]
    used = [each for each in of.answers if any(link.join == "token" for step in each.path for link in step.links)]
    assert used
    for answer in used:
        assert answer.class_ == "attributed"
        again = who_triggered(of.lineage, TENANT, answer.asked)
        assert [each.who for each in again.triggers] == [each.who for each in answer.triggers]


def issued_key(record: dict[str, Any]) -> str | None:
    credentials = ((record.get("responseElements") or {}).get("credentials") or {}) if isinstance(record, dict) else {}
    return credentials.get("accessKeyId")
