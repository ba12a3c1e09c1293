"""The published schemas: unchanged, listed, plain, and such that readers of neighbouring versions read each other's data."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from ledger.errors import ConfigurationError
from ledger.format.lock import Locked, lock_line, read_lock
from ledger.schema_files import directory, read_locked
from tests import stranger
from tests.lock_schemas import publish

FOLDER = directory()
FILES = sorted(FOLDER.glob("*.avsc"))
PLAIN = {"null", "int", "long", "bytes", "string", "record", "array", "fixed"}

Avsc = dict[str, Any]


def read(file: Path) -> Avsc:
    schema: Avsc = json.loads(file.read_text())
    return schema


# Rules of form ------------------------------------------------------------------------------------------------------


def faults(schema: Any, place: str = "", inside: tuple[str, ...] = ()) -> Iterator[str]:
    """What in a schema is not allowed here, in words."""
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null" or schema[1] == "null":
            yield f"{place}: a union must be of null, first, and one other"
        for each in schema:
            yield from faults(each, place, inside)
        return
    if isinstance(schema, str):
        if schema in inside:
            yield f"{place}: {schema} holds itself"
        elif schema not in PLAIN | {"fixed16", "fixed32"} and not schema[0].isupper():
            yield f"{place}: {schema} is not allowed"
        return
    if not isinstance(schema["type"], str):
        yield from faults(schema["type"], place, inside)
        return
    if schema["type"] not in PLAIN:
        yield f"{place}: {schema['type']} is not allowed"
    if "logicalType" in schema:
        yield f"{place}: a logical type"
    if schema["type"] == "fixed" and schema["name"] != f"fixed{schema['size']}":
        yield f"{place}: a fixed of {schema['size']} bytes is called {schema['name']}"
    if "items" in schema:
        yield from faults(schema["items"], place, inside)
    for field in schema.get("fields", ()):
        yield from field_faults(field, f"{place}.{field['name']}", (*inside, schema["name"]))


def field_faults(field: Avsc, place: str, inside: tuple[str, ...]) -> Iterator[str]:
    if not field.get("doc", "").rstrip().endswith((".", "…")):
        yield f"{place}: no sentence says what it means"
    if "logicalType" in field:
        yield f"{place}: a logical type"
    nullable = isinstance(field["type"], list)
    if nullable and ("default" not in field or field["default"] is not None):
        yield f"{place}: nullable without the default null"
    if "values" in field and ", ".join(field["values"]) not in field["doc"]:
        yield f"{place}: the doc does not name the closed list"
    if field.get("refers", "content") not in ("content", "person"):
        yield f"{place}: refers to {field['refers']}"
    yield from faults(field["type"], place, inside)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_schema_has_only_what_decoders_agree_on_and_says_what_it_means(file: Path) -> None:
    schema = read(file)
    assert list(faults(schema)) == []
    assert schema["doc"]
    assert schema["namespace"] == "answerable"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_is_called_after_its_record(file: Path) -> None:
    name, version, ending = file.name.split(".")
    assert read(file)["name"] in (name, "".join(part.capitalize() for part in name.split("_")))
    assert version[0] == "v"
    assert int(version[1:]) >= 1
    assert ending == "avsc"


WITH_DOC = {"name": "x", "doc": "Something."}


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ({"type": "boolean"}, "boolean is not allowed"),
        ({"type": "float"}, "float is not allowed"),
        ({"type": "double"}, "double is not allowed"),
        ({"type": {"type": "map", "values": "string"}}, "map is not allowed"),
        ({"type": {"type": "enum", "name": "E", "symbols": ["A"]}}, "enum is not allowed"),
        ({"type": {"type": "array", "items": "boolean"}}, "boolean is not allowed"),
        ({"type": {"type": "long", "logicalType": "timestamp-micros"}}, "a logical type"),
        ({"type": "long", "logicalType": "timestamp-micros"}, "a logical type"),
        ({"type": ["string", "null"], "default": None}, "a union must be of null, first"),
        ({"type": ["null", "string", "long"], "default": None}, "a union must be of null, first"),
        ({"type": ["null", "string"]}, "nullable without the default null"),
        ({"type": {"type": "array", "items": "Top"}}, "Top holds itself"),
        ({"type": ["null", "Top"], "default": None}, "Top holds itself"),
        ({"type": {"type": "fixed", "name": "digest", "size": 32}}, "a fixed of 32 bytes is called digest"),
        ({"type": "string", "doc": ""}, "no sentence says what it means"),
        ({"type": "string", "values": ["a", "b"]}, "the doc does not name the closed list"),
        ({"type": "string", "refers": "secret"}, "refers to secret"),
    ],
)
def test_what_is_not_allowed_is_seen(field: Avsc, fault: str) -> None:
    schema = {"type": "record", "name": "Top", "fields": [WITH_DOC | field]}
    found = list(faults(schema))
    assert len(found) == 1
    assert fault in found[0]


def inner_records(schema: Any) -> Iterator[Avsc]:
    """Every record that a schema defines, itself last."""
    if isinstance(schema, list):
        for each in schema:
            yield from inner_records(each)
    elif isinstance(schema, dict):
        yield from inner_records(schema.get("items"))
        for field in schema.get("fields", ()):
            yield from inner_records(field["type"])
        if schema["type"] == "record":
            yield schema


def outline(kind: Any) -> Any:
    """A type with what is defined inside it replaced by its name."""
    if isinstance(kind, list):
        return [outline(each) for each in kind]
    if isinstance(kind, dict):
        return {"array": outline(kind["items"])} if kind["type"] == "array" else kind["name"]
    return kind


def test_a_record_that_several_schemas_share_is_the_same_in_all() -> None:
    seen: dict[tuple[str, str], tuple[str, Any]] = {}
    shared = set()
    for file in FILES:
        for record in inner_records(read(file)):
            key = (file.name.split(".")[1], record["name"])
            fields = [{**each, "type": outline(each["type"])} for each in record["fields"]]
            first, earlier = seen.setdefault(key, (file.name, fields))
            assert earlier == fields, f"{record['name']} differs between {first} and {file.name}"
            if first != file.name:
                shared.add(record["name"])
    assert shared >= {"TokenReference", "Authentication"}


# LOCK ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "number"),
    [
        ("null", "63dd24e7cc258f8a"),
        ("int", "7275d51a3f395c8f"),
        ("string", "8f014872634503c7"),
        ("bytes", "4fc016dac3201965"),
    ],
)
def test_the_fingerprint_is_that_of_the_avro_specification(schema: str, number: str) -> None:
    wire = fingerprint(to_parsing_canonical_form(fastavro.parse_schema(schema)), "CRC-64-AVRO")
    assert bytes.fromhex(wire)[::-1].hex() == number
    assert crc64(f'"{schema}"'.encode()) == int(number, 16)


def crc64(data: bytes) -> int:
    """CRC-64-AVRO as the specification's own listing computes it."""
    empty = value = 0xC15D213AA4D7A795
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (empty if value & 1 else 0)
    return value


