"""Tokens and people: what may be written of them, searched for in every byte that was written."""

from __future__ import annotations

import base64
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import InvalidEvent
from ledger.format.content import PRINCIPAL, Person, read_person
from ledger.format.kinds import TokenReference
from ledger.recorder.clock import SystemClock
from ledger.recorder.contents import Kept, Text
from ledger.recorder.secrets import fault_of_bytes
from ledger.recorder.tokens import token_reference
from tests.recording import contents, recorder_on, stated
from tests.services.memory_log import MemoryLog

ALICE = Person(issuer="https://login.example", subject="alice", name="Alice Archer")


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(SystemClock())


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def jwt(claims: object, header: object = None, signature: bytes = b"signature of thirty-two bytes!!!") -> str:
    return ".".join(
        (
            part(header or {"alg": "EdDSA", "typ": "at+jwt"}),
            part(claims),
            base64.urlsafe_b64encode(signature).rstrip(b"=").decode(),
        )
    )


CLAIMS: dict[str, Any] = {
    "iss": "https://as.example",
    "sub": "alice",
    "jti": "j1",
    "aud": ["https://flights.example"],
    "azp": "travel-agent",
    "scope": "flight:search flight:reserve",
    "iat": 1_700_000_000,
    "exp": 1_700_000_300.5,
    "act": {"sub": "agent", "iss": "https://as.example", "act": {"sub": "earlier"}},
    "may_act": {"sub": "other"},
    "cnf": {"jkt": "thumb"},
    "sid": "s1",
    "txn": "t1",
    "acr": "2",
    "amr": ["pwd", "otp"],
    "auth_time": 1_699_999_999,
    "roles": ["buyer"],
    "authorization_details": [{"type": "payment", "account": "DE00 1234"}],
}


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"sub": "travel-agent"}, "workload"),
        ({"sub": "0a1b", "idtyp": "app"}, "workload"),
        ({"sub": "spiffe://bank.example/agent"}, "workload"),
        ({"sub": "alice"}, "human"),
        ({"sub": "alice", "idtyp": "user"}, "human"),
    ],
)
def test_a_client_that_got_a_token_for_itself_is_a_workload(
    log: MemoryLog, tmp_path: Path, claims: dict[str, str], kind: str
) -> None:
    recorder = recorder_on(log, tmp_path)
    recorder.record_token(jwt(CLAIMS | claims), verification="signature", observer="resource")
    assert recorder.flush(5)
    people = [read_person(each) for each in contents(log).values() if each.media_type == PRINCIPAL]
    assert [each.kind for each in people if each.subject == claims["sub"]] == [kind]
    recorder.close()


def test_a_chain_of_forty_actors_is_kept_as_far_as_it_is_kept_and_the_rest_is_counted(
    log: MemoryLog, tmp_path: Path
) -> None:
    act: dict[str, Any] = {"sub": "agent-0"}
    for number in range(1, 40):
        act = {"sub": f"agent-{number}", "iss": "https://as.example", "act": act}
    recorder = recorder_on(log, tmp_path)
    recorder.record_token(jwt(CLAIMS | {"act": act}), verification="signature", observer="resource")
    assert recorder.flush(5)
    kept = stated(log)[-1].payload["act"]
    assert [each["sub"] for each in kept["chain"]] == [f"agent-{39 - number}" for number in range(16)]
    assert (kept["truncated"], kept["malformed"]) == (24, [])
    recorder.close()


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"scope": "x" * 1_000_000}, "an item of 1000000 characters"),
        ({"scope": " ".join(["flight:search"] * 70_000)}, "70000 items and the limit is 256"),
        ({"aud": [f"https://{number}.example" for number in range(300)]}, "aud has 300 items"),
        ({"may_act": [{"sub": str(number)} for number in range(300)]}, "may_act has 300 items"),
    ],
)
def test_a_scope_that_no_event_can_hold_is_refused_whole_and_can_be_given_otherwise(
    log: MemoryLog, tmp_path: Path, claims: dict[str, Any], says: str
) -> None:
    recorder = recorder_on(log, tmp_path)
    with pytest.raises(InvalidEvent, match=says):
        recorder.record_token(jwt(CLAIMS | claims), verification="none", observer="resource")
    recorder.record_token(jwt(CLAIMS | claims), verification="none", observer="resource", claims=CLAIMS)
    assert recorder.flush(5)
    assert stated(log)[-1].payload["scopes"] == ["flight:search", "flight:reserve"]
    recorder.close()


def everything_written(log: MemoryLog, spool: Path) -> bytes:
    records = b"".join((each.key or b"") + (each.value or b"") for each in log.records)
    return records + b"".join(each.read_bytes() for each in spool.rglob("*") if each.is_file())


