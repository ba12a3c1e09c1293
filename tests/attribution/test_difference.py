"""What two runs did differently: stories of two runs, aligned by what a step is and what led to it."""

from __future__ import annotations

import itertools
import random
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from ledger.attribution.alignment import STEPS, align, steps_of
from ledger.attribution.difference import Difference, compare, difference_json
from ledger.cli.difference_text import print_difference
from tests.attribution.scenario import Story, read_scenario

BEGIN = "person alice Alice\np{n} agent prompt by=alice trigger_kind=human trust=trusted run=r{n}\n"
STEP = "s{n} agent reasoning_step status=completed visibility=full run=r{n} <- p{n}:started_by\n"
ACT = (
    "a{n} agent api_action action_id=x{n} operation=book phase=completed observer=agent outcome=success"
    " run=r{n} <- {c}:informed_by\n"
)


def story(first: str, second: str) -> Story:
    return read_scenario(first.replace("{n}", "1") + second.replace("{n}", "2"))


def difference(told: Story) -> Difference:
    runs = [told.events[f"p{n}"].made.header.execution_id or b"" for n in "12"]
    nodes = [[told.node(each) for each in told.events if each.endswith(n)] for n in "12"]
    persons = {known.digest: known for known in told.people.values()}
    authorizing = [told.node(each) for each in told.events if each.startswith("d")]
    return compare((runs[0], runs[1]), nodes[0], nodes[1], persons, {}, authorizing=authorizing)


def shown(told: Story) -> list[str]:
    """Each row as `status name name fields…`, by the names of the story without their run."""
    found = difference(told)
    rows = []
    for row in found.rows:
        names = [
            "–" if at is None else told.name_of(found.steps[side][at].node.event_id)[:-1]
            for side, at in enumerate((row.a, row.b))
        ]
        rows.append(
            " ".join([row.status, *names, *(["moved"] if row.moved else []), *(each.field for each in row.changes)])
        )
    return rows


def test_two_runs_that_did_the_same_are_the_same_whatever_their_ids_and_times() -> None:
    told = story(BEGIN + STEP + ACT.replace("{c}", "s{n}"), BEGIN + STEP + ACT.replace("{c}", "s{n}"))
    assert shown(told) == ["same p p", "same s s", "same a a"]
    assert difference(told).same


def test_another_outcome_is_told_with_both_values() -> None:
    run = BEGIN + STEP + ACT.replace("{c}", "s{n}")
    told = story(run, run.replace("outcome=success", "outcome=failure"))
    (change,) = difference(told).rows[2].changes
    assert (change.field, change.a, change.b) == ("outcome", "success", "failure")
    assert not difference(told).same


DECIDED = (
    "d{n}x pdp policy_decision decision=DECISION decision_id=d{n} policy_id=travel action=book reasons=WHY\n"
    "i{n} agent api_action action_id=x{n} operation=book phase=intended observer=agent run=r{n} <- d{n}x:authorized_by\n"
    "a{n} agent api_action action_id=x{n} operation=book phase=completed observer=agent run=r{n} <- i{n}:completes\n"
)


def test_the_policy_that_denied_is_told_with_the_step_and_with_the_attempt_that_it_completes() -> None:
    allowed = BEGIN + DECIDED.replace("DECISION", "allow").replace("WHY", "fine")
    told = story(allowed, allowed.replace("=allow", "=deny").replace("=fine", "=too_dear"))
    assert shown(told) == ["same p p", "changed i i decisions", "changed a a decisions"]
    (change,) = difference(told).rows[2].changes
    assert (change.a, change.b) == (["allow book by travel: fine"], ["deny book by travel: too_dear"])
    out = StringIO()
    print_difference(Console(file=out, width=1000), difference(told))
    assert "decisions: allow book by travel: fine → deny book by travel: too_dear\n" in out.getvalue()


def test_a_decision_of_another_digest_than_was_cited_is_not_the_steps() -> None:
    decided = BEGIN + DECIDED.replace("DECISION", "allow").replace("WHY", "fine")
    told = story(decided, decided.replace(":authorized_by", ":authorized_by~"))
    (change, *_) = difference(told).rows[1].changes
    assert (change.field, change.b) == ("decisions", [])


