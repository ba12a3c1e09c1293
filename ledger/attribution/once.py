"""An attribute that is worked out when it is first asked for.

Without the lock of ``functools.cached_property``, which costs more than most of what is worked out here: threads share no case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, overload

S = TypeVar("S")
V = TypeVar("V")


class once(Generic[S, V]):  # noqa: N801 - a decorator
    """The value stands in the instance's own dictionary, where it is found before this."""

    def __init__(self, find: Callable[[S], V]) -> None:
        self._find, self._name, self.__doc__ = find, find.__name__, find.__doc__

    @overload
    def __get__(self, instance: None, owner: type[S]) -> once[S, V]: ...
    @overload
    def __get__(self, instance: S, owner: type[S]) -> V: ...
    def __get__(self, instance: S | None, owner: type[S]) -> V | once[S, V]:
        if instance is None:
            return self
        value = vars(instance)[self._name] = self._find(instance)
        return value


__all__ = ["once"]
