"""What joins events that cite no cause: for each event the names it *answers to*, and the names it *follows*.

A name is ``<namespace>:<value>``, of the closed table ``NAMESPACES``. An event that follows a name refers to whatever event
answers to it: an action follows the token that it presents, and the issuance answers to it. The store keeps 8-byte hashes of
(tenant, name); they are hints, so whoever reads compares the names themselves (``names_of``) and counts the candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from ledger.format.event import TO_TRIGGERS, EventHeader

NAMESPACES: Final[Mapping[str, str]] = {
    "token": "a token, by `iss`, U+0000, `jti` (of AWS credentials: STS endpoint, access key id)",
    "token_digest": "a token, by its SHA-256 in hex",
    "token_use": "an event that presented or exchanged a token: `token:` or `token_digest:` name",
    "txn": "a transaction token's `txn`",
    "decision": "a policy decision, by decision_id",
    "action": "an action, by action_id: its accounts, the decisions about it and the approvals that refer to it",
    "oversight": "an approval, by oversight_id",
    "oversight_use": "an action that relied on an approval, by oversight_id",
    "bound": "an approval bound to parameters, by their digest in hex",
    "grant": "a grant, by grant_id: given, changed, withdrawn, its tokens revoked",
    "grant_use": "an event that rests on a grant, by grant_id: a token, an action, a decision, a grant derived from it",
    "revoked": "revoked: all tokens of a session, client or subject: which of these, U+0000, sid, client id or digest in hex",
    "trigger": "a schedule, webhook or subscription, by trigger_id",
    "agent": "what was registered about an agent, by agent_id or by `issuer#client_id`",
    "memory": "what was written to a memory, by store, U+0000, key",
    "task": "a hand-off, by protocol, U+0000, task id",
    "run_start": "what began or steered a run, by execution_id in hex",
    "run_state": "what started, suspended, resumed, stopped or ended a run, by execution_id in hex",
    "idempotency": "an action, by target_system, U+0000, idempotency_key",
    "trace_start": "what began or steered what a trace shows, by trace id",
    "principal": "whom an event names, by the digest of their content in hex (for finding)",
    "resource": "what an event touched (for finding)",
    "policy": "a decision by a policy, by policy_id, and by policy_id, U+0000, policy_version (for finding)",
    "named": "a token whose `act` names an agent or whose client it is: `issuer#subject`, `issuer#client_id` (for finding)",
    "configured": "what an agent was configured with, by agent_id (for finding)",
    "listed": "every event of a kind that an inventory reads: agent_registration, token_issuance (for finding)",
    "value": "a value that an event states and no other name holds whole, or a part of one (for finding)",
    "correlation": "a correlation of the header, whole: `trace:…`, `span:…`, `request:…`",
}
"""Every namespace and what its value is; ``docs/format.md`` prints it."""

JOINED: Final = frozenset({"parent_span", "tool_call", "request"})
"""Correlations by which an event refers to others. Others are stored, and found by, and never joined."""

CORRELATIONS: Final = frozenset(
    {
        "trace", "span", "parent_span", "request", "tool_call", "conversation", "mcp_session", "mcp_request", "linked_span",
        "aws_event", "shared_event", "tool_result",
    }
)  # fmt: skip
"""The closed table of correlations (docs/format.md)."""

EXTENTS: Final[Mapping[str, str]] = {"session": "session", "client": "client_id", "subject": "subject"}
"""What tokens are revoked by together, with the field in which events name it; a grant has names of its own."""

REMEMBERED: Final = 128
"""Characters of a name or value that what follows from it is remembered for."""

Names = list[str]
Payload = Mapping[str, Any]


class Keys(dict[str, bytes]):
    """The keys of one tenant's names by name: the 8 bytes that stand for each in the store, BLAKE2b-64 over tenant, U+0000, name.

    What was looked up is remembered, up to a number: the events of a run share trace, run and people, and a look-up costs a
    twentieth of a hash. Not a long name: it seldom comes twice, and whoever records may choose 64 KiB of it.
    """

    __slots__ = ("_start",)

    def __init__(self, tenant: str) -> None:
        self._start = blake2b(f"{tenant}\0".encode(), digest_size=8)

    def __missing__(self, name: str) -> bytes:
        state = self._start.copy()  # costs half of a new one
        state.update(name.encode())
        key: bytes = state.digest()
        if len(name) <= REMEMBERED:
            if len(self) >= _MOST:
                self.clear()
            self[name] = key
        return key

    def of(self, names: Iterable[str]) -> list[bytes]:
        """The keys of ``names``, in order."""
        return list(map(self.__getitem__, names))


_MOST: Final = 1 << 12
"""Names of a tenant that are remembered at most, of ``_TENANTS`` tenants."""
_TENANTS: Final = 8

keys_of: Final = lru_cache(maxsize=_TENANTS)(Keys)


def key_of(tenant: str, name: str) -> int:
    """The key of ``name`` as the store has it: a signed number, the 8 bytes big-endian."""
    return number_of(keys_of(tenant)[name])


def number_of(key: bytes) -> int:
    return int.from_bytes(key, "big", signed=True)


def names_of(header: EventHeader, payload: Payload | None) -> tuple[Names, Names]:
    """The names that an event answers to, and those that it follows, each once."""
    kind = header.kind
    answers: Names = []
    follows: Names = []
    starts = kind in STARTS
    if header.correlation:
        _read_correlation(header, kind, starts, answers, follows)
    if (execution := header.execution_id) is not None:
        if starts:
            answers.append(f"run_start:{execution.hex()}")
        elif not _has_trigger(header):
            follows.append(f"run_start:{execution.hex()}")
        if payload is not None and (
            kind == "execution_control" or (kind == "oversight" and payload["action"] == "stop")
        ):
            answers.append(f"run_state:{execution.hex()}")
    persons = [header.principal] if header.principal is not None else []
    if payload is not None and (read := _BY_KIND.get(kind)) is not None:
        read(payload, _Names(answers, follows, persons))
    if kind == "configuration" and header.agent_id is not None:
        answers.append(f"configured:{header.agent_id}")
    if len(persons) == 1:
        answers.append(f"principal:{persons[0].hex()}")
    elif persons:
        answers += [f"principal:{each.hex()}" for each in dict.fromkeys(persons)]
    return answers, follows


def token_names(token: Payload | None) -> Names:
    """The names of a token reference: by (iss, jti), by digest, or both."""
    if token is None:
        return []
    names = []
    if (jti := token["jti"]) is not None:
        names.append(f"token:{token['issuer'] or ''}\0{jti}")
    if (digest := token["digest"]) is not None:
        names.append(f"token_digest:{digest.hex()}")
    return names


def wide_names(payload: Payload | None, extents: Iterable[str] = EXTENTS) -> Names:
    """The names of what revokes a token together with others, or of what such a revocation is of: session, client, subject."""
    found = [] if payload is None else [(each, payload[EXTENTS[each]]) for each in extents if each in EXTENTS]
    return [
        f"revoked:{extent}\0{value.hex() if isinstance(value, bytes) else value}"
        for extent, value in found
        if value is not None
    ]


def statement_names(kind: str, payload: Payload | None) -> Names:
    """The names of the token, grant, decision or approval that an event is a statement of: others may state the same one, and
    whoever cites one statement as what authorized them relies on all of it."""
    if payload is None:
        return []
    match kind:
        case "token_issuance":
            return token_names(payload["token"])
        case "policy_decision":
            return [f"decision:{payload['decision_id']}"] if payload["decision_id"] is not None else []
        case "oversight":
            return [f"oversight:{payload['oversight_id']}"]
        case "grant":
            return [f"grant:{payload['grant_id']}"]
    return []


def idempotency_name(system: str | None, key: str) -> str:
    """The name of what a system shall do once."""
    return f"idempotency:{system or ''}\0{key}"


def agents_of(token: Payload) -> Names:
    """The agents that a token issuance names: the actors, outermost first, and the client that got it."""
    named = [f"{actor['iss'] or ''}#{actor['sub']}" for actor in _chain(token) if actor["sub"] is not None]
    if (client := token["client_id"]) is not None:
        named.append(f"{_issuer(token)}#{client}")
    return list(dict.fromkeys(named))


def _findable(agents: Names) -> Names:
    """Whose subject is a URI is found by that alone too: such an agent has one name, whoever issues its tokens."""
    subjects = [f"#{each.partition('#')[2]}" for each in agents]
    return list(dict.fromkeys([*agents, *(each for each in subjects if "://" in each)]))


def _chain(token: Payload) -> Sequence[Payload]:
    return token["act"]["chain"] if token["act"] is not None else ()


def _issuer(token: Payload) -> str:
    return (token["token"] or {}).get("issuer") or ""


STARTS: Final = frozenset({"prompt", "handoff", "execution_control"})
"""Kinds that can begin or steer a run."""


class _Names(NamedTuple):
    """What is collected from a payload."""

    answers: Names
    follows: Names
    persons: list[bytes]


def _read_correlation(header: EventHeader, kind: str, starts: bool, answers: Names, follows: Names) -> None:
    for each in header.correlation:
        namespace, _, value = each.partition(":")
        if namespace == "parent_span":
            follows.append(f"correlation:span:{value}")
            continue
        name = f"correlation:{each}"
        answers.append(name)
        if namespace == "trace":
            if starts:
                answers.append(f"trace_start:{value}")
            elif not header.causes:
                follows.append(f"trace_start:{value}")
        elif namespace in JOINED and kind != "reasoning_step":
            follows.append(name)


def _has_trigger(header: EventHeader) -> bool:
    for _, _, relation in header.causes:  # noqa: SIM110 - a generator costs half a microsecond an event
        if relation in TO_TRIGGERS:
            return True
    return False


def _follow_token(token: Payload | None, names: _Names) -> None:
    """An event that used a token: it follows the issuance, and is found by those who ask what the token was used for."""
    if found := token_names(token):
        names.follows.extend(found)
        names.answers.append(f"token_use:{found[0]}")


def _prompt(payload: Payload, names: _Names) -> None:
    if (trigger := payload["trigger_id"]) is not None:
        names.follows.append(f"trigger:{trigger}")
    _follow_token(payload["token"], names)


def _token_issuance(payload: Payload, names: _Names) -> None:
    own = token_names(payload["token"])
    names.answers.extend(own)
    names.follows.extend(own)  # another party may state the same issuance
    names.follows.extend(wide_names(payload))
    names.answers.extend([*(f"named:{each}" for each in _findable(agents_of(payload))), "listed:token_issuance"])
    if (txn := payload["txn"]) is not None:
        names.answers.append(f"txn:{txn}")
    for source in (payload["subject_token"], payload["actor_token"]):
        _follow_token(source, names)
    _follow_grant(payload, names)
    _person(payload["subject"], names)


def _policy_decision(payload: Payload, names: _Names) -> None:
    if (decision := payload["decision_id"]) is not None:
        names.answers.append(f"decision:{decision}")
    if (policy := payload["policy_id"]) is not None:
        names.answers.append(f"policy:{policy}")
        if (version := payload["policy_version"]) is not None:
            names.answers.append(f"policy:{policy}\0{version}")
    if (action := payload["action_id"]) is not None:
        names.answers.append(f"action:{action}")
    names.follows.extend(token_names(payload["token"]))
    _follow_grant(payload, names)
    _person(payload["subject"], names)


def _api_action(payload: Payload, names: _Names) -> None:
    action = f"action:{payload['action_id']}"
    names.answers.append(action)
    names.follows.append(action)
    if (resource := payload["resource"]) is not None:
        names.answers.append(f"resource:{resource}")
    if (key := payload["idempotency_key"]) is not None:
        names.answers.append(idempotency_name(payload["target_system"], key))
    _follow_token(payload["token"], names)
    if (decision := payload["decision_id"]) is not None:
        names.follows.append(f"decision:{decision}")
    for oversight in payload["oversight_ids"]:
        names.follows.append(f"oversight:{oversight}")
        names.answers.append(f"oversight_use:{oversight}")
    if (digest := payload["parameter_digest"]) is not None:
        names.follows.append(f"bound:{digest.hex()}")
    _follow_grant(payload, names)


def _oversight(payload: Payload, names: _Names) -> None:
    names.answers.append(f"oversight:{payload['oversight_id']}")
    if (digest := payload["bound_digest"]) is not None:
        names.answers.append(f"bound:{digest.hex()}")
    if (reference := payload["reference"]) is not None:
        names.answers.append(f"action:{reference}")
    _person(payload["by"], names)


def _grant(payload: Payload, names: _Names) -> None:
    names.answers.append(f"grant:{payload['grant_id']}")
    if (parent := payload["parent_grant_id"]) is not None:
        names.follows.append(f"grant:{parent}")
        names.answers.append(f"grant_use:{parent}")
    _person(payload["grantor"], names)


def _trigger_registration(payload: Payload, names: _Names) -> None:
    names.answers.append(f"trigger:{payload['trigger_id']}")
    _follow_token(payload["token"], names)
    _follow_grant(payload, names)
    _person(payload["by"], names)
    _person(payload["owner"], names)


def _agent_registration(payload: Payload, names: _Names) -> None:
    names.answers.extend([f"agent:{each}" for each in dict.fromkeys((payload["agent_id"], *payload["client_ids"]))])
    names.answers.append("listed:agent_registration")
    _person(payload["by"], names)
    _person(payload["owner"], names)


def _token_revocation(payload: Payload, names: _Names) -> None:
    own = token_names(payload["token"])
    names.answers.extend(own)
    names.follows.extend(own)
    if (grant := payload["grant_id"]) is not None:
        names.answers.append(f"grant:{grant}")
    names.answers.extend(wide_names(payload, [payload["extent"]]))
    _person(payload["by"], names)
    _person(payload["subject"], names)


def _observation(payload: Payload, names: _Names) -> None:
    if (uri := payload["uri"]) is not None:
        names.answers.append(f"resource:{uri}")
    if (action := payload["action_id"]) is not None:
        names.follows.append(f"action:{action}")


def _memory(payload: Payload, names: _Names) -> None:
    if (key := payload["key"]) is not None:
        (names.answers if payload["action"] == "write" else names.follows).append(
            f"memory:{payload['store'] or ''}\0{key}"
        )


def _handoff(payload: Payload, names: _Names) -> None:
    if (task := payload["task_id"]) is not None:
        sent = payload["direction"] == "sent"
        (names.answers if sent else names.follows).append(f"task:{payload['protocol'] or ''}\0{task}")
    _follow_token(payload["token"], names)


def _execution_control(payload: Payload, names: _Names) -> None:
    _person(payload["by"], names)


def _follow_grant(payload: Payload, names: _Names) -> None:
    if (grant := payload["grant_id"]) is not None:
        names.follows.append(f"grant:{grant}")
        names.answers.append(f"grant_use:{grant}")


def _person(digest: bytes | None, names: _Names) -> None:
    if digest is not None:
        names.persons.append(digest)


_Reader = Callable[[Payload, _Names], None]

_BY_KIND: Final[Mapping[str, _Reader]] = {
    "prompt": _prompt,
    "token_issuance": _token_issuance,
    "policy_decision": _policy_decision,
    "api_action": _api_action,
    "oversight": _oversight,
    "grant": _grant,
    "trigger_registration": _trigger_registration,
    "agent_registration": _agent_registration,
    "token_revocation": _token_revocation,
    "observation": _observation,
    "memory": _memory,
    "handoff": _handoff,
    "execution_control": _execution_control,
}
