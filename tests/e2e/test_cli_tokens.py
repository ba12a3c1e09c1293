"""``lineage`` of tokens and grants, on a seeded store."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Run

ISSUER = "https://issuer.example"
NAMED = [[f"token:{ISSUER}#token-1"], ["--token", ISSUER, "token-1"]]


@pytest.mark.parametrize("named", NAMED, ids=["by name", "by option"])
def test_a_token_is_named_in_two_ways_and_tells_what_was_done_with_it(run: Run, named: list[str]) -> None:
    first, *rest = run("lineage", *named, "--utc").stdout.splitlines()
    assert first == (
        f"Token token-1 of {ISSUER} has no recorded end; 0 obtained with it, used by 2 events; "
        "nobody recorded that it was issued."
    )
    assert len([line for line in rest if "used: POST /bookings by https://issuer.example#travel-agent" in line]) == 2
    assert "2 events shown here, each verified" in rest[-1]


def test_json_is_the_whole_lineage_and_says_whether_there_is_more(run: Run) -> None:
    found = json.loads(run("lineage", *NAMED[0], "--json", "--limit", "1").stdout)
    assert (found["asked"], found["more"]) == ({"kind": "token", "issuer": ISSUER, "id": "token-1"}, True)
    assert (len(found["happenings"]), found["counted"]["uses"]) == (1, 2)
    assert "there is more" in run("lineage", *NAMED[0], "--limit", "1").stdout


def test_what_is_not_recorded_is_exit_1_and_a_name_that_is_none_exit_2(run: Run) -> None:
    assert "holds nothing about the token 'nothing'" in run("lineage", f"token:{ISSUER}#nothing", status=1).stderr
    assert "holds nothing about the grant 'G'" in run("lineage", "grant:G", status=1).stderr
    run("lineage", f"token_digest:{'ab' * 32}", status=1)
    for wrong in ("token:no-jti", "token_digest:ab", "grant:", "other:thing", "grant:\udcff"):
        assert "error: " in run("lineage", wrong, status=2).stderr
    assert "choose one" in run("lineage", "grant:G", "--token", ISSUER, "x", status=2).stderr
    assert "--format" in run("lineage", "grant:G", "--format", "dot", status=2).stderr
    assert "name an event" in run("lineage", status=2).stderr
    run("lineage", *NAMED[0], "--tenant", "other", status=1)


def test_usage_of_tokens_is_exit_1_where_none_was_issued_and_2_where_it_is_misused(run: Run) -> None:
    said = run("token-usage", "--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z", "--utc", status=1)
    assert said.stdout.startswith("0 tokens; none outlived a recorded end of its task. Issued from 2020-01-01")
    assert json.loads(run("token-usage", "--json", status=1).stdout)["groups"] == []
    assert "choose agent, client or grant" in run("token-usage", "--by", "person", status=2).stderr
    assert "not before" in run("token-usage", "--until", "2020-01-01", "--since", "2021-01-01", status=2).stderr
