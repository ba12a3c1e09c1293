"""``answerable verify``: what it says of an honest log, of a changed one, and of one that lost something."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ledger.store.digest import state_digest
from tests.e2e.conftest import Run
from tests.seeded import Story

ROOT = Path(__file__).parents[2]
CUT = b"""
delete from answerable_log.records r using answerable_log.topics t where t.number = r.topic and t.topic = 'ledger.events'
    and (key, "offset") in (select key, max("offset") from answerable_log.records group by key)"""
"""The last seal of every chain, by whoever owns the log's database."""


def test_an_untouched_log_verifies_and_a_changed_byte_is_named(run: Run, told: Story, tmp_path: Path) -> None:
    copy = tmp_path / "copy.avro"
    run("archive", str(copy))
    whole = json.loads(run("verify", "--canonical", "--log", f"file:{copy}", "--json").stdout)
    assert whole["integrity"] == whole["completeness"] == whole["notes"] == []
    assert whole["holds"]
    assert whole["events"] > 5
    assert {each["name"] for each in whole["unknown"]} >= {"truth", "trust_root", "append_times", "unheard_chains"}
    plain = json.loads(run("verify", "--json").stdout)
    assert {each["name"] for each in plain["unknown"]} - {each["name"] for each in whole["unknown"]} == {"encoding"}
    assert {**plain, "unknown": []} == {**whole, "unknown": []}
    data = copy.read_bytes()
    place = data.index(UUID(told.action).bytes) + 40  # inside its header, which a later event cites by digest
    copy.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    (fault,) = json.loads(run("verify", "--log", f"file:{copy}", "--json", status=1).stdout)["integrity"]
    assert (fault["name"], fault["service"]) == ("bad_root", "travel-agent")
    assert [each["event_id"] for each in fault["events"]] == [told.action]
    text = run("verify", "--log", f"file:{copy}", status=1).stdout
    assert f"chain {fault['chain']} of travel-agent, seal {fault['seal']}" in text
    assert f"event {told.action}" in text
    assert "what this cannot know" in text


def test_what_archive_prints_verifies_the_copy_where_nothing_is_configured(
    run: Run, told: Story, tmp_path: Path
) -> None:
    copy, elsewhere = tmp_path / "copy.avro", tmp_path / "elsewhere"
    (line,) = [each for each in run("archive", str(copy)).stderr.splitlines() if " verify " in each]
    elsewhere.mkdir()
    copy.rename(elsewhere / copy.name)

    def there(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ledger.cli", *words]
        environment = {"PATH": os.environ["PATH"], "HOME": str(elsewhere), "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)

    bare = there("verify", "--log", "file:copy.avro")
    assert bare.returncode == 2
    assert "give --ledger NAME, --trust-root KEY, --trust-bundle FILE before `verify`" in bare.stderr
    words = shlex.split(line)[1:]
    assert "give --trust-bundle FILE" in there(*words[:3], *words[5:]).stderr
    (bundle,) = tmp_path.glob("*.jsonl")
    shutil.copy(bundle, elsewhere)
    verified = there(*words)
    assert verified.returncode == 0, verified.stderr
    assert "what this cannot know" in verified.stdout


def test_heads_that_were_exported_tell_of_a_log_that_lost_its_end(run: Run, url: str, tmp_path: Path) -> None:
    heads = tmp_path / "heads.jsonl"
    run("verify", "--heads", str(heads))
    lines = [json.loads(line) for line in heads.read_text().splitlines()]
    assert sorted(each["tenant"] for each in lines) == ["acme", "other"]
    run("verify", "--against", str(heads))
    assert "never overwritten" in run("verify", "--heads", str(heads), status=2).stderr
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CUT)
    cut = json.loads(run("verify", "--against", str(heads), "--json", status=1).stdout)
    assert {each["name"] for each in cut["completeness"]} & {"truncated", "missing_chain"}


def test_a_store_that_is_what_the_log_says_is_told_from_one_that_a_superuser_changed(
    run: Run, url: str, told: Story, database: str
) -> None:
    report = json.loads(run("verify", "--store", "--json").stdout)
    assert report["store"]["difference"] is None
    assert report["store"]["rows"]["events"] == report["events"]
    assert "the store is what the log says" in run("verify", "--store", "--scratch", database).stdout
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update events set occurred_at = 0 where event_id = %s", [told.orphan])
    report = json.loads(run("verify", "--store", "--json", status=1).stdout)
    assert report["holds"]
    found = report["store"]["difference"]
    assert (found["table"], found["how"], found["columns"]) == ("events", "changed", ["occurred_at"])
    assert found["key"]["event_id"] == told.orphan
    assert f"was changed in occurred_at: event_id {told.orphan}" in run("verify", "--store", status=1).stdout
    assert run("verify").exit_code == 0  # the log alone is as it was


@pytest.mark.parametrize(
    ("content", "told_of"),
    [
        (b"", None),
        (b"{}\n", "line 1"),
        (b"[" * 5000, "line 1"),
        (b"[" * 100_000, "line 1"),
        (b'{"ledger": 1}', "cut short"),
        (b"\xff\xfe\n", "line 1"),
    ],
)
def test_heads_that_are_none_are_misuse_told_in_one_sentence(
    run: Run, tmp_path: Path, content: bytes, told_of: str | None
) -> None:
    path = tmp_path / "heads.jsonl"
    path.write_bytes(content)
    said = run("verify", "--against", str(path), status=0 if told_of is None else 2).stderr
    assert told_of is None or (told_of in said and said.count("\n") == 1)


def test_purging_what_was_refused_says_how_much_is_gone_and_leaves_the_state_as_it_was(run: Run, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into rejected (topic, partition, log_offset, at, append_time, reason, detail, raw, raw_digest, raw_length)"
            " values ('ledger.events', 0, 77, -1, 5, 'malformed', '', 'bytes', sha256('bytes'), 5)"
        )
    before = state_digest(url)
    command = (ROOT / "docs" / "operations.md").read_text().partition("answerable purge-refused")[2].splitlines()[0]
    assert "the bytes of 1 refused records from before 20" in run("--utc", "purge-refused", *command.split()).stderr
    assert json.loads(run("purge-refused", "--json").stdout)["purged"] == 0
    assert state_digest(url) == before
