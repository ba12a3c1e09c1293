"""``python -m tests.fuzz``: every target, or those named, each in a process of its own, and a line of figures for each."""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz import corpus
from tests.fuzz.engine import GUIDED, INTERRUPTED, served
from tests.fuzz.targets import HTTP, MODULE_OF, load
from tests.fuzz.targets.scratch import MEMORY

WORK: Final = Path(__file__).parents[2] / ".fuzz"
TALLY: Final = "tally"
_DONE: Final = re.compile(r"#(\d+)\s+(?:DONE|NEW|REDUCE|pulse|RELOAD|INITED)(?:.*?cov: (\d+) ft: (\d+))?")
_VERDICTS: Final = {0: "ok", INTERRUPTED: "interrupted; --resume goes on"}
_READY: Final = re.compile(r"ready after (\S+) s")


class Found(NamedTuple):
    """What one search did. ``cpu``: seconds of processor time that its cases took."""

    cases: int
    cpu: float
    edges: str
    features: str
    status: int


def main() -> int:
    given = _arguments()
    if not GUIDED:
        print("atheris is not installed: mutations without coverage", file=sys.stderr)
    if given.choose:
        for name in given.targets:
            with served() if name == HTTP else nullcontext():
                print(f"{name}: {corpus.choose(load(name), _found(name))} files kept", flush=True)
        return 0
    failed = [name for name in given.targets if not _search(name, given)]
    if failed:
        print(
            f"failed: {', '.join(failed)}; each case is in tests/fuzz/corpus and fails in `make test` until it is mended"
        )
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    def number(name: str, default: int) -> int:
        return int(os.environ.get(f"FUZZ_{name}") or default)

    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"{', '.join(MODULE_OF)}; all by default")
    parser.add_argument("--cases", type=int, default=number("CASES", 1_000_000), help="of each target")
    parser.add_argument("--seconds", type=int, default=number("SECONDS", 0), help="of each target at most; 0: no limit")
    parser.add_argument("--seed", type=int, default=number("SEED", 1))
    parser.add_argument(
        "--resume", action="store_true", help="count what earlier searches of a target did, and go on at another seed"
    )
    parser.add_argument(
        "--choose", action="store_true", help="no search: keep the best of what searches found in the corpus"
    )
    given = parser.parse_args()
    given.targets = given.targets or os.environ.get("FUZZ_TARGET", "").split() or list(MODULE_OF)
    if unknown := [each for each in given.targets if each not in MODULE_OF]:
        parser.error(f"no target is called {unknown[0]}; there are {', '.join(MODULE_OF)}")
    return given


def _search(name: str, given: argparse.Namespace) -> bool:
    """Runs one search and prints its figures; False where a case failed."""
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    before = _tally(folder) if given.resume else []
    left = given.cases - sum(before)
    if left <= 0:
        print(f"{name:17} {sum(before):9} cases before", flush=True)
        return True
    found = _engine(name, folder, left, given.seconds, given.seed + len(before))
    (folder / TALLY).write_text("".join(f"{each}\n" for each in [*before, found.cases]))
    counted = f"{sum(before) + found.cases:9} cases  {found.cases / found.cpu:7.0f} a second of processor time"
    print(f"{name:17} {counted}  {found.edges or '-':>5} edges  {found.features or '-':>6} features", end="  ")
    print(_VERDICTS.get(found.status) or f"FAILED, see {folder / 'log'}", flush=True)
    if found.status == INTERRUPTED:
        raise SystemExit(1)
    return found.status == 0


def _engine(name: str, folder: Path, cases: int, seconds: int, seed: int) -> Found:
    """The search, in a process of its own."""
    memory = MEMORY if MEMORY.is_dir() and name != HTTP else None
    used = _children()
    with (folder / "log").open("wb") as log, tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as scratch:
        arguments = [str(each) for each in (name, folder, cases, seconds, seed)]
        engine = [sys.executable, "-m", "tests.fuzz.engine", *arguments]
        with subprocess.Popen(
            engine, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": scratch}
        ) as done:
            with suppress(KeyboardInterrupt):  # a terminal interrupts both: the engine ends by itself, and is counted
                done.wait()
            done.wait()
    used = _children() - used
    said = (folder / "log").read_text(errors="replace")
    count, edges, features = max(((int(n), c, f) for n, c, f in _DONE.findall(said)), default=(0, "", ""))
    began = float(ready[1]) if (ready := _READY.search(said)) else 0.0
    return Found(count, max(used - began, 0.001), edges, features, done.returncode)


def _children() -> float:
    """Processor time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tally(folder: Path) -> list[int]:
    """Cases of each search before."""
    path = folder / TALLY
    return [int(each) for each in path.read_text().split()] if path.exists() else []


def _found(name: str) -> Iterator[bytes]:
    for path in sorted((WORK / name / "found").glob("*")):
        yield path.read_bytes()


if __name__ == "__main__":
    raise SystemExit(main())
