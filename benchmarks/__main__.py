"""``python -m benchmarks [GROUP…]``: every figure, or those of some groups. BENCH_EVENTS and BENCH_RUNS make it shorter."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

from benchmarks import answer, end_to_end, materialize, questions, record, revocation, sentinel, strict, upgrade, verify
from benchmarks.services import Services, services

GROUPS: Mapping[str, Callable[[Services], None]] = {
    "record": lambda _: record.main(),
    "strict": strict.measure,
    "materialize": materialize.measure,
    "end_to_end": end_to_end.measure,
    "verify": verify.measure,
    "answer": answer.measure,
    "sentinel": sentinel.measure,
    "revocation": revocation.measure,
    "questions": questions.measure,
    "upgrade": upgrade.measure,
}


def main(wanted: list[str]) -> None:
    began = time.monotonic()
    if unknown := set(wanted) - set(GROUPS):
        raise SystemExit(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    with services() as running:
        for name in wanted or GROUPS:
            print(f"{name} …", file=sys.stderr, flush=True)
            GROUPS[name](running)
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
