"""Writes ``ledger/recorder/kinds.py``: the recorder's function for each kind, from the classes of ``ledger.format.kinds``.

    python -m tests.write_kind_functions

``tests/unit/test_recorder_kinds.py`` holds that the file is what this writes.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

from ledger.format.kinds import KINDS, Kind
from ledger.format.kinds.plan import PLANS
from ledger.format.kinds.shape import Field, Part
from ledger.recorder.own import OWN_KINDS

TARGET = Path(__file__).parent.parent / "ledger" / "recorder" / "kinds.py"

HEAD = '''"""A function for each kind of event. Written by ``tests/write_kind_functions.py``: change that, or the classes.

Where a payload refers to a content, the text itself may be given; where it refers to a person, the person.
"""

# ruff: noqa: A002 - fields are called as the schemas call them

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, TypedDict, Unpack

from ledger.format.event import Cause
from ledger.format.kinds import (
{classes}
)
from ledger.recorder.contents import Named, Textual
from ledger.recorder.context import Recorded, Reference
from ledger.recorder.given import listed


class Shared(TypedDict, total=False):
    """What the header of any event may say beside its payload. What is not given comes from the context, see
    ``ledger.recorder.context``. ``occurred_at``: µs UTC, now by default. ``strict``: whether to wait for the log, whatever the
    recorder's mode.
    """

    causes: Sequence[Cause | Reference]
    correlation: Sequence[str]
    principal: Named | None
    agent_instance: str | None
    execution_id: bytes | None
    occurred_at: int | None
    tenant: str | None
    strict: bool | None


class Circumstances(Shared, total=False):
    """The same for events whose payload has no fields of these names. ``contents`` are kept beside those that the payload
    refers to.
    """

    agent_id: str | None
    contents: Sequence[Textual]


class KindFunctions(ABC):
    """The functions of a ``Recorder`` that record one kind each. They raise as ``Recorder.record`` does."""

    @abstractmethod
    def _record_kind(self, kind: type[Kind], about: Shared, fields: dict[str, Any]) -> Recorded: ...
'''


def type_of(field: Field) -> str:
    if field.fixed is not None and field.fixed.refers is not None:
        name = "Named" if field.fixed.refers == "person" else "Textual"
    elif field.values:
        name = "Literal[" + ", ".join(f'"{value}"' for value in field.values) + "]"
    else:
        name = field.type.__name__
    if field.many:
        return f"Sequence[{name}]"
    return f"{name} | None" if field.optional else name


def function_of(cls: type[Kind]) -> str:
    plan = PLANS[cls]
    optional = {each.name for each in fields(cls) if each.default is not MISSING}  # type: ignore[arg-type]
    lines = [f"    def {cls.KIND}(", "        self,", "        *,"]
    for field in plan.fields:
        default = (" = ()" if field.many else " = None") if field.name in optional else ""
        lines.append(f"        {field.name}: {type_of(field)}{default},")
    doc = (cls.__doc__ or "").strip()
    about = "Shared" if {"agent_id", "contents"} & set(plan.names) else "Circumstances"
    lines += [f"        **about: Unpack[{about}],", "    ) -> Recorded:", f'        """{doc}"""']
    lines += [
        "        return self._record_kind(",
        f"            {cls.__name__},",
        "            about,",
        "            {",
    ]
    for field in plan.fields:
        value = f'listed({field.name}, "{field.name}") if {field.name} else ()' if field.many else field.name
        lines.append(f'                "{field.name}": {value},')
    return "\n".join([*lines, "            },", "        )"])


def text() -> str:
    """The whole file, formatted."""
    kinds = [cls for name, cls in KINDS.items() if name not in OWN_KINDS]
    parts: set[type[Part]] = {each.type for cls in kinds for each in PLANS[cls].fields if issubclass(each.type, Part)}
    classes = sorted([Kind.__name__, *(cls.__name__ for cls in kinds), *(part.__name__ for part in parts)])
    head = HEAD.replace("{classes}", "\n".join(f"    {name}," for name in classes))
    source = "\n\n".join([head.rstrip("\n"), *map(function_of, kinds)]) + "\n"
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(ruff, input=source, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    TARGET.write_text(text())
