"""A load in which everything is in order: people ask agents for flights, by delegation, exchanged tokens, decisions, approvals,
with a first attempt that fails and is tried again, and each booking seen by both sides. Nobody may be accused of anything.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Iterator
from typing import Final

from ledger.ports import Record
from tests.attribution.scenario import Story, read_line
from tests.services.forge import Made

EXECUTIONS: Final = int(os.environ.get("HONEST_EXECUTIONS", "100000"))
"""How many `make prove` plays, in pieces with a store each, which run beside one another."""
FIRST: Final = int(os.environ.get("HONEST_FIRST", "0"))
"""The number of the first: ranges of numbers that are played apart add up."""
PIECE: Final = 25_000
TOGETHER: Final = 10
"""Executions that are under way at once: their events share seals."""
PEOPLE: Final = 50

_FIRST: Final = """
r1 platform agent_registration agent_id=travel state=active name=travel owner=dana client_ids=as#travel-client
r2 platform agent_registration agent_id=payer state=active name=payer owner=dana client_ids=as#payer-client
"""
_RUN: Final = """
p{n} portal prompt trigger_kind=human trust=trusted channel=web principal={who} agent=travel run=r{n} authentication=pwd
g{n} issuer grant grant_id=g-{n} action=give grantor={who} delegate=as#travel-client scopes=book,pay method=explicit expires_at={end}
t{n} issuer token_issuance status=issued token=j{n} subject={who} act=travel-client client_id=travel-client grant_id=g-{n} scopes=book,pay audiences=flights,bank expires_at={end} verification=issuer observer=issuer <- p{n}:started_by
s{n} travel reasoning_step status=success visibility=full principal={who} agent=travel run=r{n} <- p{n}:started_by
d{n} policy policy_decision decision=allow decision_id=d-{n} policy_id=booking policy_version=v7 action=book action_id=b-{n} parameter_digest=P{n} subject={who} <- s{n}:started_by
o{n} desk oversight oversight_id=o-{n} action=approve by=dana binding=digest bound_digest=P{n} uses_allowed=1 authentication=pwd,otp expires_at={end} <- s{n}:started_by
a{n} travel api_action action_id=b-{n} phase=intended attempt=1 idempotency_key=k-{n} operation=book target_system=flights token=j{n} decision_id=d-{n} oversight_ids=o-{n} parameter_digest=P{n} observer=agent principal={who} agent=travel run=r{n} <- s{n}:started_by d{n}:authorized_by o{n}:authorized_by t{n}:authorized_by
f{n} travel api_action action_id=b-{n} phase=completed attempt=1 idempotency_key=k-{n} operation=book target_system=flights token=j{n} decision_id=d-{n} oversight_ids=o-{n} parameter_digest=P{n} outcome=failure effect=none observer=agent principal={who} agent=travel run=r{n} <- a{n}:completes
d{n}r policy policy_decision decision=allow decision_id=d-{n}r policy_id=booking policy_version=v7 action=book action_id=b-{n}r parameter_digest=P{n} subject={who} <- s{n}:started_by
o{n}r desk oversight oversight_id=o-{n}r action=approve by=dana binding=digest bound_digest=P{n} uses_allowed=1 authentication=pwd,otp expires_at={end} <- s{n}:started_by
b{n} travel api_action action_id=b-{n}r phase=intended attempt=2 idempotency_key=k-{n} operation=book target_system=flights token=j{n} decision_id=d-{n}r oversight_ids=o-{n}r parameter_digest=P{n} observer=agent principal={who} agent=travel run=r{n} <- s{n}:started_by a{n}:retries d{n}r:authorized_by o{n}r:authorized_by t{n}:authorized_by
q{n} flights api_action action_id=b-{n}r phase=completed attempt=2 idempotency_key=k-{n} operation=book target_system=flights token=j{n} parameter_digest=P{n} outcome=success effect=full observer=resource principal={who} <- b{n}:same_action
c{n} travel api_action action_id=b-{n}r phase=completed attempt=2 idempotency_key=k-{n} operation=book target_system=flights token=j{n} decision_id=d-{n}r oversight_ids=o-{n}r parameter_digest=P{n} outcome=success effect=full observer=agent principal={who} agent=travel run=r{n} <- b{n}:completes
x{n} issuer token_issuance status=issued token=x{n} subject={who} act=payer-client>travel-client client_id=payer-client grant_id=g-{n} scopes=pay audiences=bank expires_at={end} subject_token=j{n} grant_type=token-exchange verification=issuer observer=issuer <- s{n}:started_by t{n}:authorized_by
y{n} payer reasoning_step status=success visibility=full principal={who} agent=payer run=r{n}p <- s{n}:started_by
e{n} policy policy_decision decision=allow decision_id=e-{n} policy_id=paying policy_version=v2 action=pay action_id=m-{n} parameter_digest=Q{n} subject={who} <- y{n}:started_by
m{n} payer api_action action_id=m-{n} phase=intended operation=pay target_system=bank token=x{n} decision_id=e-{n} parameter_digest=Q{n} observer=agent principal={who} agent=payer run=r{n}p <- y{n}:started_by e{n}:authorized_by x{n}:authorized_by
n{n} bank api_action action_id=m-{n} phase=completed operation=pay target_system=bank token=x{n} parameter_digest=Q{n} outcome=success effect=full observer=resource principal={who} <- m{n}:same_action
z{n} travel execution_control action=end outcome=success agent=travel run=r{n} principal={who} <- p{n}:started_by
"""  # noqa: E501 - a line an event


def honest(story: Story, executions: range) -> Iterator[list[Record]]:
    """Records of the executions of these numbers, some at a time. Those that are under way together go on in turns, as it
    happens, and their events share seals."""
    story.drawn_at = True
    story.person("dana", "Dana Owner")
    for number in range(PEOPLE):
        story.person(f"person{number}", f"Person {number}")
    turns = random.Random(executions.start)
    count = 0
    for start in range(0, len(executions), TOGETHER):
        runs = [_run(number, count) for number in executions[start : start + TOGETHER]]
        for line in [*(_FIRST.strip().split("\n") if start == 0 else []), *_in_turns(runs, turns)]:
            count += 1
            name, service, kind, rest = line.split(" ", 3)
            read_line(story, f"{name} {service} {kind} at={count} {rest}")
        yield list(_sealed(story))
        story.events.clear()


def _run(number: int, now: int) -> deque[str]:
    return deque(_RUN.format(n=number, who=f"person{number % PEOPLE}", end=now + 3600).strip().split("\n"))


def _in_turns(runs: list[deque[str]], turns: random.Random) -> Iterator[str]:
    while runs := [run for run in runs if run]:
        yield turns.choice(runs).popleft()


def _sealed(story: Story) -> Iterator[Record]:
    waiting: dict[str, list[Made]] = {}
    for told in story.events.values():
        waiting.setdefault(told.service, []).append(told.made)
    for service, made in waiting.items():
        forge = story.forges[service]
        yield forge.record(forge.seal(*made), append_time=forge.now + 1000)
