"""Stories of a few lines, from which real events are made: sealed for a store, or laid out as a subgraph for the pure core.

A scenario file has these lines, in any order but that an event is named before it is cited::

    # what the story is about
    person alice Alice Example        a person by key and name, known by issuer idp (`person al @hr Al`: by hr);
                                      `person bob !erased` or `!unresolved` for one without a name,
                                      `person robot !workload Robot` for what is no human,
                                      `person x7 -` for one of whom no name is known
    service aws importer              a service that signs as importer; or `unauthorized`: not for the kinds that it states;
                                      or `untrusted`: no more
    a1 agent prompt by=alice channel=web           an event: its name, the service that signs, kind, fields
    a2 agent api_action action_id=x <- a1:started_by     what it cites, after the arrow

Fields are those of the payload, beside `by` (header: principal; of kinds with a `by`, write `principal`), `agent`, `run`,
`corr` (a,b), `at` (seconds from the start), `id` (the id of that event, or of a name that was cited before it was made).
Persons and digests are written as words; `token=j1` is the token j1 of issuer `as`, `token=hr//j1` that of issuer hr,
`token=@t` one known by its digest alone, `token=j1@t` one known by both;
`act=x>y` is an act chain, outermost first (`hr#x`: of issuer hr, not as), `act=x>y+9` one with nine more,
`act=!` a malformed one; `authentication=pwd,otp` how somebody was authenticated.
`erased` as a field erases the payload, `unknown` gives it a schema that nobody here knows,
`changed` another one in the row of the store than was signed.
A citation is `name:relation`; with `?` without digest; with `~` with another digest than the event has. A name that no line
makes is an event that is not there; `archived NAME` says that it was moved to an archive, `cut NAME` that a limit kept
it from being fetched. `limit depth=2` bounds the questions.
`house another_person=pay,scope:write decision=wipe consequence=send public_subjects=idp` are the house rules: operations and
scopes that need another person, operations that need a decision, operations of consequence, issuers without pairwise subjects.
Ids are drawn a second apart, in the order of the lines; after a line `drawn at` each when its event occurs.

    ? a2                              asks who triggered a2; the lines after it say what must be in the answer
    class: attributed
    trigger: alice initiated sealed
    contradictions: none
    ? a2 whole                        the lines after it are the whole answer: what they do not say must not be in it

``tests.attribution.shown`` says what each line is made from.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from ledger.attribution.house import NO_RULES, Duty, HouseRules
from ledger.attribution.subgraph import KnownPerson, Limits, Node, Ref, Subgraph, typed
from ledger.format.codec import Schemas
from ledger.format.content import Person, encode_content, person_content
from ledger.format.event import RELATIONS, Cause
from ledger.schema_files import directory, load_schemas
from tests.services.forge import START, Forge, Made, blank

SECOND = 1_000_000
HEADER = frozenset({"principal", "agent", "run", "corr", "at", "erased", "unknown", "changed", "id"})
NEWER = Schemas(
    [
        *(path.read_bytes() for path in sorted(directory().glob("*.avsc"))),
        b'{"type": "record", "name": "newer", "namespace": "answerable", "fields": []}',
    ]
)
"""What publishers seal with: one schema more than the ledger knows."""
UNKNOWN = NEWER.by_name["newer"].frame
"""A payload of a schema that no release here has."""


class Expected(NamedTuple):
    """What an answer must hold: the event asked about, and lines of `what: words`. ``whole``: and nothing else."""

    asked: str
    lines: tuple[tuple[str, str], ...]
    whole: bool = False


class Told(NamedTuple):
    """An event of a story."""

    name: str
    service: str
    made: Made
    payload: Mapping[str, Any]
    erased: bool
    unknown: bool = False
    changed: bool = False


@dataclass
class Story:
    """Events in the order in which they are told, and the people in them."""

    tenant: str = "acme"
    ids_of: str | None = None
    """Another tenant, whose ids its events copy."""
    events: dict[str, Told] = field(default_factory=dict)
    people: dict[str, KnownPerson] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    forges: dict[str, Forge] = field(default_factory=dict)
    expected: list[Expected] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    limits: Limits = Limits()  # noqa: RUF009 - immutable
    house: HouseRules = NO_RULES
    drawn_at: bool = False

    def person(self, key: str, name: str) -> None:
        if name.startswith("!workload "):
            named = Person(issuer="idp", subject=key, name=name.removeprefix("!workload "), kind="workload")
            self.people[key] = KnownPerson(self.content_of(named)[1], "named", named)
        elif name.startswith("!"):
            self.people[key] = KnownPerson(digest_of(f"person/{key}"), name[1:])
        else:
            issuer, _, known_as = name[1:].partition(" ") if name.startswith("@") else ("idp", "", name)
            person = Person(issuer=issuer, subject=key, name=None if known_as == "-" else known_as)
            self.people[key] = KnownPerson(self.content_of(person)[1], "named", person)

    def content_of(self, person: Person) -> tuple[bytes, bytes]:
        """The record that names a person, and its digest."""
        return encode_content(load_schemas(), person_content(self.tenant, bytes(16), person))

    def event(self, name: str, service: str, kind: str, fields: Mapping[str, str], cites: Sequence[str] = ()) -> Told:
        forge = self._forge(service)
        forge.now = START + (int(fields["at"]) if self.drawn_at and "at" in fields else len(self.events)) * SECOND
        payload = blank(kind)
        for key, value in fields.items():
            if key not in HEADER and not (key == "by" and "by" not in payload):
                payload[key] = self._value(kind, key, value)
        who = fields.get("principal") or (fields.get("by") if "by" not in payload else None)
        given: dict[str, Any] = {"occurred_at": START + int(fields["at"]) * SECOND} if "at" in fields else {}
        if "id" in fields:
            same = self.events.get(fields["id"])
            given["event_id"] = same.made.event_id if same is not None else forged_id(fields["id"])
        made = forge.make(
            kind,
            payload,
            causes=[self._cause(cite) for cite in cites],
            principal=self._digest(who) if who else None,
            agent_id=fields.get("agent"),
            execution_id=uuid.UUID(bytes=digest_of(fields["run"])[:16], version=4).bytes if "run" in fields else None,
            correlation=fields["corr"].split(",") if "corr" in fields else [],
            raw_payload=UNKNOWN if "unknown" in fields else None,
            **given,
        )
        self.events[name] = Told(
            name, service, made, payload, "erased" in fields, "unknown" in fields, "changed" in fields
        )
        return self.events[name]

    def _forge(self, service: str) -> Forge:
        """A service with a chain of its own in each tenant, so that stories stored together share no id unless they are to."""
        if service not in self.forges:
            forge = Forge(name=service, service=service, tenant=self.tenant, schemas=NEWER)
            forge.chain_id = digest_of(f"{self.ids_of or self.tenant}/{service}")[:16]
            self.forges[service] = forge
        return self.forges[service]

    def _cause(self, cite: str) -> Cause:
        name, _, relation = cite.partition(":")
        told = self.events.get(name)
        if told is None:
            return Cause(forged_id(name), None if "?" in relation else digest_of(name), relation.rstrip("?~"))
        digest = None if relation.endswith("?") else told.made.digest
        return Cause(
            told.made.event_id, digest_of("other") if relation.endswith("~") else digest, relation.rstrip("?~")
        )

    def _digest(self, word: str) -> bytes:
        return self.people[word].digest if word in self.people else digest_of(word)

    def _value(self, kind: str, key: str, value: str) -> Any:
        if key.endswith("token"):
            of, at, digest = value.partition("@")
            issuer, _, jti = of.rpartition("//")
            named = {"issuer": (issuer or "as") if jti else None, "jti": jti or None}
            return named | {"digest": digest_of(at + digest) if at else None}
        if key == "act":
            names, _, beyond = value.rstrip("!").partition("+")
            named = [each.rpartition("#") for each in names.split(">") if each]
            chain = [{"iss": issuer or "as", "sub": sub, "person": None} for issuer, _, sub in named]
            return {
                "chain": chain,
                "truncated": int(beyond or 0),
                "omitted": 0,
                "malformed": ["act_not_object"] if "!" in value else [],
            }
        if key == "may_act":
            return [{"iss": "as", "sub": each, "person": None} for each in value.split(",")]
        if key == "authentication":
            return {"issuer": "idp", "acr": None, "amr": value.split(","), "auth_time": None}
        default = blank(kind)[key]
        if isinstance(default, list):
            return value.split(",")
        if key.endswith(("_at", "_before")):
            return START + int(value) * SECOND
        if (
            key in ("subject", "by", "owner", "grantor", "text")
            or key.endswith("_digest")
            or isinstance(default, bytes)
        ):
            return self._digest(value)
        return int(value) if re.fullmatch(r"\d+", value) and key in _NUMBERS else value

    def node(self, name: str) -> Node:
        """An event as the store would give it."""
        told = self.events[name]
        role = self.roles.get(told.service, "source")
        payload = None if told.erased or told.unknown or told.changed else told.payload
        refused = {"unauthorized": "unauthorized_kind", "untrusted": "revoked_key"}.get(role)
        unread = "schema_unknown" if told.unknown and not told.erased else "row_changed" if told.changed else None
        strange = any(cause.relation not in RELATIONS for cause in told.made.header.causes)
        kind = told.made.header.kind
        return Node(
            ref=Ref(told.made.event_id, told.made.digest),
            header=told.made.header,
            payload=payload,
            typed=typed(kind, payload),
            service=told.service,
            key_id=self.forges[told.service].signer.key_id,
            chain_id=self.forges[told.service].chain_id,
            importer=role == "importer",
            effective=refused is None,
            number=0,
            sequence=list(self.events).index(name),
            sealed_at=told.made.header.occurred_at,
            append_time=told.made.header.occurred_at + 1000,
            findings=tuple(
                each for each in (refused, unread, "unknown_relation" if strange else None) if each is not None
            ),
        )

    def subgraph(self, asked: str, **given: Any) -> Subgraph:
        """The whole story as one subgraph."""
        return Subgraph(
            asked=self.events[asked].made.event_id,
            nodes=[self.node(name) for name in self.events],
            persons={known.digest: known for known in self.people.values() if known.state != "unresolved"},
            archived=frozenset(map(forged_id, self.archived)),
            cut=frozenset(map(forged_id, self.cut)),
            limits=self.limits,
            **given,
        )

    @property
    def is_storable(self) -> bool:
        """Whether a store that nobody changed can hold it: it fetches all, and moves none to an archive (docs/adr/0007)."""
        changed = any(told.changed for told in self.events.values())
        return not self.archived and not self.cut and not changed and "untrusted" not in self.roles.values()

    def name_of(self, event_id: bytes) -> str:
        return next(name for name, told in self.events.items() if told.made.event_id == event_id)


_NUMBERS = frozenset({"uses_allowed", "index", "attempt"})


def digest_of(word: str) -> bytes:
    return sha256(word.encode()).digest()


def forged_id(name: str) -> bytes:
    """The id of an event that nobody recorded."""
    data = bytearray((START // 1000).to_bytes(6, "big") + digest_of(name)[:10])
    data[6] = 0x70 | data[6] & 0x0F
    data[8] = 0x80 | data[8] & 0x3F
    return bytes(data)


def read_scenario(text: str, tenant: str = "acme", ids_of: str | None = None) -> Story:
    """The story in a scenario file; raises ``ValueError`` with the line that cannot be read."""
    story = Story(tenant=tenant, ids_of=ids_of)
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.split(r"(?:^|\s)#", raw, maxsplit=1)[0].strip()
        if not line:
            continue
        try:
            read_line(story, line)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"line {number}: {raw!r}: {error!r}") from error
    return story


def read_line(story: Story, line: str) -> None:
    """Adds what one line says."""
    if line.startswith("?"):
        asked, *whole = line[1:].split()
        if whole not in ([], ["whole"]):
            raise ValueError("a question is `? NAME` or `? NAME whole`")
        story.expected.append(Expected(asked, (), bool(whole)))
    elif found := re.match(r"([a-z_]+):(?: +(.*))?$", line):
        last = story.expected[-1]
        story.expected[-1] = last._replace(lines=(*last.lines, (found[1], found[2] or "")))
    elif line.startswith("person "):
        _, key, name = line.split(None, 2)
        story.person(key, name)
    elif line.startswith("service "):
        _, name, role = line.split()
        story.roles[name] = role
    elif line == "drawn at":
        story.drawn_at = True
    elif line.startswith("cut "):
        story.cut.append(line.split()[1])
    elif line.startswith("archived "):
        story.archived.append(line.split()[1])
    elif line.startswith("house "):
        story.house = _house(dict(each.split("=") for each in line.split()[1:]))
    elif line.startswith("limit "):
        limits = {name: int(value) for name, value in (each.split("=") for each in line.split()[1:])}
        story.limits = story.limits._replace(**limits)
    else:
        what, _, cites = line.partition("<-")
        name, service, kind, *fields = what.split()
        given = dict(each.partition("=")[::2] for each in fields)
        story.event(name, service, kind, given, cites.split())


def _house(given: Mapping[str, str]) -> HouseRules:
    duty = given.get("another_person", "").split(",")
    operations = tuple(each for each in duty if each and not each.startswith("scope:"))
    scopes = tuple(each.removeprefix("scope:") for each in duty if each.startswith("scope:"))
    return HouseRules(
        another_person=(Duty(operations=operations, scopes=scopes),) if operations or scopes else (),
        decision=tuple(each for each in given.get("decision", "").split(",") if each),
        consequence=tuple(each for each in given.get("consequence", "").split(",") if each),
        public_subjects=tuple(each for each in given.get("public_subjects", "").split(",") if each),
    )


def scenario_files() -> list[Path]:
    return sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


def story_files() -> list[Path]:
    """Longer scenarios, a tale each."""
    return sorted((Path(__file__).parent / "stories").glob("*.txt"))
