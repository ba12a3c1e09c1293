"""Figures: medians with their spread, one JSON line each; and how much is measured."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from statistics import median
from typing import Final

EVENTS: Final = int(os.environ.get("BENCH_EVENTS", "1000000"))
"""Events in the store that questions are put to; the runs that measure a rate take a fifth of them each."""
RUNS: Final = int(os.environ.get("BENCH_RUNS", "5"))
RATE_EVENTS: Final = max(20_000, EVENTS // 5)


def figure(name: str, values: Sequence[float], unit: str, digits: int = 1) -> None:
    """Prints the median of ``values``, one a run, with the lowest and the highest."""
    spread = [round(min(values), digits), round(max(values), digits)]
    line = {"name": name, "value": round(median(values), digits), "unit": unit, "n": len(values), "spread": spread}
    print(json.dumps(line), flush=True)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that ``percent`` of 100 are below, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
