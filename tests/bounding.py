"""How much of a processor and of memory something may take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time


@contextmanager
def bounded(*, seconds: float, megabytes: float) -> Iterator[None]:
    """Fails where the process computes for longer in the block, or takes more memory at once than it had."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (proc(5))
    before, began = _resident("VmRSS"), process_time()
    yield
    took, grown = process_time() - began, _resident("VmHWM") - before
    assert took < seconds, f"{took:.1f} s of a processor"
    assert grown < megabytes, f"{grown:.1f} MB"


def _resident(name: str) -> float:
    """MB, of now (``VmRSS``) or at the peak (``VmHWM``)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1000
    raise LookupError(name)