def test_causes_that_one_run_alone_has_are_told_in_words_and_pairing_by_order_is_explained() -> None:
    told = story(BEGIN + STEP + ACT.replace("{c}", "s{n}"), BEGIN + ACT.replace("{c}", "p{n}"))
    out = StringIO()
    print_difference(Console(file=out, width=1000), difference(told))
    assert "causes: informed_by step 1 of the first run alone → informed_by step 0\n" in out.getvalue()
    assert "paired by order" not in out.getvalue()
    again = STEP + STEP.replace("s{n}", "t{n}")
    out = StringIO()
    print_difference(Console(file=out, width=1000), difference(story(BEGIN + again, BEGIN + again)))
    assert "(paired by order, 2 are alike)" in out.getvalue()
    assert (
        "paired by order: of steps that are alike, the first of one run with the first of the other" in out.getvalue()
    )


def test_a_step_left_out_does_not_hide_that_the_next_is_the_same_with_other_causes() -> None:
    told = story(BEGIN + STEP + ACT.replace("{c}", "s{n}"), BEGIN + ACT.replace("{c}", "p{n}"))
    assert shown(told) == ["same p p", "only_a s –", "changed a a causes"]


def test_two_spans_of_one_name_are_not_one_step_where_something_else_led_to_them() -> None:
    """The agent booked because it was asked to; in the other run because of what a page said."""
    injected = BEGIN + "o{n} web observation source=web trust=untrusted run=r{n}\n" + ACT.replace("{c}", "o{n}")
    told = story(BEGIN + ACT.replace("{c}", "p{n}"), injected)
    assert shown(told) == ["same p p", "only_a a –", "only_b – o", "only_b – a"]


def test_of_two_calls_of_one_name_each_is_aligned_with_the_one_that_came_about_as_it_did() -> None:
    calls = ACT.replace("a{n}", "b{n}").replace("{c}", "s{n}") + ACT.replace("a{n}", "c{n}").replace("{c}", "p{n}")
    swapped = ACT.replace("a{n}", "c{n}").replace("{c}", "p{n}") + ACT.replace("a{n}", "b{n}").replace("{c}", "s{n}")
    rows = shown(story(BEGIN + STEP + calls, BEGIN + STEP + swapped))
    assert {"same b b", "same c c"} == {row.replace(" moved", "") for row in rows[2:]}
    assert sum("moved" in row for row in rows) == 1


def test_equal_steps_side_by_side_are_told_to_be_interchangeable() -> None:
    twice = (
        BEGIN + ACT.replace("a{n}", "b{n}").replace("{c}", "p{n}") + ACT.replace("a{n}", "c{n}").replace("{c}", "p{n}")
    )
    found = difference(story(twice, BEGIN + ACT.replace("a{n}", "b{n}").replace("{c}", "p{n}")))
    assert [row.candidates for row in found.rows if row.status == "same"] == [1, 2]


READ = (
    "NAME{n} agent api_action action_id=NAME{n} operation=read phase=completed observer=agent outcome=success resource=WHAT"
    " run=r{n} <- p{n}:started_by\n"
)
FOUND = "NAME{n} agent observation source=tool uri=WHAT trust=trusted run=r{n} <- CAUSE{n}:result_of\n"


def read(name: str, what: str) -> str:
    return READ.replace("NAME", name).replace("WHAT", what)


def found_by(cause: str, name: str, what: str) -> str:
    return FOUND.replace("NAME", name).replace("CAUSE", cause).replace("WHAT", what)


