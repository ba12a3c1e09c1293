"""The function for each kind, and the names that a service imports."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import ledger
from ledger.format.kinds import KINDS, Kind
from ledger.format.kinds.plan import PLANS
from ledger.format.kinds.shape import Field, Part
from ledger.recorder.chains import SOFTWARE_VERSION
from ledger.recorder.clock import SystemClock
from ledger.recorder.own import OWN_KINDS
from tests.recording import ALICE, recorder_on, stated
from tests.services.memory_log import MemoryLog
from tests.write_kind_functions import TARGET, text

ROOT = Path(__file__).parents[2]


def sample(cls: type[Part]) -> dict[str, Any]:
    """A value for every field of a kind, texts and people as a service gives them."""
    return {field.name: one(field) for field in PLANS[cls].fields if field.name != "person"}


def one(field: Field) -> Any:
    if field.fixed is not None and field.fixed.refers is not None:
        value: Any = ALICE if field.fixed.refers == "person" else f"text of {field.name}"
    elif field.fixed is not None:
        value = bytes(field.fixed.size)
    elif issubclass(field.type, Part):
        value = field.type(**sample(field.type))
    else:
        value = field.values[0] if field.values else 7 if field.type is int else f"some:{field.name}"
    return (value,) if field.many else value


def test_the_file_of_functions_is_written_from_the_classes() -> None:
    assert TARGET.read_text() == text(), "run python -m tests.write_kind_functions"


def test_every_kind_is_recorded_by_its_function_with_every_field(tmp_path: Path) -> None:
    log = MemoryLog(SystemClock())
    kinds: dict[str, type[Kind]] = {name: cls for name, cls in KINDS.items() if name not in OWN_KINDS}
    with recorder_on(log, tmp_path) as recorder:
        for name, cls in kinds.items():
            assert getattr(recorder, name)(**sample(cls)).kind == name
    events = stated(log)
    assert [each.header.kind for each in events] == list(kinds)
    for event in events:
        assert all(value is not None for name, value in event.payload.items() if name != "person"), event
        plan = PLANS[kinds[event.header.kind]]
        referred = [event.payload[plan.names[at]] for at, many in plan.digests if not many]
        assert set(referred) <= set(event.header.contents)


def test_every_public_name_is_there() -> None:
    for name in ledger.__all__:
        assert getattr(ledger, name) is not None
    assert set(ledger.__all__) <= set(dir(ledger))


def test_importing_the_package_loads_no_driver() -> None:
    code = "import sys, ledger; ledger.Recorder; print({'psycopg', 'kafka', 'pydantic', 'networkx'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout == "set()\n"


def test_chains_name_the_version_of_the_release() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == SOFTWARE_VERSION
