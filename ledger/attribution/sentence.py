"""The first line of an answer: one sentence for a tired person. It claims nothing that the answer does not."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.attribution.answer import REASONS, Authority, Class, Owner, Trigger, rfc3339
from ledger.attribution.subgraph import Node


def first_line(
    class_: Class,
    reasons: Sequence[str],
    agent: str | None,
    asked: Node,
    triggers: Sequence[Trigger],
    authority: Sequence[Authority],
    owners: Sequence[Owner],
) -> str:
    """For example: "Agent travel-agent (owner Dana) for Alice under grant g-1, started by Alice (web) at 2026-…"."""
    doer = (
        f"{_agent(agent, owners)}{_for(authority)}"
        if agent is not None
        else f"Service {asked.service}{_for(authority)}"
    )
    if class_ in ("unattributed", "archived"):
        why = "; ".join(REASONS.get(reason, reason) for reason in reasons) or REASONS["no_trigger"]
        return f"{doer}: who triggered it is not known ({why})."
    began = [each for each in triggers if each.role != "steered"] or list(triggers)
    first = began[0]
    more = f", and {len(triggers) - 1} more" if len(triggers) > 1 else ""
    return f"{doer}, {_started(first)} at {rfc3339(first.at)}{more}."


def _agent(agent: str, owners: Sequence[Owner]) -> str:
    known = next((each for each in owners if each.agent_id == agent), None)
    name = known.name if known is not None and known.name else agent
    owner = known.owner.label if known is not None and known.owner is not None else "not registered"
    return f"Agent {name} (owner {owner})"


def _for(authority: Sequence[Authority]) -> str:
    """Whose rights: by a token, else by a grant, else as the service says."""
    of = next((each for each in authority if each.subject is not None), None)
    if of is None or of.subject is None:
        return ""
    grant = next((each.grant_id for each in authority if each.grant_id is not None), None)
    return f" for {of.subject.label}" + (f" under grant {grant}" if grant else "")


def _started(trigger: Trigger) -> str:
    who = trigger.who.label if trigger.who is not None else "nobody named"
    if trigger.role == "scheduled":
        set_up = f", set up by {who}" if trigger.who is not None else ", nobody known set it up"
        return f"started by a {trigger.trigger_kind}{set_up},"
    if trigger.role == "external":
        return f"handed over from ledger {trigger.peer_ledger or '(not named)'}"
    if trigger.role == "direct":
        return f"called by {who}"
    verb = "steered" if trigger.role == "steered" else "started"
    return f"{verb} by {who}" + (f" ({trigger.channel})" if trigger.channel else "")