def test_a_token_is_recorded_by_claims_and_digest_and_is_written_nowhere(log: MemoryLog, tmp_path: Path) -> None:
    token, before = jwt(CLAIMS), jwt({"iss": "https://as.example", "jti": "j0"})
    recorder = recorder_on(log, tmp_path)
    recorder.record_token(token, verification="signature", observer="resource", subject_token=before)
    assert recorder.flush(5)
    written = everything_written(log, tmp_path)
    recorder.close()
    for raw in (token, before):
        for each in (raw, *raw.split("."), *(base64.urlsafe_b64decode(p + "==") for p in raw.split(".")[2:])):
            assert (each if isinstance(each, bytes) else each.encode()) not in written
    assert b"DE00 1234" in written
    event = stated(log)[0]
    payload = event.payload
    assert payload["token"] == {
        "issuer": "https://as.example",
        "jti": "j1",
        "digest": sha256(token.encode()).digest(),
    }
    assert payload["subject_token"]["jti"] == "j0"
    assert payload["token_type"] == "at+jwt"
    assert payload["act"]["chain"] == [
        {"iss": "https://as.example", "sub": "agent", "person": None},
        {"iss": None, "sub": "earlier", "person": None},
    ]
    assert (payload["client_id"], payload["scopes"]) == ("travel-agent", ["flight:search", "flight:reserve"])
    assert (payload["issued_at"], payload["expires_at"]) == (1_700_000_000_000_000, 1_700_000_300_500_000)
    assert (payload["confirmation_method"], payload["confirmation"]) == ("jkt", "thumb")
    assert payload["authentication"]["amr"] == ["pwd", "otp"]
    assert (payload["verification"], payload["observer"], payload["status"]) == ("signature", "resource", "issued")
    kept = contents(log)
    assert read_person(kept[payload["subject"]]) == Person(issuer="https://as.example", subject="alice")
    assert b"alice" not in b"".join(record.value or b"" for record in log.events)
    assert json.loads(kept[payload["authorization_details"]].bytes) == CLAIMS["authorization_details"]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("opaque-token-of-an-old-server", {"issuer": None, "jti": None}),
        ("eyJ.%%%.x", {"issuer": None, "jti": None}),
        (jwt([1, 2]), {"issuer": None, "jti": None}),
        (jwt({"iss": 5, "jti": "a\0b", "aud": 5, "scope": 7, "exp": "soon", "act": 3, "cnf": []}), {"issuer": None}),
        (jwt({"iss": "\ud800", "jti": "x" * 5000, "amr": "pwd", "iat": 1e300}), {"issuer": None, "jti": None}),
        (part({"alg": "none"}) + "." + "[" * 100_000 + ".", {"jti": None}),
    ],
)
def test_a_token_that_cannot_be_read_is_recorded_by_its_digest(
    log: MemoryLog, tmp_path: Path, token: str, expected: dict[str, Any]
) -> None:
    with recorder_on(log, tmp_path) as recorder:
        recorder.record_token(token, verification="none", observer="client")
    found = stated(log)[0].payload["token"]
    assert found["digest"] == sha256(token.encode()).digest()
    assert expected.items() <= found.items()


