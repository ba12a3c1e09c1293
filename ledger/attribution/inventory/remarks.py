"""What does not fit together of an agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ledger.attribution.answer import Party
from ledger.attribution.inventory.agent import Remark
from ledger.attribution.inventory.registered import Registered, held_at, holds, stated_at
from ledger.attribution.owning import in_force, since
from ledger.attribution.subgraph import Node
from ledger.format.kinds import Configuration, ReasoningStep

EVIDENCE: Final = 5
"""Event ids that a remark cites at most."""


Users = Mapping[str, Mapping[str, bytes]]
"""Of each credential the agents that used it, with an event of each."""


def registration_remarks(
    registered: Registered,
    words: Registered,
    own: Sequence[Node],
    tokens: Sequence[Node],
    owners: Sequence[Party],
    at: int,
) -> Iterable[Remark]:
    """``words`` are the last that each service said of it."""
    seen = [*own, *tokens]
    if not words:
        if seen:
            yield Remark("never_registered", (), _evidence(seen))
        return
    node, last = words[-1]
    if not seen and last.state == "active":
        yield Remark("never_seen", (), (node.event_id,))
    owner = owners[0] if owners else None
    if last.state != "retired" and (owner is None or owner.state not in ("named", "erased_since")):
        over = [each for each, fact in words if fact.owner is not None and not in_force((each, fact), at)]
        missing = "owner_expired" if over else "owner_missing"
        by = over[-1] if owner is None and over else node
        yield Remark(f"owner_{owner.state}" if owner else missing, (), (by.event_id,))
    late = [(each, *held) for each in own if (held := held_at(registered, each.at)) is not None]
    stopped = [(each, by, fact) for each, by, fact in late if fact.state != "active"]
    if stopped:
        states = tuple(sorted({fact.state for _, _, fact in stopped}))
        yield Remark("acted_while_not_active", states, _evidence([stopped[0][1], *(each for each, _, _ in stopped)]))
    expired = [
        (each, by) for each, by, fact in late if not in_force((by, fact), each.at) and not holds(registered, each.at)
    ]
    if expired:
        yield Remark("registration_expired", (), _evidence([expired[0][1], *(each for each, _ in expired)]))


def several_owners(owning: Registered) -> Iterable[Remark]:
    """Of registrations that name different owners, all in force."""
    services = tuple(dict.fromkeys(node.service for node, _ in owning))
    yield Remark("owner_ambiguous", services, _evidence([node for node, _ in owning]))


def credential_remarks(agent: str, made: Mapping[str, bytes], users: Users) -> Iterable[Remark]:
    shared = {name: users[name] for name in made if set(users.get(name, ())) - {agent}}
    if shared:
        others = sorted({each for of in shared.values() for each in of} - {agent})
        ids_ = [made[name] for name in shared] + [
            of[each] for of in shared.values() for each in sorted(of) if each != agent
        ]
        yield Remark("shared_credential", tuple(others), tuple(dict.fromkeys(ids_))[:EVIDENCE])
    clients = sorted(each for each in made if each.startswith("client:"))
    if len(clients) > 1:
        evidence = tuple(dict.fromkeys(made[each] for each in clients))[:EVIDENCE]
        yield Remark("many_credentials", tuple(each.removeprefix("client:") for each in clients), evidence)


def unregistered(
    registered: Registered, configured: Sequence[tuple[Node, Configuration]], own: Sequence[Node]
) -> Iterable[Remark]:
    ran: list[tuple[Node, str]] = []
    for node in own:
        if isinstance(node.fact, ReasoningStep):
            ran += [(node, each) for each in [node.fact.request_model or node.fact.response_model] if each]
    ran += [(node, fact.model) for node, fact in configured if fact.model is not None]
    versions = [(node, fact.software_version) for node, fact in configured if fact.software_version is not None]
    yield from _other_than("model_unregistered", ran, registered, "model")
    yield from _other_than("version_unregistered", versions, registered, "version")
    if registered:
        last, _ = registered[-1]
        known = {
            fact.system_prompt_digest
            for node, fact in configured
            if node.at <= since(last) or node.service in {each.service for each, _ in registered}
        }
        new = [
            (node, fact.system_prompt_digest)
            for node, fact in configured
            if fact.system_prompt_digest is not None and fact.system_prompt_digest not in known
        ]
        if new:
            about = tuple(dict.fromkeys(digest.hex() for _, digest in new))
            yield Remark("system_prompt_unregistered", about, _evidence([last, *(node for node, _ in new)]))


def _other_than(name: str, ran: Sequence[tuple[Node, str]], registered: Registered, field: str) -> Iterable[Remark]:
    """Values other than the registration in force then named. A dated name of a model is that model."""
    found: list[tuple[Node, Node, str]] = []
    for node, value in ran:
        stated = stated_at(registered, node.at, field)
        if stated is not None and value != stated[1] and not value.startswith(f"{stated[1]}-"):
            found.append((stated[0], node, value))
    if found:
        about = tuple(dict.fromkeys(value for _, _, value in found))
        yield Remark(name, about, _evidence([found[0][0], *(node for _, node, _ in found)]))


def _evidence(nodes: Sequence[Node]) -> tuple[bytes, ...]:
    """The first, and of the others the latest."""
    first, *others = dict.fromkeys(node.event_id for node in nodes)
    return (first, *others[-(EVIDENCE - 1) :])
