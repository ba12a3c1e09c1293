"""Versions of a schema: a reader of either must read what the other's writer wrote, and mean the same by it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import fastavro
import pytest

from ledger.schema_files import directory

FOLDER = directory()
FILES = sorted(FOLDER.glob("*.avsc"))

Avsc = dict[str, Any]


def read(file: Path) -> Avsc:
    schema: Avsc = json.loads(file.read_text())
    return schema


ADDED: Avsc = {"name": "added", "type": ["null", "string"], "doc": "New.", "default": None}


def example(kind: Any, types: dict[str, Any], full: bool) -> Any:
    """A value of a type: with everything that may be left out, or with nothing of it."""
    if isinstance(kind, list):
        held = example(kind[1], types, full)  # also where it is left out: it may define what a later field names
        return held if full else None
    kind = types.get(kind, kind) if isinstance(kind, str) else kind
    if isinstance(kind, str):
        return {"int": 7, "long": 1 << 40, "bytes": b"bytes", "string": "text"}[kind]
    if "name" in kind:
        types[kind["name"]] = kind
    if kind["type"] == "record":
        return {each["name"]: example(each["type"], types, full) for each in kind["fields"]}
    if kind["type"] == "fixed":
        return bytes(range(kind["size"]))
    if kind["type"] == "array":
        item = example(kind["items"], types, True)
        return [item, item] if full else []
    return example(kind["type"], types, full)


def incompatibilities(older: Avsc, newer: Avsc) -> Iterator[str]:
    """Why data of one version would not be read, or be read differently, by a reader of the other."""
    for writer, reader, way in ((older, newer, "new reader"), (newer, older, "old reader")):
        for full in (False, True):
            datum = example(writer, {}, full)
            try:
                got = exchanged(datum, writer, reader)
            except Exception as error:  # noqa: BLE001 - the library raises what it likes
                yield f"{way}: {type(error).__name__} {error}"
                continue
            if any(got[name] != value for name, value in datum.items() if name in got):
                yield f"{way}: a value changed"
    later = {each["name"]: each for each in newer["fields"]}
    for field in older["fields"]:
        now = later.get(field["name"], field)
        if now.get("refers") != field.get("refers"):
            yield f"{field['name']} refers to something else"
        if not set(now.get("values", ())) >= set(field.get("values", ())):
            yield f"{field['name']} lost a value of its closed list"


def exchanged(datum: Any, writer: Avsc, reader: Avsc) -> Any:
    """What a reader makes of a writer's data by Avro's schema resolution."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, writer, datum)
    stream.seek(0)
    return fastavro.schemaless_reader(stream, writer, reader)


def versions(folder: Path) -> Iterator[list[Path]]:
    """The files of each schema, oldest first."""
    for name in sorted({file.name.split(".")[0] for file in folder.glob("*.avsc")}):
        yield sorted(folder.glob(f"{name}.v*.avsc"), key=lambda file: int(file.name.split(".")[1][1:]))


def unresolvable(folder: Path) -> list[str]:
    """Every reason why neighbouring versions in ``folder`` cannot read each other."""
    return [
        f"{newer.name}: {reason}"
        for files in versions(folder)
        for older, newer in pairwise(files)
        for reason in incompatibilities(read(older), read(newer))
    ]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The schemas, to be spoiled."""
    return Path(shutil.copytree(FOLDER, tmp_path / "schemas"))


def test_readers_of_neighbouring_versions_read_each_others_data() -> None:
    assert unresolvable(FOLDER) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_of_a_schema_survives_its_own_reader(file: Path) -> None:
    assert list(incompatibilities(read(file), read(file))) == []


def write_next(folder: Path, name: str, change: Any) -> None:
    """Writes a changed copy of a schema's first version as its second."""
    schema = read(folder / f"{name}.v1.avsc")
    change(schema)
    (folder / f"{name}.v2.avsc").write_text(json.dumps(schema))


def field_of(schema: Avsc, name: str) -> Avsc:
    found: Avsc = next(each for each in schema["fields"] if each["name"] == name)
    return found


def test_a_version_that_only_adds_is_let_through(copy: Path) -> None:
    write_next(copy, "memory", lambda schema: schema["fields"].append(ADDED))
    write_next(copy, "oversight", lambda schema: field_of(schema, "action")["values"].append("delegate"))
    write_next(
        copy, "api_action", lambda schema: schema["fields"].append(ADDED | {"type": "string", "default": "none"})
    )
    assert unresolvable(copy) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema["fields"].append({"name": "added", "type": "string", "doc": "No default."}),
        lambda schema: schema["fields"].remove(field_of(schema, "phase")),
        lambda schema: field_of(schema, "phase").update(name="stage"),
        lambda schema: field_of(schema, "phase").update(type="long"),
        lambda schema: field_of(schema, "attempt").update(type="string", default=""),
        lambda schema: field_of(schema, "attempt").update(type=["null", "int"]),
        lambda schema: field_of(schema, "attempt").update(type="long", default=1),
        lambda schema: field_of(schema, "operation").update(type=["null", "string"], default=None),
        lambda schema: field_of(schema, "parameter_digest").update(type=["null", "bytes"]),
        lambda schema: field_of(schema, "oversight_ids").update(type="string", default=""),
        lambda schema: field_of(schema, "arguments").pop("refers"),
        lambda schema: field_of(schema, "effect")["values"].remove("partial"),
        lambda schema: schema.update(name="api_call"),
    ],
)
def test_a_version_that_an_older_or_newer_reader_cannot_read_is_refused(copy: Path, change: Any) -> None:
    write_next(copy, "api_action", change)
    assert unresolvable(copy) != []
    assert all(each.startswith("api_action.v2.avsc: ") for each in unresolvable(copy))
