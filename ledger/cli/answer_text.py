"""An ``Answer`` for a person on a terminal: first the sentence, then what it rests on, in the order in which one asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from ledger.attribution.accountable import people_of
from ledger.attribution.answer import (
    COMPARED,
    CONCERNS,
    GRADES,
    MISSING,
    REASONS,
    SEEN,
    Account,
    Actor,
    Answer,
    Approval,
    Authority,
    Decision,
    Influence,
    Link,
    Owner,
    Party,
    PathStep,
    Seen,
    Trigger,
)
from ledger.attribution.explain import class_of
from ledger.attribution.grades import weakest
from ledger.attribution.sentence import moment
from ledger.attribution.triggers import beginnings
from ledger.cli.link_text import grade_text, link_line, without_echoes
from ledger.cli.next_text import Question
from ledger.cli.output import clean, show_time
from ledger.format.ids import text as id_text
from ledger.wording import counted


class _Line(NamedTuple):
    """A line under a heading; ``grade`` stands in its colour at the end."""

    text: str
    grade: str | None = None
    candidates: int = 1


def print_answer(
    console: Console, answer: Answer, *, utc: bool, brief: bool = False, asking: Sequence[Question] = ()
) -> None:
    """Prints the whole answer; what is empty is left out, except triggers, authority and who is accountable: there absence is
    an answer. ``brief``: without the path and what the answer covers. ``asking`` is what to ask next."""
    console.print(Text(clean(_sentence(answer, utc=utc)), style="bold"))
    class_ = answer.class_ + (f" ({', '.join(answer.reasons)})" if answer.reasons else "")
    console.print(Text(clean(class_ + _what(answer)), style="dim" if answer.class_ == "attributed" else "bold yellow"))
    for reason in answer.reasons if answer.class_ != "unattributed" or len(answer.reasons) > 1 else ():
        console.print(Text(f"  {reason}: {REASONS.get(reason, '')}", style="dim"))
    for line in _how_sure(answer):
        console.print(Text(line, style="dim"))
    if rules := list(dict.fromkeys(each.rule for each in answer.contradictions)):
        console.print(Text(f"CONTRADICTED: {', '.join(rules)} (see below)", style="bold red"))
    _section(console, "seen by", (_account(each, utc=utc) for each in answer.accounts))
    _section(console, "triggered by", [_trigger(each, utc=utc) for each in answer.triggers] or [_Line("nobody known")])
    _section(console, "authority", [_authority(each, utc=utc) for each in answer.authority] or [_Line("none recorded")])
    _section(console, "actors", map(_actor, answer.actors))
    _section(console, "accountable", _accountable(answer))
    _section(console, "policy", (_decision(each, utc=utc) for each in answer.decisions))
    _section(console, "what people said", (_approval(each, utc=utc) for each in answer.approvals))
    _section(console, "influenced by", (_influence(each, utc=utc) for each in answer.influences))
    if answer.path and not brief:
        _heading(console, "path, from the trigger on" if answer.triggers else "path, as far as it is known")
        for step, links in zip(answer.path, without_echoes([each.links for each in answer.path]), strict=True):
            _print_step(console, step, links, utc=utc)
    _section(console, "CONTRADICTIONS", _contradictions(answer))
    _section(
        console,
        "findings",
        (_Line(f"{f.name}: {f.detail}" + (f" [{_ids([f.event_id])}]" if f.event_id else "")) for f in answer.findings),
    )
    if not brief or answer.coverage.truncated:
        _section(console, "what this covers", _coverage(answer, utc=utc))
    if asking:
        widest = max(len(command) for command, _ in asking)
        _section(console, "ask next", (_Line(f"{command:{widest}}  # {why}") for command, why in asking))


def _how_sure(answer: Answer) -> Iterator[str]:
    """By the weakest of what gives it its class: how it is known how it began, and how it ended."""
    began = [each.grade for each in beginnings(answer.triggers) if class_of(each) == answer.class_]
    parts = []
    if began and answer.class_ != "unattributed":
        parts.append(f"how it began is {(grade := weakest(began))}: {GRADES[grade]}")
    if (ended := answer.outcome_grade) is not None:
        parts.append(f"how it ended is {ended}: {'stated by one service' if ended == 'sealed' else GRADES[ended]}")
    if parts:
        yield "; ".join(parts)


def _sentence(answer: Answer, *, utc: bool) -> str:
    """The first line, with its times as all others here are shown."""
    sentence = answer.sentence
    for trigger in answer.triggers:
        sentence = sentence.replace(moment(trigger.at), show_time(trigger.at, utc=utc))
    return sentence


def _what(answer: Answer) -> str:
    """What was asked about: for an action what was called, and how it ended."""
    if answer.operation is None:
        return ""
    ended = answer.outcome or "its outcome is not known"
    return f" · {answer.operation}: {ended}" + (f", {_seen(answer, answer.seen)}" if answer.seen else "")


def _seen(answer: Answer, seen: Seen) -> str:
    """By whom it was seen. Of a call that was denied before it was made nobody else could record anything."""
    denied = any(each.decision == "deny" and each.candidates == 1 for each in answer.decisions)
    if seen == "caller_alone" and answer.outcome == "denied" and denied:
        return "seen by the caller alone: the policy denied it, so nobody need have been called"
    return SEEN[seen]


def _accountable(answer: Answer) -> Iterator[_Line]:
    """Both sides, always: the agent and its owner, the person and their grant; then other agents on the way."""
    of = answer.accountable
    if of.agent_id is not None:
        own = [_owner(of.agent_id, each) for each in answer.owners if each.agent_id == of.agent_id]
        yield from own or [_owner(of.agent_id, None)]
    else:
        yield _Line("agent: not known")
    grant = f"grant {of.grant_id}" if of.grant_id is not None else "no grant tied to it"
    people = people_of(answer.authority)
    named = " or ".join(map(_party, people)) or "not known"
    none = "none named, " if people and all(each.kind == "workload" for each in people) else ""
    yield _Line(f"person: {none}{named}, {grant}")
    for other in answer.owners:
        if other.agent_id != of.agent_id:
            yield _owner(other.agent_id, other)
    for each in of.missing:
        yield _Line(f"missing: {MISSING.get(each, each)}")


def _owner(agent_id: str, known: Owner | None) -> _Line:
    if known is None or known.owner is None:
        return _Line(f"agent: {agent_id}, no owner registered")
    name = f"{known.name} ({agent_id})" if known.name else agent_id
    state = f", {known.state}" if known.state else ""
    return _Line(f"agent: {name}{state}, owner {_party(known.owner)}", known.grade)


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold red" if title.isupper() else "bold"))


def _section(console: Console, title: str, lines: Iterable[_Line]) -> None:
    held = list(lines)
    if not held:
        return
    _heading(console, title)
    for line in held:
        console.print(Text.assemble("  ", clean(line.text), *grade_text(line.grade, line.candidates)))


def _print_step(console: Console, step: PathStep, links: Iterable[Link], *, utc: bool) -> None:
    imported = ", imported" if step.importer else ""
    console.print(
        Text.assemble(
            "  ",
            (show_time(step.occurred_at, utc=utc), "dim"),
            "  ",
            (step.kind, "bold"),
            f"  {clean(step.summary)}  ",
            (clean(f"{step.service}{imported}"), "cyan"),
        )
    )
    console.print(Text(f"    {id_text(step.event_id)}", style="dim"))
    for link in links:
        console.print(link_line(link))
    for finding in step.findings:
        console.print(Text(f"    ! {clean(finding)}", style="bold red"))


def _trigger(trigger: Trigger, *, utc: bool) -> _Line:
    who = _party(trigger.who)
    if trigger.role == "external":
        who = f"the ledger {trigger.peer_ledger or '(not named)'}"
    elif trigger.role == "scheduled":
        who = f"set up by {who}" if trigger.who is not None else "nobody known set it up"
    kind = "" if trigger.trigger_kind == "unknown" else f", {trigger.trigger_kind}"
    parts = [f"{trigger.role}: {who}{kind}"]
    if trigger.owner is not None:
        parts.append(f"owner {_party(trigger.owner)}")
    if trigger.channel:
        parts.append(f"over {trigger.channel}")
    if trigger.authenticated:
        parts.append(f"authenticated by {', '.join(trigger.authenticated)}")
    if trigger.trust:
        parts.append("trust unknown" if trigger.trust == "unknown" else trigger.trust)
    if trigger.earlier:
        parts.append("before a timer that fired since")
    parts += [show_time(trigger.at, utc=utc), f"says {trigger.service}"]
    return _Line("; ".join(parts), trigger.grade, trigger.candidates)


_CHECKED: Final = {
    "issuer": "stated by its issuer",
    "signature": "signature checked",
    "introspection": "its issuer was asked",
    "none": "NOT checked",
    "unknown": "not known whether it was checked",
}
_SOURCES: Final = {"token": "token of", "grant": "grant by", "principal": "said to be for"}


def _authority(authority: Authority, *, utc: bool) -> _Line:
    parts = [f"{_SOURCES.get(authority.source, authority.source)} {_party(authority.subject)}"]
    if authority.grant_id:
        parts.append(authority.grant_id if authority.source == "grant" else f"under grant {authority.grant_id}")
    if authority.scopes:
        parts.append(f"scope {' '.join(authority.scopes)}")
    if authority.audiences:
        parts.append(f"for {' '.join(authority.audiences)}")
    if authority.expires_at is not None:
        parts.append(f"until {show_time(authority.expires_at, utc=utc)}")
    if authority.revoked_at is not None:
        word = "WITHDRAWN" if authority.source == "grant" else "REVOKED"
        parts.append(f"{word} at {show_time(authority.revoked_at, utc=utc)}")
    if authority.verification:
        consent = f"consent {authority.verification}"
        parts.append(consent if authority.source == "grant" else _CHECKED.get(authority.verification, consent))
    return _Line("; ".join(parts), authority.grade, authority.candidates)


def _influence(influence: Influence, *, utc: bool) -> _Line:
    trust = "trust unknown" if influence.trust == "unknown" else influence.trust
    what = " from ".join(filter(None, (influence.uri or influence.source or "", influence.origin)))
    return _Line(f"{influence.kind} {what}; {trust}; {show_time(influence.at, utc=utc)}", influence.grade)


def _decision(decision: Decision, *, utc: bool) -> _Line:
    version = decision.policy_version or (decision.policy_digest.hex()[:12] if decision.policy_digest else "")
    policy = " ".join(each for each in (decision.engine, decision.policy_id, version) if each)
    why = f": {'; '.join(decision.reasons)}" if decision.reasons else ""
    must = f"; only with {', '.join(decision.obligations)}" if decision.obligations else ""
    return _Line(
        f"{decision.decision} by {policy or 'a policy not named'}{why}{must}; {COMPARED[decision.parameters]};"
        f" {_asked_for(decision)}; {CONCERNS[decision.concerns]}; {show_time(decision.at, utc=utc)}",
        decision.grade,
        decision.candidates,
    )


def _asked_for(decision: Decision) -> str:
    """What a decision was about, as far as it says: `for Alice by agent travel: book flight LH-441, action a-1`."""
    who = f"for {_party(decision.subject)}" if decision.subject is not None else ""
    agent = f"by agent {decision.subject_agent}" if decision.subject_agent is not None else ""
    asked = " ".join(each for each in (who, agent) if each)
    thing = " ".join(each for each in (decision.resource_type, decision.resource) if each)
    what = f"asked {asked}: " if asked else "asked for "
    action = f", action {decision.action_id}" if decision.action_id is not None else ""
    return what + " ".join(each for each in (decision.action, thing) if each) + action


def _approval(approval: Approval, *, utc: bool) -> _Line:
    parts = [f"{approval.action}: {_party(approval.by)}"]
    if approval.authenticated:
        parts.append(f"authenticated by {', '.join(approval.authenticated)}")
    parts += [_given_for(approval), CONCERNS[approval.concerns]]
    parts += _uses(approval)
    if approval.external_system or approval.external_id:
        parts.append(f"in {approval.external_system or 'another system'} as {approval.external_id or '(no id)'}")
    if approval.expires_at is not None:
        parts.append(f"until {show_time(approval.expires_at, utc=utc)}")
    parts.append(show_time(approval.at, utc=utc))
    return _Line("; ".join(parts), approval.grade, approval.candidates)


def _account(account: Account, *, utc: bool) -> _Line:
    attempt = "" if account.attempt is None else f", try {account.attempt}"
    parts = [
        f"{account.observer} {account.service}{', imported' if account.importer else ''}: {account.phase}{attempt}"
    ]
    parts += [each for each in (account.outcome, account.effect and f"effect {account.effect}", account.status) if each]
    if account.person is not None:
        parts.append(f"for {_party(account.person)}")
    if account.parameter_digest is not None:
        parts.append(f"parameters {account.parameter_digest.hex()[:12]}")
    return _Line("; ".join([*parts, show_time(account.at, utc=utc)]))


def _given_for(approval: Approval) -> str:
    """What an approval was given for, and what it says of the parameters: nothing, where no digest binds it."""
    operation = f"for {approval.operation}" if approval.operation else ""
    reference = f"for {approval.reference}" if approval.binding == "reference" else ""
    standing = approval.binding if approval.binding == "standing" else ""
    what = " ".join(each for each in (standing, reference, operation) if each)
    if approval.binding == "digest":
        return COMPARED[approval.parameters] + (f", {what}" if what else "")
    return f"{what}, {COMPARED['not_bound']}"


def _uses(approval: Approval) -> Iterator[str]:
    """Which use this is, and how many there are in all: later ones are no fault of an earlier one."""
    allowed = "" if approval.uses_allowed is None else f", {approval.uses_allowed} allowed"
    least = "at least " if approval.more_uses else ""
    others = f", {least}{approval.uses} in all" if approval.uses > 1 else ""
    if approval.use is not None:
        later = " or a later one" if approval.more_uses in ("earlier", "both") else ""
        nothing = " and came to nothing" if approval.used_up is False else ""
        yield f"this is use {approval.use}{later}{nothing}{allowed}{others}"
    elif approval.uses or allowed:
        others = f", used {least}{approval.uses} times" if approval.uses > 1 else ""
        yield f"not named by this action{allowed}{others}"


def _contradictions(answer: Answer) -> Iterator[_Line]:
    for each in answer.contradictions:
        yield _Line(f"{each.severity} · {each.rule}: {each.detail}")
        yield _Line(f"  shown by {_ids(each.evidence)}")
        yield _Line(f"  closes by {each.closes}")


def _coverage(answer: Answer, *, utc: bool) -> Iterator[_Line]:
    coverage = answer.coverage
    for chain in coverage.chains:
        upto = (
            "nothing verified from its beginning"
            if chain.verified_up_to is None
            else f"verified up to sequence {chain.verified_up_to}"
        )
        parts = [f"{chain.service} {chain.chain_id.hex()[:12]}", upto]
        if chain.last_append is not None:
            parts.append(f"last seen {show_time(chain.last_append, utc=utc)}")
        if chain.silent_since is not None:
            parts.append(f"SILENT since {show_time(chain.silent_since, utc=utc)}")
        if chain.closed:
            parts.append("closed")
        yield _Line("; ".join([*parts, *chain.findings]))
    if coverage.truncated:
        yield _Line(f"CUT SHORT by its limits: {', '.join(coverage.truncated)}")
    limits = coverage.limits
    as_of = (
        "everything in the store"
        if coverage.as_of is None
        else f"as of {show_time(coverage.as_of, utc=utc)} by append time"
    )
    bounds = f"{limits.nodes} events, depth {limits.depth}, {limits.candidates} candidates"
    yield _Line(f"{counted(coverage.events, 'event')} looked at (limits: {bounds}); {as_of}")


def _party(party: Party | None) -> str:
    if party is None:
        return "somebody not named"
    return party.label if party.state != "named" or party.kind != "workload" else f"{party.label} (workload)"


def _actor(actor: Actor) -> _Line:
    when = "current" if actor.position == 0 else f"{actor.position} before"
    by = f" ({actor.iss})" if actor.iss else ""
    return _Line(f"{when}: {actor.sub or 'not named'}{by}", actor.grade)


def _ids(events: Sequence[bytes]) -> str:
    return ", ".join(id_text(each) for each in events)
