"""A strict Avro reader, compiled from a schema: it takes the one canonical encoding of a datum and nothing else.

General decoders are lenient: overlong varints, block sizes, negative union indexes pass. A seal covers bytes, so two encodings
of one datum are two events, and decoders that disagree about odd bytes disagree about evidence. This reader raises
``NotCanonical`` for whatever a correct encoder would not write. It is also three times as fast as the library's, which reads
byte by byte from a stream; the library stays the judge of what is odd (``codec.read_body``) and the oracle of the tests.

It knows what the schemas use: null, int, long, string, bytes, fixed, array, record, and unions of null and one type. No item of
an array is empty, so a stated count allocates nothing that the bytes do not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

START: Final = 10
"""Where the body begins: after the mark and the fingerprint."""

Reader = Callable[[bytes], Any]
INT_LIMIT: Final = 1 << 32
_LONG_LIMIT: Final = 1 << 64
_GO_ON: Final = sum(128 << shift for shift in range(0, 49, 7))
"""The bits that say of the first seven bytes that another follows."""


class NotCanonical(ValueError):
    """Not the canonical encoding of anything; a lenient decoder may still read it."""


class HoldsNul(ValueError):
    """A string holds U+0000, which no string of the format may."""


def compile_reader(schema: Any, *, tuples: bool, classes: Sequence[type[NamedTuple]] = ()) -> Reader:
    """A reader of framed data by a parsed ``schema``: records become tuples in the schema's order, or dicts.

    Tuples are of those ``classes`` that are called as the records; they have the schema's fields in its order. It raises
    ``NotCanonical`` or ``HoldsNul``, nothing else, whatever the bytes.
    """
    writer = Writer(tuples=tuples, classes={each.__name__: each for each in classes})
    result = writer.value(schema)
    lines = [
        "def read(d):",
        " try:",
        f"  p, n = {START}, len(d)",
        *(f"  {line}" for line in writer.lines),
        " except (IndexError, UnicodeDecodeError) as error:",
        "  raise NotCanonical('cut short, or not UTF-8') from None",
        " if p != n:",
        "  raise NotCanonical('bytes missing or left over')",
        f" return {result}",
    ]
    names: dict[str, Any] = {
        "more": more,
        "new": tuple.__new__,
        "NotCanonical": NotCanonical,
        "HoldsNul": HoldsNul,
        **writer.classes,
    }
    exec("\n".join(lines), names)  # noqa: S102 - the text is made here, of numbers and of field names as Python literals
    reader: Reader = names["read"]
    return reader


def more(data: bytes, at: int, first: int) -> tuple[int, int]:
    """The rest of a varint whose first byte goes on: its unsigned value and the position after it.

    One of eight bytes at once, for such are times of this age: a loop takes five times as long.
    """
    rest = data[at : at + 7]
    if len(rest) == 7:
        b, c, d, e, f, g, h = rest
        if 0 < h < 128 <= b & c & d & e & f & g:
            others = (b << 7) + (c << 14) + (d << 21) + (e << 28) + (f << 35) + (g << 42) + (h << 49)
            return first + others - _GO_ON, at + 7
    value, shift = first & 127, 7
    while True:
        byte = data[at]
        at += 1
        if byte < 128:
            break
        value |= (byte & 127) << shift
        shift += 7
        if shift > 63:
            raise NotCanonical("a varint of more than ten bytes")
    value |= byte << shift
    if byte == 0 or value >= _LONG_LIMIT:
        raise NotCanonical("an overlong varint, or one beyond 64 bits")
    return value, at


class Writer:
    """Writes the body of a reader; ``ledger.format.canonical`` makes it write a check.

    Each method leaves a value in a variable of the generated code and gives its name.
    """

    def __init__(self, *, tuples: bool, classes: Mapping[str, type[NamedTuple]]) -> None:
        self.lines: list[str] = []
        self.classes = classes
        self._tuples = tuples
        self._indent = ""
        self._numbers = count()
        self._named: dict[str, Any] = {}

    def value(self, schema: Any) -> str:
        if isinstance(schema, list):
            return self.optional(schema)
        if isinstance(schema, str):
            return self.value(self._named[schema]) if schema in self._named else self.primitive(schema)
        kind = schema["type"]
        if kind in ("record", "fixed"):
            self._named[schema["name"]] = schema
        if kind == "record":
            return self.record(schema)
        if kind == "fixed":
            return self.fixed(schema["size"])
        if kind == "array":
            return self.array(schema["items"])
        return self.primitive(kind)

    def put(self, *lines: str) -> None:
        self.lines += [self._indent + line for line in lines]

    def name(self) -> str:
        return f"v{next(self._numbers)}"

    def varint(self) -> str:
        name = self.name()
        self.put(f"{name} = d[p]; p += 1", f"if {name} > 127: {name}, p = more(d, p, {name})")
        return name

    def _short(self) -> str:
        """A varint that seldom has more than two bytes: of those no call is made."""
        name, next_ = self.name(), self.name()
        self.put(f"{name} = d[p]; p += 1", f"if {name} > 127:")
        self.put(f" {next_} = d[p]")
        self.put(f" if 0 < {next_} < 128: {name} += ({next_} - 1) << 7; p += 1")
        self.put(f" else: {name}, p = more(d, p, {name})")
        return name

    def length(self) -> str:
        """The end of what follows with its length before it."""
        name = self._short()
        self.put(f"if {name} & 1: raise NotCanonical('a negative length')", f"{name} = p + ({name} >> 1)")
        return name

    def primitive(self, kind: str) -> str:
        if kind in ("int", "long"):
            name = self.varint()
            if kind == "int":
                self.put(f"if {name} >= {INT_LIMIT}: raise NotCanonical('beyond 32 bits')")
            self.put(f"{name} = ({name} >> 1) ^ -({name} & 1)")
        elif kind == "string":
            name = self.length()
            self.put(f"{name}, p = d[p:{name}].decode(), {name}", f"if '\\0' in {name}: raise HoldsNul()")
        elif kind == "bytes":
            name = self.length()
            self.put(f"{name}, p = d[p:{name}], {name}")
        else:
            raise ValueError(f"schemas do not use {kind!r}")
        return name

    def fixed(self, size: int) -> str:
        name = self.name()
        self.put(f"{name} = d[p:p + {size}]; p += {size}")
        return name

    def optional(self, branches: list[Any]) -> str:
        result, branch = self.name(), self.name()
        self.put(f"{branch} = d[p]; p += 1", f"if {branch} == 0: {result} = None", f"elif {branch} == 2:")
        self.nested(lambda: self.put(f"{result} = {self.value(given(branches))}"))
        self.put("else: raise NotCanonical('no such branch')")
        return result

    def array(self, items: Any) -> str:
        result = self.name()
        length = self.varint()
        self.put(f"{result} = []", f"if {length}:")
        self.nested(lambda: self.block(length, lambda: self.put(f"{result}.append({self.value(items)})")))
        return result

    def block(self, length: str, item: Callable[[], None]) -> None:
        """One block of as many items as the varint says, and the end mark."""

        def each() -> None:
            # A slice past the end is no error in Python: without this a stated count alone would keep the loop going.
            self.put("if p >= n: raise NotCanonical('cut short')")
            item()

        self.put(f"if {length} & 1: raise NotCanonical('a negative count')")
        self.put(f"for {self.name()} in range({length} >> 1):")
        self.nested(each)
        self.put("if d[p]: raise NotCanonical('a second block')", "p += 1")

    def record(self, schema: Mapping[str, Any]) -> str:
        fields = [(field["name"], self.value(field["type"])) for field in schema["fields"]]
        result = self.name()
        if self._tuples:
            made = f"({''.join(f'{value}, ' for _, value in fields)})"
            name = schema["name"].rpartition(".")[2]
            if (of := self.classes.get(name)) is not None:
                if of._fields != tuple(field for field, _ in fields):
                    raise ValueError(f"{name} has other fields than its schema")
                made = f"new({name}, {made})"
            self.put(f"{result} = {made}")
        else:
            self.put(f"{result} = {{{', '.join(f'{name!r}: {value}' for name, value in fields)}}}")
        return result

    def nested(self, write: Callable[[], None]) -> None:
        self._indent += " "
        write()
        self._indent = self._indent[:-1]


def given(branches: list[Any]) -> Any:
    """The type of a union's value where it is not null; any other union than of null, first, and one type is an error."""
    if len(branches) != 2 or branches[0] != "null":
        raise ValueError("schemas use unions of null and one type only, null first")
    return branches[1]
