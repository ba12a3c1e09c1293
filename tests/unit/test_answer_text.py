"""An answer for a person on a terminal: complete, readable, and not to be forged by what an event says."""

from __future__ import annotations

import shlex
from io import StringIO

from rich.console import Console

from ledger.attribution.explain import explain
from ledger.cli.answer_text import print_answer
from ledger.cli.next_text import next_questions
from ledger.format import ids
from tests.attribution.scenario import read_scenario, scenario_files


def shown(text: str, asked: str) -> list[str]:
    out = StringIO()
    story = read_scenario(text)
    print_answer(Console(file=out, width=1000), explain(story.subgraph(asked), story.house), utc=True)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def told(name: str, asked: str) -> list[str]:
    (path,) = [each for each in scenario_files() if each.stem == name]
    return shown(path.read_text(), asked)


def under(lines: list[str], heading: str) -> list[str]:
    rest = lines[lines.index(heading) + 1 :]
    return rest[: rest.index("")]


def test_the_head_says_who_what_and_whether_something_is_wrong() -> None:
    lines = told("rule_approval_reused", "a2")
    assert lines[:4] == [
        "Agent travel (owner not registered), started by Alice at 2026-01-01 00:00:00.001Z.",
        "attributed · book: success, SEEN BY THE RESOURCE ALONE: whoever called recorded nothing",
        "how it began is sealed: cited by digest under a verified seal; how it ended is sealed: stated by one service",
        "CONTRADICTED: approval_reused (see below)",
    ]


def test_an_earlier_use_of_an_approval_does_not_look_like_one_too_many() -> None:
    (first,) = under(told("rule_approval_reused", "va3"), "what people said")
    assert "; this is use 1, 1 allowed; " in first
    (second,) = under(told("rule_approval_reused", "xa2"), "what people said")
    assert "; this is use 2 and came to nothing, 1 allowed, 2 in all; " in second
    (first,) = under(told("rule_approval_reused", "x1"), "what people said")
    assert "; this is use 1, 1 allowed, 2 in all; " in first


def test_both_sides_that_answer_for_it_are_always_there_and_what_is_missing_is_said() -> None:
    assert under(told("accountable", "a1"), "accountable") == [
        "  agent: travel-agent (travel), suspended, owner Dana  sealed",
        "  person: Alice, grant g-1",
    ]
    assert under(told("no_subject", "a1"), "accountable") == [
        "  agent: travel, no owner registered",
        "  person: not known, no grant tied to it",
        "  missing: nobody was registered as the agent's owner by then",
        "  missing: neither an event nor a token names on whose behalf it was done",
        "  missing: no grant is tied to this event: nothing that it cites or presents names one of that person",
    ]


def test_nobody_known_and_rights_not_recorded_are_said() -> None:
    lines = told("dangling", "a1")
    assert under(lines, "triggered by") == ["  nobody known"]
    assert under(lines, "authority") == ["  none recorded"]
    assert "path, as far as it is known" in lines


def test_a_grant_withdrawn_and_a_token_revoked_stand_out() -> None:
    assert any(
        "WITHDRAWN at 2026-01-01 00:01:40" in line for line in under(told("rule_ended_grant", "a1"), "authority")
    )
    assert any(
        "REVOKED at 2026-01-01 00:01:40" in line for line in under(told("rule_revoked_token", "a1"), "authority")
    )


def test_accounts_of_one_action_are_not_shown_as_a_choice() -> None:
    lines = told("booking_with_approval", "a1")
    assert any("same_action" in line for line in lines)
    assert not any("same_action" in line and "that fit" in line for line in lines)


def test_what_an_event_says_never_looks_like_a_line_of_the_answer() -> None:
    story = """
p1 agent prompt trigger_kind=human trust=trusted channel=NEWLINE agent=travel
a1 agent api_action action_id=x phase=completed operation=NEWLINE error_type=x observer=agent agent=travel <- p1:started_by
"""
    hostile = "web\nCONTRADICTED:\x1b[2J"
    lines = _with(story, hostile)
    assert not any(line.startswith("CONTRADICTED") for line in lines)
    assert not any("\x1b" in line for line in lines)
    assert any("web\\u000aCONTRADICTED:\\u001b[2J" in line for line in lines)


