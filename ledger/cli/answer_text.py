"""An ``Answer`` for a person on a terminal: first the sentence, then what it rests on, in the order in which one asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from ledger.attribution.answer import REASONS, Answer, Approval, Authority, Decision, Link, Party, PathStep, Trigger
from ledger.cli.output import clean, show_time
from ledger.format.ids import text as id_text

_STYLES: Final = {"corroborated": "bold green", "sealed": "green", "asserted": "yellow", "inferred": "magenta"}
_NOBODY: Final = "nobody"


class _Line(NamedTuple):
    """A line under a heading; ``grade`` stands in its colour at the end."""

    text: str
    grade: str | None = None
    candidates: int = 1


def print_answer(console: Console, answer: Answer, *, utc: bool) -> None:
    """Prints the whole answer; what is empty is left out, except the triggers and the authority: their absence is an answer."""
    console.print(Text(clean(answer.sentence), style="bold"))
    class_ = answer.class_ + (f" ({', '.join(answer.reasons)})" if answer.reasons else "")
    console.print(Text(clean(class_), style="dim" if answer.class_ == "attributed" else "bold yellow"))
    for reason in answer.reasons if answer.class_ != "unattributed" or len(answer.reasons) > 1 else ():
        console.print(Text(f"  {reason}: {REASONS.get(reason, '')}", style="dim"))
    _section(console, "triggered by", [_trigger(each, utc=utc) for each in answer.triggers] or [_Line(_NOBODY)])
    _section(console, "authority", [_authority(each, utc=utc) for each in answer.authority] or [_Line("none recorded")])
    _section(
        console,
        "actors",
        (
            _Line(f"{'now' if a.position == 0 else f'{a.position} before'}  {_actor(a.iss, a.sub)}", a.grade)
            for a in answer.actors
        ),
    )
    _section(
        console,
        "accountable",
        (_Line(f"{_party(o.owner)} for {o.name or o.agent_id}" + _state(o.state), o.grade) for o in answer.owners),
    )
    _section(console, "policy", (_decision(each, utc=utc) for each in answer.decisions))
    _section(console, "approved by", (_approval(each, utc=utc) for each in answer.approvals))
    _section(
        console,
        "influenced by",
        (
            _Line(f"{i.kind} {i.uri or i.source or ''} ({i.trust}) {show_time(i.at, utc=utc)}", i.grade)
            for i in answer.influences
        ),
    )
    if answer.path:
        _heading(console, "path, from the trigger on")
        for step in answer.path:
            _print_step(console, step, utc=utc)
    _section(
        console, "CONTRADICTIONS", (_Line(f"{c.rule}: {c.detail} [{_ids(c.evidence)}]") for c in answer.contradictions)
    )
    _section(
        console,
        "findings",
        (_Line(f"{f.name}: {f.detail}" + (f" [{_ids([f.event_id])}]" if f.event_id else "")) for f in answer.findings),
    )
    _section(console, "what this covers", _coverage(answer, utc=utc))


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold red" if title.isupper() else "bold"))


def _section(console: Console, title: str, lines: Iterable[_Line]) -> None:
    held = list(lines)
    if not held:
        return
    _heading(console, title)
    for line in held:
        console.print(Text.assemble("  ", clean(line.text), *_grade(line.grade, line.candidates)))


def _grade(grade: str | None, candidates: int) -> Iterator[str | tuple[str, str]]:
    if grade is not None:
        yield "  "
        yield (grade, _STYLES.get(grade, ""))
    if candidates > 1:
        yield (f" (one of {candidates} that fit)", "magenta")


def _print_step(console: Console, step: PathStep, *, utc: bool) -> None:
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
    for link in step.links:
        console.print(Text.assemble("    ← ", *_link(link)))
    for finding in step.findings:
        console.print(Text(f"    ! {clean(finding)}", style="bold red"))


def _link(link: Link) -> Iterator[str | tuple[str, str]]:
    yield clean(f"{link.relation} {id_text(link.cause)}")
    if link.join is not None:
        yield clean(f" by {link.join}")
    yield from _grade(link.grade, link.candidates)


def _trigger(trigger: Trigger, *, utc: bool) -> _Line:
    who = _party(trigger.who)
    if trigger.peer_ledger is not None:
        who = f"the ledger {trigger.peer_ledger}"
    parts = [f"{trigger.role}: {who}, {trigger.trigger_kind}"]
    if trigger.channel:
        parts.append(f"by {trigger.channel}")
    if trigger.authenticated:
        parts.append(f"authenticated by {', '.join(trigger.authenticated)}")
    if trigger.trust:
        parts.append(trigger.trust)
    return _Line(
        "; ".join([*parts, show_time(trigger.at, utc=utc), trigger.service]), trigger.grade, trigger.candidates
    )


def _authority(authority: Authority, *, utc: bool) -> _Line:
    parts = [f"{authority.source} of {_party(authority.subject)}"]
    if authority.grant_id:
        parts.append(f"grant {authority.grant_id}")
    if authority.scopes:
        parts.append(f"scope {' '.join(authority.scopes)}")
    if authority.audiences:
        parts.append(f"for {' '.join(authority.audiences)}")
    if authority.expires_at is not None:
        parts.append(f"until {show_time(authority.expires_at, utc=utc)}")
    if authority.verification:
        parts.append(f"checked: {authority.verification}")
    return _Line("; ".join(parts), authority.grade, authority.candidates)


def _decision(decision: Decision, *, utc: bool) -> _Line:
    version = decision.policy_version or (decision.policy_digest.hex()[:12] if decision.policy_digest else "")
    policy = " ".join(each for each in (decision.engine, decision.policy_id, version) if each)
    why = f": {'; '.join(decision.reasons)}" if decision.reasons else ""
    return _Line(
        f"{decision.decision} by {policy or '?'}{why} {show_time(decision.at, utc=utc)}",
        decision.grade,
        decision.candidates,
    )


def _approval(approval: Approval, *, utc: bool) -> _Line:
    parts = [f"{approval.action}: {_party(approval.by)}"]
    if approval.authenticated:
        parts.append(f"authenticated by {', '.join(approval.authenticated)}")
    bound = {None: "", True: " to exactly these parameters", False: " to OTHER parameters"}[approval.bound]
    allowed = "" if approval.uses_allowed is None else f" of {approval.uses_allowed}"
    parts += [f"bound by {approval.binding}{bound}", f"used {approval.uses}{allowed}", show_time(approval.at, utc=utc)]
    return _Line("; ".join(parts), approval.grade, approval.candidates)


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
    yield _Line(f"{coverage.events} events looked at (limits: {bounds}); {as_of}")


def _party(party: Party | None) -> str:
    if party is None:
        return "somebody unnamed"
    return party.label if party.state != "named" or party.kind != "workload" else f"{party.label} (workload)"


def _actor(issuer: str | None, subject: str | None) -> str:
    return f"{subject or '?'} ({issuer})" if issuer else subject or "?"


def _state(state: str | None) -> str:
    return f" ({state})" if state else ""


def _ids(events: Sequence[bytes]) -> str:
    return ", ".join(id_text(each) for each in events)
