"""Seeded mutations without coverage: what ``make test`` has time for, and what is there without atheris."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from tests.fuzz.case import Target

_ODD: Final = (
    b"\0", b"\1", b"\2", b"\x7f", b"\x80", b"\xff", b"\x80" * 9 + b"\1", b"\xff" * 9 + b"\1", b"\xff" * 10, b"\x80\0",
    b"\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x0f", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xef\xbb\xbf",
    b"[" * 1500, b'{"a":' * 800, b"null", b"true", b"1e999", b"-1", b"9" * 30, b"\\u0000", b"\\ud800", b'"', b"\n", b";", b"..",
)  # fmt: skip


def mutated(target: Target, corpus: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """``count`` cases made from ``corpus``; the same for the same seed."""
    random = Random(f"{target.name} {seed}")
    odd = (*_ODD, *target.words)
    for _ in range(count):
        data = random.choice(corpus) if corpus else b""
        for _ in range(random.randint(1, 4)):
            data = random.choice(_WAYS)(random, data, odd, corpus)
        yield data[: target.size]


Way = Callable[[Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]


def _flip(random: Random, data: bytes, odd: Sequence[bytes], corpus: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _replace(random: Random, data: bytes, odd: Sequence[bytes], corpus: Sequence[bytes]) -> bytes:
    start, stop = _span(random, data, 8)
    return data[:start] + random.choice(odd) + data[stop:]


def _insert(random: Random, data: bytes, odd: Sequence[bytes], corpus: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(odd) + data[at:]


def _remove(random: Random, data: bytes, odd: Sequence[bytes], corpus: Sequence[bytes]) -> bytes:
    start, stop = _span(random, data, 64)
    return data[:start] + data[stop:]


def _repeat(random: Random, data: bytes, odd: Sequence[bytes], corpus: Sequence[bytes]) -> bytes:
    start, stop = _span(random, data, 64)
    return data[:start] + data[start:stop] * random.randint(2, 20) + data[stop:]


def _splice(random: Random, data: bytes, odd: Sequence[bytes], corpus: Sequence[bytes]) -> bytes:
    other = random.choice(corpus) if corpus else b""
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _cut(random: Random, data: bytes, odd: Sequence[bytes], corpus: Sequence[bytes]) -> bytes:
    return data[: random.randint(0, len(data))]


_WAYS: Final[Sequence[Way]] = (_flip, _flip, _replace, _replace, _insert, _remove, _repeat, _splice, _cut)


def _span(random: Random, data: bytes, longest: int) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.randint(1, longest))
