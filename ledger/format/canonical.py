"""A check of Avro bytes, compiled from a schema: whether they are what the strict reader takes, without making a value of them.

Who verifies a log asks of every payload whether it is what its kind says, and looks at what is in few. The grammar is the
strict reader's, and so is the writer of the code; a test holds the two to the same verdict, byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ledger.format.strict import INT_LIMIT, START, NotCanonical, Writer, given, more

Check = Callable[[bytes], bool]

_STEPS: Final = tuple(1 + (first >> 1) if 0 < first < 128 and first % 2 == 0 else 0 for first in range(256))
"""By its first byte, how far a string reaches with its length, where that is one byte and not 0."""


def compile_check(schema: Any) -> Check:
    """Whether framed data are the canonical encoding of a datum by a parsed ``schema``, and no string holds U+0000.

    The strings are looked at together, each with the last byte of its length before it: that is ASCII, so no character spans
    two of them, and not 0.
    """
    writer = _Checker(tuples=True, classes={})
    writer.value(schema)
    lines = [
        "def check(d):",
        " try:",
        f"  p, n, texts = {START}, len(d), []",
        *(f"  {line}" for line in writer.lines),
        "  if p != n: return False",
        "  text = b''.join(texts)",
        "  return b'\\0' not in text and (text.isascii() or bool(text.decode()))",
        " except (IndexError, UnicodeDecodeError, NotCanonical):",
        "  return False",
    ]
    names: dict[str, Any] = {"more": more, "STEPS": _STEPS, "NotCanonical": NotCanonical}
    exec("\n".join(lines), names)  # noqa: S102 - the text is made here, of numbers alone
    check: Check = names["check"]
    return check


class _Checker(Writer):
    """Writes the body of a check. What stands for a value is nothing: no method's result is used."""

    def primitive(self, kind: str) -> str:
        if kind == "string":
            end = self.name()
            self.put(f"{end} = p + STEPS[d[p]]", f"if {end} > p: texts.append(d[p:{end}]); p = {end}", "elif d[p]:")
            self.nested(self._long_string)
            self.put("else: p += 1")
        elif kind == "bytes":
            self.put(f"p = {self.length()}")
        else:
            number = self.varint()
            if kind == "int":
                self.put(f"if {number} >= {INT_LIMIT}: return False")
        return ""

    def _long_string(self) -> None:
        end = self.length()
        self.put(f"texts.append(d[p - 1:{end}]); p = {end}")

    def fixed(self, size: int) -> str:
        self.put(f"p += {size}")
        return ""

    def optional(self, branches: list[Any]) -> str:
        branch = self.name()
        self.put(f"{branch} = d[p]; p += 1", f"if {branch}:")

        def value() -> None:
            self.put(f"if {branch} != 2: return False")
            self.value(given(branches))

        self.nested(value)
        return ""

    def array(self, items: Any) -> str:
        length = self.varint()
        self.put(f"if {length}:")
        self.nested(lambda: self.block(length, lambda: (self.value(items), None)[1]))
        return ""

    def record(self, schema: Mapping[str, Any]) -> str:
        for field in schema["fields"]:
            self.value(field["type"])
        return ""