def locked() -> list[Locked]:
    return read_lock((FOLDER / "LOCK").read_text())


def test_a_published_schema_is_the_file_that_was_published() -> None:
    for each in locked():
        text = (FOLDER / each.file).read_bytes()
        assert lock_line(each.file, text) == " ".join(each), (
            f"{each.file} was changed after it was published: add a version"
        )
        canonical = to_parsing_canonical_form(fastavro.parse_schema(json.loads(text)))
        assert crc64(canonical.encode()).to_bytes(8, "little").hex() == each.fingerprint


def test_lock_lists_every_schema_once() -> None:
    assert sorted(each.file for each in locked()) == [file.name for file in FILES]


def test_no_fingerprint_stands_for_two_schemas() -> None:
    fingerprints = [each.fingerprint for each in locked()]
    assert len(set(fingerprints)) == len(fingerprints)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=FOLDER, check=True, capture_output=True, text=True).stdout


def test_lock_only_ever_grew() -> None:
    try:
        commits = git("log", "--format=%H", "--", "LOCK").split()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git history here: run in a clone to hold LOCK against it")
    now = (FOLDER / "LOCK").read_text()
    for commit in commits:
        assert grew(git("show", f"{commit}:./LOCK"), now), (
            f"a line that stood in LOCK at {commit[:12]} was changed or removed"
        )


