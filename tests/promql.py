"""Reads the PromQL that dashboard and alerts are written in: what it selects, and whether Prometheus would take it.

A part of the language, by prometheus.io/docs/prometheus/latest/querying: selectors with ranges and offsets, aggregations, the
functions below, operators by their precedence. Anything else is an error, so that what is not read is not thought right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

T = TypeVar("T")
Type = Literal["scalar", "instant", "range"]

AGGREGATIONS: Final = frozenset({"sum", "min", "max", "avg", "count"})
FUNCTIONS: Final[dict[str, tuple[Type, ...]]] = {
    "rate": ("range",),
    "increase": ("range",),
    "delta": ("range",),
    "max_over_time": ("range",),
    "absent_over_time": ("range",),
    "histogram_quantile": ("scalar", "instant"),
}
"""What each takes."""
_LEVELS: Final = (("or",), ("and", "unless"), ("==", "!=", ">", "<", ">=", "<="), ("+", "-"), ("*", "/", "%"))
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<duration>\d+(?:ms|[smhdwy]))|(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)"
    r'|(?P<text>"(?:[^"\\]|\\.)*")|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%<>=(){}\[\],]))'
)


class PromqlError(ValueError):
    """No expression that Prometheus would take, or none of this part of the language."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """``how`` is =, !=, =~ or !~."""

    label: str
    how: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric with its matchers, and the labels that aggregations around it keep."""

    metric: str
    matchers: tuple[Matcher, ...]
    grouped: list[str] = field(default_factory=list)


def read(expression: str) -> list[Selector]:
    """What ``expression`` selects; raises ``PromqlError``."""
    reader = _Reader(expression)
    kind = reader.operators(0)
    reader.end()
    if kind == "range":
        raise PromqlError(f"a range is no answer: {expression}")
    return reader.selectors


class _Reader:
    def __init__(self, expression: str) -> None:
        self.selectors: list[Selector] = []
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        place = 0
        while expression[place:].strip():
            found = _TOKEN.match(expression, place)
            if found is None or found.lastgroup is None:
                raise PromqlError(f"cannot be read from here: {expression[place:]}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise PromqlError(f"is left over: {self._tokens[self._at][1]}")

    def operators(self, level: int) -> Type:
        if level == len(_LEVELS):
            return self._one()
        kind = self.operators(level + 1)
        while (sign := self._peek()) in _LEVELS[level]:
            self._take()
            other = self.operators(level + 1)
            if "range" in (kind, other) or (sign in ("or", "and", "unless") and "scalar" in (kind, other)):
                raise PromqlError(f"{sign} between {kind} and {other}")
            if sign in _LEVELS[2] and (kind, other) == ("scalar", "scalar"):
                raise PromqlError("two numbers are compared with `bool` only")
            kind = "instant" if "instant" in (kind, other) else "scalar"
        return kind

    def _one(self) -> Type:
        sort, word = self._take()
        if sort == "number":
            return "scalar"
        if word == "(":
            kind = self.operators(0)
            self._expect(")")
            return kind
        if sort != "name":
            raise PromqlError(f"no expression begins with {word}")
        if word in AGGREGATIONS and self._peek() in ("(", "by", "without"):
            return self._aggregation()
        if self._peek() == "(":
            return self._call(word)
        return self._selector(word)

    def _aggregation(self) -> Type:
        first = len(self.selectors)
        labels = self._by()
        self._expect("(")
        if self.operators(0) != "instant":
            raise PromqlError("an aggregation takes what is now")
        self._expect(")")
        labels += self._by() if not labels else []
        for each in self.selectors[first:]:
            each.grouped.extend(labels)
        return "instant"

    def _by(self) -> list[str]:
        if self._peek() not in ("by", "without"):
            return []
        self._take()
        self._expect("(")
        labels = self._several(self._name)
        self._expect(")")
        return labels

    def _call(self, name: str) -> Type:
        if name not in FUNCTIONS:
            raise PromqlError(f"no such function: {name}")
        self._expect("(")
        taken = self._several(lambda: self.operators(0))
        self._expect(")")
        if tuple(taken) != FUNCTIONS[name]:
            raise PromqlError(f"{name} takes {', '.join(FUNCTIONS[name])}, not {', '.join(taken)}")
        return "instant"

    def _selector(self, metric: str) -> Type:
        matchers: list[Matcher] = []
        if self._peek() == "{":
            self._take()
            matchers = self._several(self._matcher)
            self._expect("}")
        kind: Type = "instant"
        if self._peek() == "[":
            self._take()
            self._of("duration")
            self._expect("]")
            kind = "range"
        if self._peek() == "offset":
            self._take()
            self._of("duration")
        self.selectors.append(Selector(metric, tuple(matchers)))
        return kind

    def _matcher(self) -> Matcher:
        label, how = self._name(), self._of("sign")
        if how not in ("=", "!=", "=~", "!~"):
            raise PromqlError(f"{how} matches nothing")
        value = self._of("text")[1:-1]
        if "~" in how:
            try:
                re.compile(value)
            except re.error as error:
                raise PromqlError(f"{value} is no regular expression") from error
        return Matcher(label, how, value)

    def _several(self, one: Callable[[], T]) -> list[T]:
        found = [one()]
        while self._peek() == ",":
            self._take()
            found.append(one())
        return found

    def _name(self) -> str:
        return self._of("name")

    def _of(self, sort: str) -> str:
        found, word = self._take()
        if found != sort:
            raise PromqlError(f"a {sort} is missing before {word}")
        return word

    def _peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise PromqlError("ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, sign: str) -> None:
        if self._take()[1] != sign:
            raise PromqlError(f"{sign} is missing before {self._tokens[self._at - 1][1]}")