def _with(story: str, said: str) -> list[str]:
    """The story, with NEWLINE standing for ``said``, which no line of a scenario can hold."""
    made = read_scenario(story)
    for told in made.events.values():
        told.payload.update({name: said for name, value in told.payload.items() if value == "NEWLINE"})  # type: ignore[attr-defined]
    out = StringIO()
    print_answer(Console(file=out, width=1000), explain(made.subgraph("a1")), utc=True)
    return out.getvalue().splitlines()


def test_a_contradiction_is_shown_with_how_soon_to_look_its_evidence_and_what_would_close_it() -> None:
    said, shown_by, closed_by = under(told("rule_approval_reused", "a2"), "CONTRADICTIONS")
    assert said.startswith("  high · approval_reused: approval ")
    assert shown_by.startswith("    shown by 019b")
    assert closed_by == "    closes by an approval of its own for each action beyond those allowed"


def test_each_account_is_shown_with_who_saw_what_and_what_only_the_resource_saw_stands_in_the_second_line() -> None:
    lines = told("accounts", "a3")
    assert lines[1] == "attributed · book: success, seen by who called and who was called"
    assert [line.rpartition(";")[0] for line in under(lines, "seen by")] == [
        "  agent agent: intended",
        "  agent agent: completed; success",
        "  resource flights: completed; success",
    ]
    assert told("accounts", "b1")[1].endswith("SEEN BY THE RESOURCE ALONE: whoever called recorded nothing")


def test_of_a_call_that_the_policy_denied_nobody_is_blamed_for_recording_nothing() -> None:
    story = """
d1 policy policy_decision decision=deny decision_id=d-1 action=book action_id=x
a1 agent api_action action_id=x phase=completed operation=book outcome=denied observer=agent agent=travel <- d1:authorized_by
a2 agent api_action action_id=y phase=completed operation=book outcome=denied observer=agent agent=travel
"""
    denied = "book: denied, seen by the caller alone: the policy denied it, so nobody need have been called"
    assert shown(story, "a1")[1].endswith(denied)
    assert shown(story, "a2")[1].endswith("seen by the caller alone: whoever was called recorded nothing")


def test_what_an_approval_and_a_decision_are_bound_to_is_said() -> None:
    said = [line.split("; ")[1] for line in under(told("compared", "a1"), "what people said")]
    assert said == [
        "of exactly these parameters",
        "for a1, parameters not bound",
        "standing for book, parameters not bound",
    ]
    decided = [line.split("; ")[1] for line in under(told("compared", "a3"), "policy")]
    assert decided == ["parameters not comparable: digests of another form"]
    assert "of OTHER parameters" in " ".join(under(told("compared", "a2"), "what people said"))


def test_whether_a_decision_or_an_approval_is_about_what_was_done_is_said() -> None:
    assert "; about ANOTHER thing; " in under(told("rule_meant_for_another", "a1"), "policy")[0]
    assert "; about ANOTHER thing; " in under(told("rule_meant_for_another", "a6"), "what people said")[0]
    assert "; about this; " in under(told("rule_acted_after_deny", "a2"), "policy")[0]
    assert "; about this by the action's own word alone; " in under(told("rule_acted_after_deny", "h4"), "policy")[0]


def test_each_owner_that_some_service_registers_is_shown() -> None:
    owners = under(told("owner_ambiguous", "a1"), "accountable")
    assert [line.split("owner ")[1].split("  ")[0] for line in owners[:2]] == ["Dana", "Erin"]
    assert any("services register different people" in line for line in owners)


def test_whom_and_what_a_decision_is_about_is_said() -> None:
    about = {
        asked: under(told("rule_meant_for_another", asked), "policy")[0].split("; ")[2] for asked in ("a1", "a3", "a5")
    }
    assert about["a1"] == "asked for Bob: read"
    assert about["a3"] == "asked for read folder flights"
    assert about["a5"] == "asked for delete, action elsewhere"
    assert "asked by agent acme://a/other: read" in under(told("rule_meant_for_another", "a2"), "policy")[0]


