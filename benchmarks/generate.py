"""Signed batches as a service would write them: runs of an agent whose last action has twenty events above it in its path.

A run is a prompt by a person, a token, and five rounds of decision, action intended, action completed and reasoning, with
causes by digest, a trace, and tokens, decisions and actions joined by their names. The same seed makes the same ids.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ledger.format import ids
from ledger.format.batch import ChainHead
from ledger.format.event import Cause
from ledger.format.limits import EVENTS_PER_SEAL
from ledger.logs.topics import DEFAULT_PARTITIONS
from ledger.ports import EVENTS, Outgoing
from ledger.trust.bundle import TrustBundle
from tests.services.forge import Forge, Made, Trust, blank, signer

TENANT: Final = "acme"
ISSUER: Final = "https://as.example"
CHAINS: Final = 16
ROUNDS: Final = 4
"""Whole rounds of four events; prompt and first step before, the last decision and action after: 21 events on the path."""
BEHIND: Final = 1_000_000_000
"""µs that the publishers' clocks begin before now: each event moves its publisher's on by a millisecond."""


def bundle(chains: int = CHAINS) -> TrustBundle:
    """Lets the keys of the generated chains state anything."""
    trust = Trust()
    for number in range(chains):
        trust.key(signer(f"agent-{number}"))
    return trust.bundle


class Generator:
    """Makes batches, and remembers the ids of last actions in ``asked``."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self.asked: list[bytes] = []

    def batches(self, events: int, chains: int = CHAINS) -> Iterator[Outgoing]:
        """At least ``events`` events in records of 256, the chains in turn; each is closed at its end."""
        now = time.time_ns() // 1000 - BEHIND
        forges = [Forge(name=f"agent-{number}", service=f"agent-{number}", now=now) for number in range(chains)]
        waiting: list[list[Made]] = [[] for _ in forges]
        for number in range(-(-events // EVENTS_PER_SEAL)):
            which = number % chains
            forge, made = forges[which], waiting[which]
            if forge.head == ChainHead():
                made.append(forge.open())
            while len(made) < EVENTS_PER_SEAL:
                made += self._run(forge)
            yield _outgoing(forge, which, made[:EVENTS_PER_SEAL])
            waiting[which] = made[EVENTS_PER_SEAL:]
        for which, forge in enumerate(forges):
            if forge.head != ChainHead():
                yield _outgoing(forge, which, [*waiting[which][: EVENTS_PER_SEAL - 1], forge.close()])

    def _run(self, forge: Forge) -> list[Made]:
        rng = self._rng
        person = b"person-%026d" % rng.randrange(1000)
        person = person[:32].ljust(32, b"\0")
        about: dict[str, Any] = {
            "execution_id": ids.uuid7(forge.now, rng.randbytes(10)),
            "agent_id": f"spiffe://acme.example/agent/{rng.randrange(40)}",
            "principal": person,
        }
        trace, text, name = f"trace:{rng.randbytes(16).hex()}", rng.randbytes(32), rng.randbytes(8).hex()
        made: list[Made] = []

        def then(kind: str, payload: Mapping[str, Any], relation: str | None, *more: str, contents: Any = ()) -> Made:
            causes = [Cause(made[at].event_id, made[at].digest, relation)] if relation else []
            event = forge.make(
                kind,
                blank(kind) | dict(payload),
                causes=causes,
                correlation=[trace, *more],
                contents=[*contents, person],
                **about,
            )
            made.append(event)
            return event

        at = 0
        then(
            "prompt",
            {"trigger_kind": "human", "channel": "web", "trust": "trusted", "text": text},
            None,
            contents=[text],
        )
        token = {"issuer": ISSUER, "jti": rng.randbytes(9).hex(), "digest": None}
        then("token_issuance", _token(token, person), "authorized_by")
        then("reasoning_step", _step(0), "started_by")
        for turn in range(ROUNDS + 1):
            action = f"{name}-{turn}"
            call = f"tool_call:{action}"
            at = len(made) - 1
            then("policy_decision", _decision(action, person), "informed_by")
            at += 1
            then("api_action", _action(action, "intended", token), "authorized_by", call)
            at += 1
            then("api_action", _action(action, "completed", token) | {"outcome": "success"}, "completes", call)
            at += 1
            if turn < ROUNDS:
                then("reasoning_step", _step(turn + 1), "informed_by")
        self.asked.append(made[-1].event_id)
        return made


def _outgoing(forge: Forge, which: int, made: list[Made]) -> Outgoing:
    return Outgoing(EVENTS, which % DEFAULT_PARTITIONS, forge.chain_id, forge.seal(*made).value)


def _step(index: int) -> dict[str, Any]:
    return {"index": index, "requested_model": "large-1", "responding_model": "large-1-0930"}


def _token(token: Mapping[str, Any], person: bytes) -> dict[str, Any]:
    return {
        "status": "issued",
        "token": token,
        "subject": person,
        "client_id": "travel-agent",
        "audiences": ["https://flights.example"],
        "scopes": ["flight:search", "flight:reserve"],
    }


def _decision(name: str, person: bytes) -> dict[str, Any]:
    about = {"decision": "allow", "decision_id": name, "action_id": name, "engine": "cedar", "policy_version": "7"}
    return about | {"subject": person, "action": "book", "resource": "flights"}


def _action(name: str, phase: str, token: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action_id": name,
        "phase": phase,
        "operation": "POST /bookings",
        "resource": "https://flights.example/bookings/7",
        "target_system": "flights.example",
        "token": token,
        "decision_id": name,
        "observer": "agent",
    }
