"""Values of any schema, made from the names of its fields."""

from __future__ import annotations

from hashlib import sha256
from typing import Any


def sample(schema: Any, path: str, full: bool, named: dict[str, Any] | None = None) -> Any:
    """A value of a schema, made from the names of its fields: everything filled, or as little as possible."""
    named = {} if named is None else named
    if isinstance(schema, list):
        return sample(schema[1], path, full, named) if full else None
    kind = schema if isinstance(schema, str) else schema["type"]
    if isinstance(schema, dict) and "name" in schema:
        named[schema["name"]] = schema
    if kind in named and isinstance(schema, str):
        return sample(named[kind], path, full, named)
    if kind == "record":
        fields = {f["name"]: sample(f["type"], f"{path}.{f['name']}", full, named) for f in schema["fields"]}
        return {name: _closed(schema, name, value) for name, value in fields.items()}
    if kind == "array":
        item = sample(schema["items"], path, full, named)
        return [item, item] if full else []
    if kind == "fixed":
        return sha256(path.encode()).digest()[: schema["size"]]
    if kind == "string":
        return path + " é€😀" if full else ""
    return len(path) * (-1) ** len(path) * 1_000_003 if full else 0


def _closed(schema: Any, name: str, value: Any) -> Any:
    """The first value of a closed list, where the field has one."""
    field = next(f for f in schema["fields"] if f["name"] == name)
    return field["values"][0] if isinstance(value, str) and "values" in field else value
