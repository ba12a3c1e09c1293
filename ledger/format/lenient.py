"""An Avro reader by the letter of its specification: what is valid and not canonical, and nothing that is invalid.

General decoders let different invalid bytes pass (negative union indexes, numbers beyond 64 bits, wrong block sizes), and a
verdict must not depend on one of them. Slow and plain: only what the strict reader does not take comes here.
"""

from __future__ import annotations

from typing import Any, Final

_VARINT_BYTES: Final = 10
_LONG_LIMIT: Final = 1 << 64


class Invalid(ValueError):
    """Not Avro, by the schema given."""


class LenientReader:
    """Reads a body from ``data``, beginning at ``at``, which moves on."""

    def __init__(self, schema: Any, data: bytes, at: int) -> None:
        self._data = data
        self._named: dict[str, Any] = {}
        self._name(schema)
        self.at = at

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def _name(self, schema: Any) -> None:
        """Notes the types that a schema names, also those of branches and items that the data leave out."""
        for each in schema if isinstance(schema, list) else [schema]:
            if not isinstance(each, dict):
                continue
            if "name" in each:
                self._named[each["name"]] = each
            for inner in [field["type"] for field in each.get("fields", [])] + [each.get("items")]:
                self._name(inner)

    def read(self, schema: Any) -> Any:
        """The next value, of a parsed ``schema`` (no recursion, no map, boolean, enum or float); raises ``Invalid``."""
        if isinstance(schema, list):
            return self._union(schema)
        if isinstance(schema, str):
            return self.read(self._named[schema]) if schema in self._named else self._primitive(schema)
        kind = schema["type"]
        if kind == "record":
            return {field["name"]: self.read(field["type"]) for field in schema["fields"]}
        if kind == "fixed":
            return self._take(schema["size"])
        return self._array(schema["items"]) if kind == "array" else self._primitive(kind)

    def _primitive(self, kind: str) -> Any:
        if kind == "null":
            return None
        if kind == "long":
            return self._long()
        if kind == "int":
            return self._int()
        data = self._take(self._long())
        if kind == "bytes":
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise Invalid("a string is not UTF-8") from None

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise Invalid(f"a length of {size} where {self.left} bytes are left")
        self.at += size
        return self._data[self.at - size : self.at]

    def _long(self) -> int:
        value = 0
        for place in range(_VARINT_BYTES):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if value >= _LONG_LIMIT:
                    raise Invalid("a number beyond 64 bits")
                return (value >> 1) ^ -(value & 1)
        raise Invalid("a number of more than ten bytes")

    def _int(self) -> int:
        value = self._long()
        if not -(1 << 31) <= value < 1 << 31:
            raise Invalid("an int beyond 32 bits")
        return value

    def _union(self, branches: list[Any]) -> Any:
        index = self._long()
        if not 0 <= index < len(branches):
            raise Invalid(f"a union's branch {index}")
        return self.read(branches[index])

    def _array(self, items: Any) -> list[Any]:
        found: list[Any] = []
        while count := self._long():
            size = self._long() if count < 0 else None
            if abs(count) > self.left:  # every item of our schemas has at least a byte
                raise Invalid(f"a block of {abs(count)} items where {self.left} bytes are left")
            start = self.at
            found += [self.read(items) for _ in range(abs(count))]
            if size is not None and self.at - start != size:
                raise Invalid("a block of another size than it says")
        return found