def test_how_sure_it_is_stands_at_the_top_by_the_weakest_of_what_it_rests_on() -> None:
    weak = shown("person alice Alice\np1 a prompt trigger_kind=human principal=alice\na1 a api_action action_id=x phase=unknown"
                 " operation=o observer=agent <- p1:started_by?\n", "a1")  # fmt: skip
    assert weak[2] == "how it began is asserted: stated without a digest, or imported"
    nobody = shown("a1 a api_action action_id=x phase=completed operation=o outcome=success observer=agent", "a1")
    assert nobody[2] == "how it ended is sealed: stated by one service"


ASKED = """
person alice Alice Ash
p1 a prompt trigger_kind=human trust=trusted principal=alice agent=https://a.example/travel run=r1
o1 a observation source=web uri=https://x.example/a?b=1&c trust=untrusted status=success <- p1:started_by
t1 as token_issuance status=issued token=j1 subject=alice verification=issuer observer=issuer
a1 a api_action action_id=x phase=completed operation=o observer=agent token=j1 agent=https://a.example/travel run=r1 <- o1:informed_by p1:started_by
"""  # noqa: E501 - a line an event


def asked_next(text: str, options: str = "") -> list[str]:
    story = read_scenario(text)
    return [command for command, _ in next_questions(explain(story.subgraph("a1")), options)]


def test_what_is_worth_asking_next_is_a_command_with_the_ids_that_the_answer_has_in_words_only() -> None:
    event = ids.text(read_scenario(ASKED).events["a1"].made.event_id)
    run = ids.text(read_scenario(ASKED).events["a1"].made.header.execution_id or b"")
    assert asked_next(ASKED, " --tenant acme") == [
        "answerable lineage 'token:as#j1' --tenant acme",
        f"answerable replay {run} --tenant acme",
        f"answerable lineage {event} --down --tenant acme",
        "answerable touched person 'idp#alice' --tenant acme",
        "answerable touched document 'https://x.example/a?b=1&c' --tenant acme",
        "answerable agents https://a.example/travel --tenant acme",
    ]


UNASKED = """
person robot !workload Robot

t1 as token_issuance status=issued token=j1 subject=robot verification=issuer observer=issuer
a1 api api_action action_id=x phase=completed operation=o observer=resource outcome=success token=j1 principal=robot
"""


def test_where_nobody_is_known_it_is_worth_asking_whose_credential_it_was_and_what_else_is_known_so_little_of() -> None:
    event = ids.text(read_scenario(UNASKED).events["a1"].made.event_id)
    assert asked_next(UNASKED) == [
        "answerable lineage 'token:as#j1'",
        "answerable agents 'idp#robot'",
        "answerable find --class unattributed --reason no_trigger",
        f"answerable lineage {event} --down",
    ]


def test_what_an_event_says_is_never_a_command_of_its_own() -> None:
    for hostile in ("$(reboot)", "a;reboot", "-rf", "a\u202eb", "a\x1b[2J", "x" * 400):
        asked = asked_next(ASKED.replace("j1", hostile).replace("https://x.example/a?b=1&c", hostile))
        for words in map(shlex.split, asked):
            assert words[:2] in (["answerable", each] for each in ("lineage", "replay", "touched", "agents"))
            assert len(words) <= 4
        assert all(each.isprintable() for each in asked)
    assert not [each for each in asked_next(ASKED.replace("j1", "a\u202eb")) if "token" in each]


def test_a_brief_answer_ends_before_the_path() -> None:
    out = StringIO()
    story = read_scenario(ASKED)
    print_answer(Console(file=out, width=1000), explain(story.subgraph("a1")), utc=True, brief=True)
    assert "triggered by" in out.getvalue()
    assert "path, " not in out.getvalue()
    assert "what this covers" not in out.getvalue()
