"""An answer in the words of a scenario: lines of `what: words`, by what they are about.

People, events and times are shown as the story names them: persons by key, events by name, times in seconds from its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.attribution.answer import Answer, Approval, Authority, Decision, Influence, Party, Trigger
from tests.attribution.scenario import SECOND, Expected, Story
from tests.services.forge import START

JOINED: Final = frozenset({"class", "reasons", "contradictions", "triggers", "links_by", "missing"})
"""What is stated in one line, all of it."""
WHOLE: Final = (
    "class", "reasons", "sentence", "started", "rights", "actor", "accountable", "missing", "decision", "about", "approval",
    "influence", "path", "link", "contradictions", "said", "evidence", "finding", "seen", "account", "concerns", "compared",
    "outcome",
    "outcome_grade", "truncated",
)  # fmt: skip
"""What a whole answer is stated by."""


def show(story: Story, answer: Answer) -> dict[str, list[str]]:
    """Every line that a scenario may state of the answer."""
    of = answer.accountable
    return {
        "class": [answer.class_],
        "reasons": list(answer.reasons),
        "sentence": [answer.sentence],
        "trigger": [f"{who(story, each.who)} {each.role} {each.grade}" for each in answer.triggers],
        "triggers": [", ".join(f"{who(story, each.who)} {each.role} {each.grade}" for each in answer.triggers)],
        "started": [_started(story, each) for each in answer.triggers],
        "links_by": sorted({link.join for step in answer.path for link in step.links if link.join}),
        "accountable": [f"{of.agent_id} {who(story, of.owner)} {of.state} {who(story, of.person)} {of.grant_id}"],
        "missing": list(of.missing),
        "authority": [f"{who(story, each.subject)} {each.source} {each.grade}" for each in answer.authority],
        "rights": [_rights(story, each) for each in answer.authority],
        "actor": [f"{each.position} {each.sub}" for each in answer.actors],
        "owner": [f"{each.agent_id} {who(story, each.owner)}" for each in answer.owners],
        "decision": [f"{each.decision} {each.policy_version} {each.grade}" for each in answer.decisions],
        "about": [_about(story, each) for each in answer.decisions],
        "approval": [_approval(story, each) for each in answer.approvals],
        "uses": [f"{story.name_of(each.event_id)} {each.use} of {each.uses}" for each in answer.approvals],
        "influence": [_influence(story, each) for each in answer.influences],
        "contradictions": sorted({each.rule for each in answer.contradictions}),
        "seen": [answer.seen] if answer.seen is not None else [],
        "account": [
            f"{story.name_of(each.event_id)} {each.observer} {each.service} {each.outcome}" for each in answer.accounts
        ],
        "outcome_grade": [answer.outcome_grade] if answer.outcome_grade is not None else [],
        "compared": [
            f"{story.name_of(each.event_id)} {each.parameters}" for each in (*answer.decisions, *answer.approvals)
        ],
        "concerns": [
            f"{story.name_of(each.event_id)} {each.concerns}" for each in (*answer.decisions, *answer.approvals)
        ],
        "evidence": [
            " ".join([each.rule, *(story.name_of(event) for event in each.evidence)]) for each in answer.contradictions
        ],
        "said": [f"{each.rule} {each.severity}: {each.detail}" for each in answer.contradictions],
        "finding": [
            f"{each.name} {story.name_of(each.event_id) if each.event_id else ''}".strip() for each in answer.findings
        ],
        "path": [" ".join(story.name_of(step.event_id) for step in answer.path)],
        "link": [
            f"{story.name_of(link.effect)}->{story.name_of(link.cause)} {link.relation} {link.grade}"
            + (f" {link.join} {link.candidates}" if link.join else "")
            for step in answer.path
            for link in step.links
        ],
        "outcome": [str(answer.outcome)] if answer.outcome is not None else [],
        "truncated": list(answer.coverage.truncated),
    }


def faults(story: Story, expected: Expected, answer: Answer) -> list[str]:
    """What the answer lacks of what a question expects, and, of a whole answer, what it holds beyond."""
    shown = show(story, answer)
    found = [_fault(what, words, shown[what]) for what, words in expected.lines]
    if expected.whole:
        stated: dict[str, list[str]] = {}
        for what, words in expected.lines:
            stated.setdefault(what, []).append(words)
        found += [
            f"{what}: {words} (not stated)"
            for what in WHOLE
            for words in ([" ".join(shown[what])] if what in JOINED and shown[what] else shown[what])
            if words not in stated.get(what, ())
        ]
    return [each for each in found if each is not None]


def whole(story: Story, answer: Answer) -> str:
    """The answer as the lines that state all of it."""
    shown = show(story, answer)
    lines = [
        f"{what}: {words}"
        for what in WHOLE
        for words in ([" ".join(shown[what])] if what in JOINED and shown[what] else shown[what])
    ]
    return "\n".join(lines)


def who(story: Story, party: Party | None) -> str:
    if party is None:
        return "nobody"
    return next((key for key, known in story.people.items() if known.digest == party.digest), party.digest.hex()[:8])


def _fault(what: str, words: str, shown: Sequence[str]) -> str | None:
    if words == "none":
        right = not shown
    elif what in JOINED:
        right = " ".join(shown) == words
    else:
        right = words in shown
    return None if right else f"{what}: {words!r} is not {list(shown)}"


def _started(story: Story, trigger: Trigger) -> str:
    """`p1 at 3: initiated by alice over chat as pwd by idp, sealed`."""
    parts = [f"{story.name_of(trigger.event_id)} at {_at(trigger.at)}: {trigger.role} by {who(story, trigger.who)}"]
    parts += [f"over {trigger.channel}"] if trigger.channel else []
    parts += [f"as {' '.join(trigger.authenticated)}"] if trigger.authenticated else []
    parts += [f"set up in {story.name_of(trigger.set_up)}"] if trigger.set_up else []
    parts += [f"for {who(story, trigger.owner)}"] if trigger.owner else []
    parts += [f"from {trigger.peer_ledger}"] if trigger.peer_ledger else []
    parts += ["before a timer"] if trigger.earlier else []
    return f"{' '.join(parts)}, {trigger.grade}{_of(trigger.candidates)}"


def _rights(story: Story, authority: Authority) -> str:
    """`token j1 of alice under g-1 for book, corroborated`."""
    named = {"token": authority.token, "grant": authority.grant_id}.get(authority.source)
    parts = [" ".join(filter(None, (authority.source, named))), f"of {who(story, authority.subject)}"]
    parts += [f"under {authority.grant_id}"] if authority.source == "token" and authority.grant_id else []
    parts += [f"for {' '.join(authority.scopes)}"] if authority.scopes else []
    parts += [f"from {story.name_of(authority.exchanged_from)}"] if authority.exchanged_from else []
    parts += [f"revoked at {_at(authority.revoked_at)}"] if authority.revoked_at is not None else []
    return f"{' '.join(parts)}, {authority.grade}{_of(authority.candidates)}"


def _about(story: Story, decision: Decision) -> str:
    """`d1 read flights of alice by travel for a-1`."""
    parts = [story.name_of(decision.event_id), decision.action]
    parts += [each for each in (decision.resource_type, decision.resource) if each]
    parts += [f"of {who(story, decision.subject)}"] if decision.subject is not None else []
    parts += [f"by {decision.subject_agent}"] if decision.subject_agent is not None else []
    return " ".join([*parts, *([f"for {decision.action_id}"] if decision.action_id is not None else [])])


def _approval(story: Story, approval: Approval) -> str:
    return f"{approval.action} {who(story, approval.by)} bound={approval.bound} {approval.grade}"


def _influence(story: Story, influence: Influence) -> str:
    origin = f" from {influence.origin}" if influence.origin else ""
    return f"{story.name_of(influence.event_id)} {influence.trust} {influence.grade}{origin}"


def _of(candidates: int) -> str:
    return f", {candidates} candidates" if candidates > 1 else ""


def _at(time: int) -> str:
    return str((time - START) // SECOND)
