"""The first line of an answer: one sentence for a tired person. It claims nothing that the answer does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.attribution.answer import REASONS, Accountable, Class, Owner, Party, Trigger
from ledger.attribution.json_form import rfc3339
from ledger.attribution.subgraph import Node
from ledger.attribution.triggers import beginnings

NAMED: Final = 3
"""People or triggers that the sentence names at most."""


def first_line(
    class_: Class,
    reasons: Sequence[str],
    asked: Node,
    accountable: Accountable,
    people: Sequence[Party],
    owners: Sequence[Owner],
    triggers: Sequence[Trigger],
) -> str:
    """ "Agent travel-agent (owner Dana) for Alice under grant g-1, started by Alice (web) at 2026-01-01 09:30:00Z."."""
    doer = _doer(asked, accountable, owners) + _for(accountable, people)
    if class_ in ("unattributed", "archived"):
        return f"{doer}: {_unknown(reasons, triggers)}."
    ordered = beginnings(triggers)
    if ordered[0].role == "direct" and accountable.agent_id is None:
        return f"{_who(ordered[0])} called it, without an agent, at {moment(ordered[0].at)}{_imported(asked)}."
    others = [each for each in triggers if each is not ordered[0]]
    also = [each for each in dict.fromkeys(map(_started, others)) if each != _started(ordered[0])]
    told = [f"{_started(ordered[0])} at {moment(ordered[0].at)}", *also[: NAMED - 1]]
    more = len(also) - (NAMED - 1)
    return f"{doer}, {', '.join(told)}{f', and {more} more' if more > 0 else ''}."


def moment(time: int) -> str:
    """A time as the sentence writes it: to the second, UTC."""
    text = rfc3339(time)
    return f"{text[:10]} {text[11:19]}Z" if text.endswith("Z") else text


def _doer(asked: Node, accountable: Accountable, owners: Sequence[Owner]) -> str:
    agent = accountable.agent_id
    if agent is None:
        return f"An unnamed agent{_imported(asked)}" if asked.importer else f"Service {asked.service} (no agent named)"
    registered = [each for each in owners if each.agent_id == agent]
    known = next((each.name for each in reversed(registered) if each.name), agent)
    owner = " or ".join(each.owner.label for each in registered if each.owner is not None) or "not registered"
    state = f", {accountable.state}" if accountable.state not in (None, "active") else ""
    return f"Agent {known} (owner {owner}{state})"


def _imported(asked: Node) -> str:
    return f" (imported by {asked.service})" if asked.importer else ""


def _for(accountable: Accountable, people: Sequence[Party]) -> str:
    """For whom; where statements differ, for all whom they name."""
    if not people:
        return ""
    grant = f" under grant {accountable.grant_id}" if accountable.grant_id is not None else ""
    named = [f"{'workload ' if each.kind == 'workload' else ''}{each.label}" for each in people]
    more = f" or {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f" for {' or '.join(named[:NAMED])}{more}{grant}"


def _unknown(reasons: Sequence[str], triggers: Sequence[Trigger]) -> str:
    """Who may have been meant, or how it began, as far as that is known; and why no more."""
    why = "; ".join(REASONS[each] for each in reasons if each in REASONS) or REASONS["no_trigger"]
    people = list(dict.fromkeys(_who(each) for each in triggers))
    if "ambiguous_join" in reasons or len(people) > 1:
        more = f" or {len(people) - NAMED} more" if len(people) > NAMED else ""
        return f"who triggered it is not known, perhaps {' or '.join(people[:NAMED])}{more} ({why})"
    if triggers:
        first = triggers[0]
        return f"{_started(first)} at {moment(first.at)}; who triggered it is not known ({why})"
    return f"who triggered it is not known ({why})"


def _started(trigger: Trigger) -> str:
    who = _who(trigger)
    if trigger.role == "scheduled":
        set_up = f"set up by {who}" if trigger.who is not None else "which nobody known set up"
        return f"started by a {'timer' if trigger.trigger_kind == 'unknown' else trigger.trigger_kind} {set_up}"
    if trigger.role == "external":
        return f"handed over from ledger {trigger.peer_ledger or '(not named)'}"
    if trigger.role == "direct":
        return f"called by {who}"
    if trigger.earlier:
        return f"which goes back to {who}" + (f" ({trigger.channel})" if trigger.channel else "")
    verb = "steered" if trigger.role == "steered" else "started"
    return f"{verb} by {who}" + (f" ({trigger.channel})" if trigger.channel else "")


def _who(trigger: Trigger) -> str:
    return trigger.who.label if trigger.who is not None else "somebody not named"