A, B, C = read("a", "X"), read("b", "Y"), read("c", "Z")
ALIKE = read("a", "X") + read("b", "X")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (A + B + C, B + C, ["only_a a –", "same b b", "same c c"]),
        (A + C, A + B + C, ["same a a", "only_b – b", "same c c"]),
        (A + B, B + A, ["same a a", "same b b moved"]),
        (A + B, A + B.replace("=Y", "=W"), ["same a a", "changed b b resource"]),
        (A.replace("success", "failure") + B.replace("=Y", "=X"), read("b", "X"), ["only_a a –", "same b b"]),
        (ALIKE + read("c", "X"), ALIKE, ["same a a", "same b b", "only_a c –"]),
        (
            A + found_by("a", "i", "U") + B + found_by("b", "j", "V") + C + found_by("c", "k", "W"),
            B + found_by("b", "j", "V") + C + found_by("c", "k", "W"),
            ["only_a a –", "only_a i –", "same b b", "same j j", "same c c", "same k k"],
        ),
        (
            ALIKE + found_by("a", "i", "U") + found_by("b", "j", "U"),
            ALIKE + found_by("b", "j", "U") + found_by("a", "i", "U"),
            ["same a a", "same b b", "same i i", "same j j moved"],
        ),
        (
            A + B + found_by("a", "i", "U") + found_by("b", "j", "V"),
            A + B + found_by("a", "i", "V") + found_by("b", "j", "U"),
            ["same a a", "same b b", "changed i i uri", "changed j j uri"],
        ),
    ],
    ids=[
        "first left out", "one between", "other order", "another thing", "tried once more", "one of three alike",
        "left out with its result", "results of alike in other order", "results exchanged",
    ],
)  # fmt: skip
def test_of_steps_that_came_about_alike_those_that_say_the_same_are_one_step(
    first: str, second: str, expected: list[str]
) -> None:
    """And what stays is one with the same causes, then one after the other. The same of steps whose causes changed."""
    assert shown(story(BEGIN + first, BEGIN + second))[1:] == expected
    after = first.replace("<- p{n}:started_by", "<- s{n}:started_by")
    changed = [
        row.replace("same", "changed") + " causes" if row[0] == "s" and row[5] in "abc" else row
        for row in (each.replace(" resource", " causes resource") for each in expected)
    ]
    if "moved" not in " ".join(expected):
        assert shown(story(BEGIN + STEP + after, BEGIN + second))[2:] == changed
    for each in (first, second):
        assert difference(story(BEGIN + each, BEGIN + each)).same


def test_whom_a_run_was_for_is_compared_by_person_and_not_by_pseudonym() -> None:
    told = story(BEGIN, "person bob Bob\n" + BEGIN.replace("by=alice", "by=bob"))
    (change,) = difference(told).rows[0].changes
    assert change.field == "principal"
    assert "alice" in change.a
    assert "bob" in change.b


def test_a_cycle_of_causes_ends_and_every_step_is_told_once() -> None:
    told = story(BEGIN, BEGIN)
    for n in "12":
        for name, cites in ((f"x{n}", f"y{n}"), (f"y{n}", f"x{n}")):
            fields = {"status": "completed", "visibility": "full", "run": f"r{n}", "id": name}
            told.event(name, "agent", "reasoning_step", fields, [f"{cites}:informed_by?"])
    rows = difference(told).rows
    assert sorted(row.a for row in rows if row.a is not None) == [0, 1, 2]
    assert sorted(row.b for row in rows if row.b is not None) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_every_step_of_both_runs_is_in_one_row_and_arrival_decides_nothing(seed: int) -> None:
    rng = random.Random(seed)
    told = story(random_run(rng), random_run(rng))
    found = difference(told)
    for side in (0, 1):
        numbers = [row[1 + side] for row in found.rows if row[1 + side] is not None]
        assert sorted(numbers) == list(range(len(found.steps[side])))
    nodes = [each.node for each in found.steps[0]]
    rng.shuffle(nodes)
    assert steps_of(nodes) == list(found.steps[0])
    says = [[""] * len(each) for each in found.steps]
    for pair in align(*found.steps, (says[0], says[1])):
        assert found.steps[0][pair.a].label == found.steps[1][pair.b].label


def random_run(rng: random.Random) -> str:
    lines, names = BEGIN, ["p{n}"]
    for i in range(rng.randrange(2, 12)):
        cause = rng.choice(names)
        lines += ACT.replace("a{n}", f"a{i}x{{n}}").replace("book", rng.choice("uvw")).replace("{c}", cause)
        names.append(f"a{i}x{{n}}")
    return lines


def test_a_long_run_is_compared_as_far_as_the_limit_and_says_so() -> None:
    told = story(BEGIN, BEGIN)
    node = told.node("p1")
    many = [node._replace(ref=node.ref._replace(digest=i.to_bytes(32, "big"))) for i in range(STEPS + 1)]
    found = compare((b"a" * 16, b"b" * 16), many, [told.node("p2")], {}, {})
    assert (found.truncated, found.same, len(found.steps[0])) == (("a",), False, STEPS)
    shown: dict[str, Any] = difference_json(found)
    assert list(itertools.islice(shown["counts"].values(), 4)) == [1, 0, STEPS - 1, 0]
