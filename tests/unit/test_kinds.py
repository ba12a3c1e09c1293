"""Payload classes: equal to the schemas, there and back, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from ledger.errors import InvalidEvent, VerificationError
from ledger.format.kinds import (
    KINDS,
    Actor,
    ActorChain,
    ApiAction,
    ContentErasure,
    Kind,
    Oversight,
    Prompt,
    TokenIssuance,
    TokenReference,
    check,
    content_digests,
    digests_of,
    encode_body,
    from_avro,
    to_avro,
)
from ledger.format.kinds.shape import Part, fields_of
from ledger.schema_files import directory, load_schemas
from tests.strategies import payloads

ENVELOPE = {"SealedBatch", "Seal", "EventHeader", "Content"}
A, B, C = b"a" * 32, b"b" * 32, b"c" * 32

Avsc = dict[str, Any]


def newest(kind: str) -> Avsc:
    """The last version of a kind's schema, as written."""
    versions = sorted(directory().glob(f"{kind}.v*.avsc"), key=version)
    schema: Avsc = json.loads(versions[-1].read_text())
    return schema


def version(file: Path) -> int:
    return int(file.name.split(".")[1].removeprefix("v"))


def named_types(schema: Any) -> Iterator[Avsc]:
    """Every named type that is defined in a schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from named_types(each)
    elif isinstance(schema, dict):
        if "name" in schema and schema["type"] in ("record", "fixed"):
            yield schema
        for field in schema.get("fields", ()):
            yield from named_types(field["type"])
        if "items" in schema:
            yield from named_types(schema["items"])


def assert_equal(cls: type[Part], record: Avsc, types: dict[str, Avsc]) -> None:
    fields = fields_of(cls)
    assert [each.name for each in fields] == [each["name"] for each in record["fields"]]
    for field, avsc in zip(fields, record["fields"], strict=True):
        inner = avsc["type"]
        assert field.optional == isinstance(inner, list), f"{cls.__name__}.{field.name}: one of the two is nullable"
        inner = inner[1] if isinstance(inner, list) else inner
        many = isinstance(inner, dict) and inner["type"] == "array"
        assert field.many == many, f"{cls.__name__}.{field.name}: one of the two is an array"
        inner = inner["items"] if many else inner
        defined = inner if isinstance(inner, dict) else types.get(inner, {"type": inner})
        wanted = {"string": str, "long": int, "fixed": bytes, "record": field.type}[defined["type"]]
        assert field.type is wanted, f"{cls.__name__}.{field.name}: {field.type.__name__} is not {defined['type']}"
        assert field.values == tuple(avsc.get("values", ())), f"{cls.__name__}.{field.name}: closed lists differ"
        size, refers = (field.fixed.size, field.fixed.refers) if field.fixed else (None, None)
        assert (size, refers) == (defined.get("size"), avsc.get("refers")), f"{cls.__name__}.{field.name}: differs"
        if defined["type"] == "record":
            assert field.type.__name__ == defined["name"]
            assert_equal(field.type, defined, types)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_has_the_fields_of_its_schema_in_its_order(kind: str) -> None:
    schema = newest(kind)
    assert_equal(KINDS[kind], schema, {each["name"]: each for each in named_types(schema)})


def test_every_schema_but_the_envelope_is_a_kind() -> None:
    assert set(KINDS) == set(load_schemas().by_name) - ENVELOPE


@given(payloads())
def test_a_payload_comes_back_from_its_bytes(payload: Kind) -> None:
    check(payload)
    schemas = load_schemas()
    data = schemas.encode(payload.KIND, to_avro(payload))
    datum = schemas.decode(data, payload.KIND)
    assert schemas.canonical(data)
    assert from_avro(payload.KIND, datum) == payload


@given(payloads())
def test_the_short_way_to_the_bytes_gives_those_of_the_general_encoder(payload: Kind) -> None:
    schemas = load_schemas()
    general = schemas.encode(payload.KIND, to_avro(payload))
    assert schemas.by_name[payload.KIND].frame + encode_body(payload) == general


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1023, 1024, 8191, 8192, 1 << 20])
def test_a_text_and_an_array_of_any_length_are_encoded(size: int) -> None:
    schemas = load_schemas()
    payload = action(operation="x" * size, resource="ü" * size, oversight_ids=("y",) * (size % 9000))
    assert schemas.by_name["api_action"].frame + encode_body(payload) == schemas.encode("api_action", to_avro(payload))


@given(payloads())
def test_a_datum_has_the_order_of_the_schema(payload: Kind) -> None:
    assert list(to_avro(payload)) == [each["name"] for each in load_schemas().by_name[payload.KIND].parsed["fields"]]


def marked(schema: Any, datum: Any, types: dict[str, Avsc], refers: bool = False) -> Iterator[bytes]:
    """Every digest under a field that the schema marks, found without the classes."""
    if isinstance(schema, list):
        if datum is not None:
            yield from marked(schema[1], datum, types, refers)
        return
    schema = types.get(schema, schema) if isinstance(schema, str) else schema
    if isinstance(schema, str):
        return
    if schema["type"] == "record":
        for field in schema["fields"]:
            yield from marked(field["type"], datum[field["name"]], types, "refers" in field)
    elif schema["type"] == "array":
        for each in datum:
            yield from marked(schema["items"], each, types, refers)
    elif refers:
        yield datum


@given(payloads())
def test_the_digests_of_contents_and_persons_are_those_that_the_schema_marks(payload: Kind) -> None:
    schema = newest(payload.KIND)
    found = content_digests(payload)
    expected = set(marked(schema, to_avro(payload), {each["name"]: each for each in named_types(schema)}))
    assert set(found) == expected
    assert len(found) == len(expected)
    assert list(dict.fromkeys(digests_of(payload.KIND, to_avro(payload)))) == found


def test_a_person_deep_in_an_actor_chain_is_found() -> None:
    act = ActorChain(chain=(Actor(iss="https://a", sub="agent"), Actor(person=B)))
    issued = token(subject=A, act=act, may_act=(Actor(person=C), Actor(person=A)))
    assert content_digests(issued) == [A, B, C]


def test_what_is_to_be_erased_is_not_a_reference() -> None:
    assert content_digests(ContentErasure(contents=(A,), events=(B,), basis="gdpr_art_17", by=C)) == [C]


def token(**more: Any) -> TokenIssuance:
    reference = TokenReference(issuer="https://as", jti="1")
    return TokenIssuance(status="issued", token=reference, verification="issuer", observer="issuer", **more)


def action(**more: Any) -> ApiAction:
    required = {"action_id": "1", "phase": "intended", "operation": "search", "observer": "agent"}
    return ApiAction(**(required | more))


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (action(effect="some"), "api_action: effect is 'some'; it must be one of none, partial, full"),
        (action(phase=None), "api_action: phase is missing; give str"),
        (action(observer="x" * 200), "observer is 'xxxxx"),
        (action(resource=7), "api_action: resource is of type int; it must be str or None"),
        (action(attempt=True), "api_action: attempt is of type bool; it must be int or None"),
        (action(attempt="1"), "api_action: attempt is of type str; it must be int or None"),
        (action(ended_at=1 << 63), "ended_at is 9223372036854775808; it must fit in 64 bits"),
        (action(arguments=b"short"), "api_action: arguments has 5 bytes; it must have 32"),
        (action(arguments="x" * 32), "arguments is of type str; it must be bytes or None"),
        (action(oversight_ids=["1"]), "oversight_ids is of type list; it must be a tuple of str"),
        (action(oversight_ids=None), "oversight_ids is missing; give a tuple of str"),
        (action(oversight_ids=("1", 2)), "oversight_ids holds a int; it must hold str only"),
        (action(token={"jti": "1"}), "token is of type dict; it must be TokenReference or None"),
        (
            action(token=TokenReference(issuer="https://as")),
            "in token, no token is named: give jti (with issuer) or digest",
        ),
        (action(token=TokenReference(digest=b"")), "in token, digest has 0 bytes; it must have 32"),
        (token(act=ActorChain(chain=(Actor(sub=1),))), "in act, in chain, sub is of type int"),  # type: ignore[arg-type]
        (token(may_act=(Actor(sub="a", person=A),)), "in may_act, a person is given beside iss or sub"),
        (Oversight(oversight_id="1", action="approve", binding="digest"), "bound_digest is missing: give the digest"),
        (Oversight(oversight_id="1", action="approve", binding="reference"), "reference is missing: name what was"),
        (
            Prompt(trigger_kind="human", trust="trusted", attachments=(A, b"b")),
            "attachments holds 1 bytes; each must have 32",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_a_sentence_that_names_it(payload: Kind, sentence: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        check(payload)
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"{payload.KIND}: ")
    assert len(str(refused.value)) < 200


def test_a_good_payload_does_not_make_a_later_bad_one_pass() -> None:
    good = action(effect="none", attempt=1, arguments=A, token=TokenReference(jti="1"))
    check(good)
    for bad in ({"effect": "most"}, {"attempt": 1 << 70}, {"arguments": b"a"}, {"token": TokenReference()}):
        with pytest.raises(InvalidEvent):
            check(replace(good, **bad))


def test_a_payload_cannot_be_changed_or_given_by_position() -> None:
    with pytest.raises(FrozenInstanceError):
        action().phase = "completed"  # type: ignore[misc]
    with pytest.raises(TypeError):
        TokenReference("https://as")  # type: ignore[call-arg]
    assert not hasattr(action(), "__dict__")


def test_a_newer_publisher_is_read_and_an_older_one_too() -> None:
    newer = to_avro(action(effect="none")) | {"effect": "reversed", "added_later": 1}
    read = from_avro("api_action", newer)
    assert to_avro(read)["effect"] == "reversed"
    older = {name: value for name, value in to_avro(action()).items() if name not in ("ended_at", "oversight_ids")}
    assert from_avro("api_action", older) == action()
    token = TokenReference(issuer="https://as", jti="t")
    older = to_avro(action(token=token)) | {"token": {"issuer": "https://as", "jti": "t"}}
    assert from_avro("api_action", older) == action(token=token)


@pytest.mark.parametrize(("kind", "datum"), [("tea_break", {}), ("api_action", {"phase": "intended"})])
def test_what_is_no_payload_of_ours_is_unprojectable(kind: str, datum: dict[str, Any]) -> None:
    with pytest.raises(VerificationError) as refused:
        from_avro(kind, datum)
    assert refused.value.reason == "unprojectable"
