"""Claims made to hurt: an answer stays typed and bounded in time, whatever a thousand events say of one another."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import pytest

from ledger.attribution.answer import REASONS, Answer
from ledger.attribution.explain import explain
from ledger.attribution.json_form import to_json
from tests.attribution.scenario import read_scenario

MANY = 400
"""Before names joined the nearest alone, this many took a minute."""
SECONDS = 10

PROMPT = """person alice Alice
p agent prompt trigger_kind=human trust=trusted principal=alice agent=t run=r
"""


def answered(story: str, asked: str = "last") -> Answer:
    graph = read_scenario(story).subgraph(asked)
    began = perf_counter()
    answer = explain(graph)
    assert perf_counter() - began < SECONDS
    assert set(answer.reasons) <= set(REASONS)
    to_json(answer)
    return answer


def many(line: str, last: str) -> str:
    """``line`` for each of many events, then the event asked about."""
    return "\n".join([*(line.format(i=i, service=f"s{i % 3}") for i in range(MANY)), f"last {last}"])


def test_accounts_of_one_action_by_the_hundred() -> None:
    account = (
        "api_action action_id=x phase=completed operation=b outcome=success observer=agent agent=t <- p:started_by"
    )
    answer = answered(PROMPT + many(f"a{{i}} {{service}} {account}", f"s1 {account}"))
    assert answer.class_ == "attributed"
    assert "candidates" in answer.coverage.truncated
    assert max(link.candidates for step in answer.path for link in step.links) <= 2 * 17


def test_requests_of_one_name_by_the_hundred() -> None:
    line = "a{i} {service} api_action action_id=x{i} phase=completed operation=b observer=agent corr=request:R <- p:started_by"
    last = "s1 api_action action_id=y phase=completed operation=b observer=resource corr=request:R"
    assert "candidates" in answered(PROMPT + many(line, last)).coverage.truncated


def test_prompts_of_one_run_by_the_hundred_are_no_choice() -> None:
    line = "q{i} agent prompt trigger_kind=human trust=trusted principal=alice agent=t run=r"
    answer = answered(
        "person alice Alice\n"
        + many(line, "agent api_action action_id=x phase=completed operation=b observer=agent run=r")
    )
    assert (answer.class_, answer.reasons) == ("unattributed", ("ambiguous_join",))


def test_prompts_that_the_agent_gave_itself_by_the_hundred() -> None:
    line = "q{i} agent prompt trigger_kind=self trust=trusted agent=t run=r"
    answer = answered(
        PROMPT + many(line, "agent api_action action_id=x phase=completed operation=b observer=agent run=r")
    )
    assert "candidates" in answer.coverage.truncated


def test_one_token_issued_by_the_hundred_and_exchanged_for_itself() -> None:
    issued = (
        "token_issuance status=issued token=j subject=alice act=a>b subject_token=j verification=none observer=client"
    )
    line = f"t{{i}} {{service}} {issued}"
    last = "agent api_action action_id=x phase=intended operation=b observer=agent token=j agent=t <- p:started_by"
    answer = answered(PROMPT + many(line, last))
    assert answer.class_ == "attributed"
    assert len([each for each in answer.authority if each.source == "token"]) == 1


def test_revocations_grants_and_decisions_by_the_hundred() -> None:
    story = (
        PROMPT
        + "t0 issuer token_issuance status=issued token=j subject=alice grant_id=g verification=issuer observer=issuer\n"
    )
    line = "\n".join(
        [
            "x{i} {service} token_revocation extent=token token=j issuer=as derived_tokens=revoked at=1",
            "g{i} {service} grant grant_id=g action=give issuer=as{i} grantor=alice method=explicit",
            "d{i} {service} policy_decision decision=deny decision_id=d action=b action_id=x",
            "o{i} {service} oversight oversight_id=o action=deny binding=reference reference=x",
        ]
    )
    last = (
        "agent api_action action_id=x phase=intended operation=b outcome=success observer=agent token=j decision_id=d"
        " oversight_ids=o agent=t at=9000 <- p:started_by"
    )
    rules = {each.rule for each in answered(story + many(line, last)).contradictions}
    assert {"revoked_token", "acted_after_deny"} <= rules


def test_an_imported_trace_of_prompts_within_prompts() -> None:
    said = "q{i} otel prompt trigger_kind=unknown trust=unknown text=w{i} corr=trace:T,span:S{i},parent_span:S{above}"
    spans = "\n".join(said.format(i=i, above=i - 1) for i in range(MANY))
    corr = f"trace:T,span:L,parent_span:S{MANY - 1}"
    last = f"otel api_action action_id=x phase=completed operation=b observer=importer corr={corr}"
    answer = answered(f"service otel importer\n{spans}\nlast {last}")
    assert (answer.class_, answer.reasons) == ("unattributed", ("no_subject",))
    assert "depth" in answer.coverage.truncated
    assert {each.role for each in answer.triggers} == {"steered"}


@pytest.mark.parametrize("length", [1, 2, 300])
def test_cycles_by_id_of_any_length_end(length: int) -> None:
    names = [f"c{i}" for i in range(length)]
    cited: Callable[[int], str] = lambda i: names[(i + 1) % length]  # noqa: E731
    lines = [
        f"e{i} agent reasoning_step status=success visibility=full agent=t id={names[i]} <- {cited(i)}:started_by?"
        for i in range(length)
    ]
    last = f"last agent api_action action_id=x phase=completed operation=b observer=agent <- {names[0]}:started_by?"
    answer = answered("\n".join([*lines, last]))
    assert answer.class_ == "unattributed"
    assert "cycle" in answer.reasons
    assert len([each for each in answer.findings if each.name == "cause_cycle"]) == 1