def test_malformed_act_is_said_and_is_not_absence(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        recorder.record_token(jwt({"act": "agent"}), verification="none", observer="client")
        recorder.record_token(jwt({}), verification="none", observer="client")
    malformed, absent = (each.payload["act"] for each in stated(log))
    assert malformed["malformed"] == ["act_not_object"]
    assert absent is None


def test_claims_of_an_introspection_stand_in_the_place_of_the_tokens_own(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        recorder.record_token("opaque", verification="introspection", observer="resource", claims=CLAIMS)
    assert stated(log)[0].payload["token"]["jti"] == "j1"


TOKEN = jwt(CLAIMS)
HIDDEN = [
    TOKEN,
    f"Authorization: Bearer {TOKEN}",
    "Bearer 2YotnFZFEjr1zCsicMWpAA",
    "here it is: bearer 2YotnFZFEjr1zCsicMWpAA, use it",
    "DPoP 2YotnFZFEjr1zCsicMWpAA==",
    part({"alg": "none"}) + "." + part(CLAIMS) + ".",
    part({"alg": "dir", "enc": "A128GCM"}) + "..aXYtaXYtaXY.Y2lwaGVydGV4dA.dGFn",
    TOKEN[: TOKEN.rindex(".")],
]


@pytest.mark.parametrize("text", HIDDEN)
def test_a_raw_token_in_any_text_is_refused_and_written_nowhere(log: MemoryLog, tmp_path: Path, text: str) -> None:
    recorder = recorder_on(log, tmp_path)
    reference = TokenReference(issuer=text, jti="j")
    advice = "record_token"
    with pytest.raises(InvalidEvent, match=advice):
        recorder.prompt(trigger_kind="human", trust="trusted", channel=text)
    with pytest.raises(InvalidEvent, match=advice):
        recorder.prompt(trigger_kind="human", trust="trusted", text=text)
    with pytest.raises(InvalidEvent, match=advice):
        recorder.prompt(trigger_kind="human", trust="trusted", attachments=[Text(value=text.encode())])
    with pytest.raises(InvalidEvent, match=advice):
        recorder.prompt(trigger_kind="human", trust="trusted", token=reference)
    with pytest.raises(InvalidEvent, match=advice):
        recorder.reasoning_step(status="completed", visibility="full", finish_reasons=[text])
    with pytest.raises(InvalidEvent, match=advice):
        recorder.reasoning_step(status="completed", visibility="full", contents=[text])
    with pytest.raises(InvalidEvent, match=advice):
        recorder.reasoning_step(status="completed", visibility="full", agent_id=f"urn:{text}"[:512])
    with pytest.raises(InvalidEvent, match=advice):
        recorder.reasoning_step(status="completed", visibility="full", principal=Person(issuer="i", subject=text))
    with pytest.raises(InvalidEvent, match=advice):
        recorder.keep(text)
    assert recorder.flush(5)
    assert text.encode() not in everything_written(log, tmp_path)
    recorder.close()
    assert log.records == []


@pytest.mark.parametrize(
    "text",
    [
        "The bearer of this letter may pass",
        "bearer authentication-is-explained-in-the-appendix",
        "eyJ is how a JWT begins",
        "see https://example.com/a.b.c",
        "DPoP proof-of-possession",
    ],
)
def test_prose_about_tokens_is_no_token(log: MemoryLog, tmp_path: Path, text: str) -> None:
    with recorder_on(log, tmp_path) as recorder:
        recorder.prompt(trigger_kind="human", trust="trusted", channel=text, text=text)
    assert len(stated(log)) == 1


@pytest.mark.parametrize("piece", [b"eyJ", b"eyJaaaaaaaa.", b"eyJaaaaaaaa.a ", b"bearer ", b"Bearer a", b"dpop  "])
def test_a_strangers_text_of_a_megabyte_is_looked_through_in_no_time(piece: bytes) -> None:
    """A pattern that begins anew at every ``eyJ`` would take hours."""
    began = time.thread_time()
    fault_of_bytes(piece * (1_000_000 // len(piece)))
    assert time.thread_time() - began < 1.0


def test_a_person_is_one_pseudonym_a_process_and_named_in_contents_only(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path / "a") as first, recorder_on(log, tmp_path / "b") as second:
        for _ in range(3):
            first.reasoning_step(status="completed", visibility="full", principal=ALICE)
        first.oversight(oversight_id="o", action="approve", binding="standing", by=ALICE)
        first.reasoning_step(status="completed", visibility="full", principal=ALICE, tenant="other")
        second.reasoning_step(status="completed", visibility="full", principal=first.identify(ALICE))
        second.reasoning_step(status="completed", visibility="full", principal=ALICE)
    events = stated(log)
    pseudonyms = {each.header.principal for each in events} - {None}
    assert len(pseudonyms) == 3
    assert len(log.contents) == 3
    assert {events[0].header.principal} == {each.payload["by"] for each in events if each.header.kind == "oversight"}
    for digest, content in contents(log).items():
        assert digest in pseudonyms
        assert content.media_type == PRINCIPAL
        assert [*content.subjects] == [ALICE.key]
        assert read_person(content) == ALICE
    written = b"".join(each.value or b"" for each in log.events)
    assert b"alice" not in written
    assert b"Archer" not in written


def test_texts_are_salted_and_about_the_principal_unless_said_otherwise(log: MemoryLog, tmp_path: Path) -> None:
    bob = Person(issuer="https://login.example", subject="bob")
    with recorder_on(log, tmp_path) as recorder, recorder.execution(principal=ALICE):
        for given in ("yes", "yes", Text(value="yes", subjects=[bob]), Text(value="yes", subjects=[])):
            recorder.prompt(trigger_kind="human", trust="trusted", text=given)
        kept = recorder.keep(b"\x00\x01")
        recorder.prompt(trigger_kind="human", trust="trusted", text=kept)
    events, found = stated(log), contents(log)
    texts = [found[each.payload["text"]] for each in events]
    assert len({each.payload["text"] for each in events}) == 5
    assert [[*text.subjects] for text in texts] == [[ALICE.key], [ALICE.key], [bob.key], [], [ALICE.key]]
    assert [text.media_type for text in texts] == [*["text/plain"] * 4, "application/octet-stream"]
    assert texts[4].bytes == b"\x00\x01"
    for event in events:
        assert set(event.header.contents) == {event.payload["text"], event.header.principal}


def test_a_token_reference_holds_the_digest_and_the_name() -> None:
    assert token_reference(TOKEN) == TokenReference(
        issuer="https://as.example", jti="j1", digest=sha256(TOKEN.encode()).digest()
    )
    assert Kept(b"x").digest == b"x"
