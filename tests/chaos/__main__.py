"""``make chaos``: CHAOS_SECONDS (600) of faults by CHAOS_SEED (1); ``python -m tests.chaos each`` plays every fault alone.

What failed is told with its seed, its directory with all logs is kept, and the exit is 1. CHAOS_ONLY names faults, by commas;
`nothing` is one, and finds that nothing is wrong where nothing is done.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.play import play
from tests.orphans import interrupt_on_sigterm

EACH_SECONDS = 20.0


def main(arguments: list[str]) -> int:
    interrupt_on_sigterm()
    seed = int(os.environ.get("CHAOS_SEED", "1"))
    only = [name for name in os.environ.get("CHAOS_ONLY", "").split(",") if name]
    if unknown := set(only) - FAULTS.keys():
        raise SystemExit(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    if arguments == ["each"]:
        return max(_one(seed, max(EACH_SECONDS, 1.2 * FAULTS[name].seconds[1]), [name]) for name in only or FAULTS)
    return _one(seed, float(os.environ.get("CHAOS_SECONDS", "600")), only)


def _one(seed: int, seconds: float, only: list[str]) -> int:
    directory, began = Path(tempfile.mkdtemp(prefix="answerable-chaos-")), time.monotonic()
    print(f"seed {seed}, {seconds:g} s{', ' + ', '.join(only) if only else ''}, in {directory}", flush=True)
    try:
        verdict = play(
            directory / "stage", seed=seed, seconds=seconds, only=only, tell=lambda text: print(text, flush=True)
        )
    except AssertionError as error:
        print(f"FAILED with CHAOS_SEED={seed}: {error}; see {directory}", flush=True)
        return 1
    for name, count in verdict.counts.items():
        print(f"  {count:>9,} {name}")
    print(f"  {verdict.events:>9,} events promised; {time.monotonic() - began:.0f} s in all")
    for fault in verdict.faults:
        print(f"FAILED with CHAOS_SEED={seed}: {fault}", flush=True)
    if verdict.faults:
        print(f"see {directory}", flush=True)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