def grew(before: str, now: str) -> bool:
    return now.startswith(before) and (before.endswith("\n") or not before)


@pytest.mark.parametrize("now", ["a\n", "a\nc\nb\n", "b\na\n", "a\nb2\n", ""])
def test_a_lock_that_did_not_only_grow_is_seen(now: str) -> None:
    assert not grew("a\nb\n", now)
    assert grew("a\nb\n", "a\nb\nc\n")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The schemas, to be spoiled."""
    return Path(shutil.copytree(FOLDER, tmp_path / "schemas"))


def test_a_word_changed_in_a_doc_is_refused(copy: Path) -> None:
    file = copy / "prompt.v1.avsc"
    file.write_text(file.read_text().replace("trusted if", "untrusted if"))
    with pytest.raises(ConfigurationError, match=r"prompt\.v1\.avsc"):
        read_locked(copy)


def test_a_lock_whose_last_line_has_no_end_is_read(copy: Path) -> None:
    lock = copy / "LOCK"
    lock.write_bytes(lock.read_bytes().removesuffix(b"\n"))
    assert read_locked(copy) == read_locked(FOLDER)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lock: lock[:0],
        lambda lock: b"\n" + lock,
        lambda lock: lock + b"\n",
        lambda lock: lock.replace(b"\n", b"\r\n"),
        lambda lock: lock.replace(b" ", b"  ", 1),
        lambda lock: lock.replace(b" ", b"\t", 1),
        lambda lock: lock.replace(b"\n", b" more\n", 1),
        lambda lock: lock[:16].upper() + lock[16:],
        lambda lock: lock[2:],
        lambda lock: lock + lock.splitlines(keepends=True)[0],
        lambda lock: lock.replace(b".v1.avsc", b".v9.avsc", 1),
        lambda lock: b"\xff" + lock[1:],
    ],
)
def test_a_lock_of_another_form_or_of_other_files_is_unusable(copy: Path, spoil: Callable[[bytes], bytes]) -> None:
    lock = copy / "LOCK"
    assert spoil(lock.read_bytes()) != lock.read_bytes()
    lock.write_bytes(spoil(lock.read_bytes()))
    with pytest.raises(ConfigurationError, match="install the package again"):
        read_locked(copy)
    with pytest.raises(ValueError):  # noqa: PT011 - the stranger has no words for it
        stranger.load_schemas(copy)


def test_a_fingerprint_that_is_not_the_files_own_is_refused(copy: Path) -> None:
    lock = copy / "LOCK"
    lock.write_bytes(b"0" * 16 + lock.read_bytes()[16:])
    with pytest.raises(ConfigurationError, match=r"sealed_batch\.v1\.avsc is not the published one"):
        read_locked(copy)


def test_publishing_adds_what_is_missing_and_touches_nothing_else(copy: Path) -> None:
    before = (copy / "LOCK").read_text()
    assert publish(copy) == []
    second = (copy / "memory.v1.avsc").read_text().replace('"name": "memory"', '"name": "memory_of_it"')
    (copy / "memory.v2.avsc").write_text(second)
    (line,) = publish(copy)
    assert (copy / "LOCK").read_text() == f"{before}{line}\n"
    assert len(read_locked(copy)) == len(locked()) + 1
