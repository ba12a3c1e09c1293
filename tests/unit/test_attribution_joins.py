"""Names that join events: what answers to which, and the keys that stand for them."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from ledger.attribution.joins import NAMESPACES, key_of, keys_of, names_of
from ledger.format.event import Cause, EventHeader
from tests.services.forge import blank

RUN = bytes(range(16))
PERSON = bytes(range(32))


def header(kind: str, **given: Any) -> EventHeader:
    empty = EventHeader(bytes(16), kind, 0, None, None, None, None, [], [], [], bytes(32))
    return empty._replace(**given)


def names(kind: str, about: dict[str, Any] | None = None, **fields: Any) -> tuple[set[str], set[str]]:
    answers, follows = names_of(header(kind, **(about or {})), blank(kind) | fields)
    assert {each.partition(":")[0] for each in (*answers, *follows)} <= set(NAMESPACES)
    return set(answers), set(follows)


def token(jti: str | None = "j", issuer: str | None = "as", digest: bytes | None = None) -> dict[str, Any]:
    return {"issuer": issuer, "jti": jti, "digest": digest}


def test_a_key_is_eight_bytes_of_a_hash_over_tenant_and_name() -> None:
    wanted = blake2b(b"acme\0grant:g", digest_size=8).digest()
    assert key_of("acme", "grant:g") == int.from_bytes(wanted, "big", signed=True)
    assert key_of("other", "grant:g") != key_of("acme", "grant:g")
    answers, follows = names_of(header("grant"), blank("grant") | {"grant_id": "g"})
    assert (keys_of("acme").of(answers), follows) == ([wanted], [])


def test_an_action_follows_the_token_and_the_issuance_answers_to_it() -> None:
    answers, _ = names("token_issuance", token=token())
    _, follows = names("api_action", token=token())
    assert answers & follows == {"token:as\0j"}
    other, _ = names("token_issuance", token=token(issuer="another"))
    assert not other & follows


def test_a_token_without_jti_is_joined_by_its_digest() -> None:
    answers, _ = names("token_issuance", token=token(None, None, PERSON))
    _, follows = names("api_action", token=token(None, None, PERSON))
    assert answers & follows == {f"token_digest:{PERSON.hex()}"}


def test_an_exchange_follows_the_token_that_it_exchanged() -> None:
    first, _ = names("token_issuance", token=token("one"))
    _, follows = names("token_issuance", token=token("two"), subject_token=token("one"))
    assert first & follows == {"token:as\0one"}


def test_a_run_is_followed_only_by_events_that_cite_no_trigger() -> None:
    start = f"run_start:{RUN.hex()}"
    assert start in names("prompt", {"execution_id": RUN})[0]
    assert start in names("api_action", {"execution_id": RUN})[1]
    informed = [Cause(bytes(16), None, "informed_by")]
    started = [Cause(bytes(16), None, "started_by")]
    assert start in names("api_action", {"execution_id": RUN, "causes": informed})[1]
    assert start not in names("api_action", {"execution_id": RUN, "causes": started})[1]


def test_a_parent_span_is_followed_and_every_correlation_can_be_found() -> None:
    answers, follows = names("api_action", {"correlation": ["trace:t", "span:s", "parent_span:p", "odd", "mine:x:y"]})
    assert {"correlation:trace:t", "correlation:span:s", "correlation:odd", "correlation:mine:x:y"} <= answers
    assert "correlation:span:p" in follows
    assert "correlation:mine:x:y" not in follows


def test_a_correlation_cannot_pose_as_another_name() -> None:
    answers, _ = names("api_action", {"correlation": ["grant:g", "token:as"]})
    assert not answers & {"grant:g", "token:as"}


def test_a_person_is_found_once_however_often_an_event_names_them() -> None:
    answers, _ = names_of(header("token_issuance", principal=PERSON), blank("token_issuance") | {"subject": PERSON})
    assert answers.count(f"principal:{PERSON.hex()}") == 1


def test_an_erased_payload_leaves_what_the_header_says() -> None:
    answers, follows = names_of(header("prompt", principal=PERSON, execution_id=RUN), None)
    assert set(answers) == {f"principal:{PERSON.hex()}", f"run_start:{RUN.hex()}"}
    assert follows == []
