"""One search, in a process of its own: ``python -m tests.fuzz.engine TARGET FOLDER CASES SECONDS SEED``.

With atheris (libFuzzer) it is guided by the coverage of our own code; without, it is plain mutation. What was reached first is
kept in FOLDER, a case that failed is printed and kept in the corpus, and the process ends with status 1.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

INSTRUMENTED: Final = ["ledger", "api", "kafka.record"]
INTERRUPTED: Final = 72
"""The status that libFuzzer ends with."""
GUIDED: Final = find_spec("atheris") is not None


class Search(NamedTuple):
    """What to do. ``seconds`` 0 is no limit."""

    target: str
    folder: Path
    cases: int
    seconds: int
    seed: int


def main(arguments: Sequence[str]) -> int:
    name, folder, *numbers = arguments
    search = Search(name, Path(folder), *map(int, numbers))
    with _instrumented():
        from tests.fuzz import case, corpus, targets

        target = targets.load(name)
    with ExitStack() as stack:
        if name == targets.HTTP:
            stack.enter_context(served())
        case.break_hangs()
        watch = case.Watch(target)

        def judged(data: bytes) -> None:
            try:
                watch(data)
            except KeyboardInterrupt:
                stack.close()
                os._exit(INTERRUPTED)
            except BaseException:  # noqa: BLE001 - whatever a case raises, the process ends with it
                traceback.print_exc()
                print(f"kept as {corpus.keep_crash(target, data)}", file=sys.stderr, flush=True)
                stack.close()
                os._exit(1)

        first = corpus.all_cases(target)
        for data in first:
            judged(data)
        print(f"ready after {time.process_time():.2f} s", file=sys.stderr, flush=True)
        (_guided if GUIDED else _unguided)(search, target, first, judged)
        watch.look()
    return 0


def _instrumented() -> AbstractContextManager[Any]:
    if not GUIDED:
        return nullcontext()
    import atheris

    return atheris.instrument_imports(include=INSTRUMENTED)  # type: ignore[no-any-return]


def _guided(search: Search, target: Any, first: Sequence[bytes], judged: Callable[[bytes], None]) -> None:
    import atheris

    _instrument_readers()
    seeds, found, words = (search.folder / each for each in ("seeds", "found", "words"))
    for folder in (seeds, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(first):
        (seeds / f"{number:05}").write_bytes(data)
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words))
    options = {
        "runs": search.cases, "max_total_time": search.seconds, "seed": search.seed, "max_len": target.size, "dict": words,
        "timeout": 60, "rss_limit_mb": 4096, "print_final_stats": 1, "reload": 0, "artifact_prefix": f"{search.folder}/",
    }  # fmt: skip
    if not target.words:
        del options["dict"]
    atheris.Setup(
        [sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), str(found), str(seeds)], judged
    )
    atheris.Fuzz()


def _instrument_readers() -> None:
    """The strict readers are compiled from text, so that no import shows them."""
    import atheris

    from tests.sealing import SCHEMAS

    for schema in SCHEMAS.by_frame.values():
        for name in ("dicts", "tuples"):
            schema.__dict__[name] = atheris.instrument_func(getattr(schema, name))


def _unguided(search: Search, target: Any, first: Sequence[bytes], judged: Callable[[bytes], None]) -> None:
    from tests.fuzz.mutation import mutated

    began = time.monotonic()
    done = 0
    for number in itertools.count():
        if done >= search.cases or 0 < search.seconds < time.monotonic() - began:
            break
        for data in mutated(target, first, search.seed + number, min(1000, search.cases - done)):
            judged(data)
            done += 1
    print(f"#{done} DONE exec/s: {done / max(1e-9, time.monotonic() - began):.0f}", file=sys.stderr, flush=True)


def served() -> AbstractContextManager[None]:
    """The application for the target for HTTP, over a Postgres of this process's own."""
    from ledger.embedded import EmbeddedPostgres
    from tests.fuzz.targets.requests import serving
    from tests.services.databases import Databases

    stack = ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    server = stack.enter_context(EmbeddedPostgres(Path(folder), {"fsync": "off"}))
    stack.enter_context(serving(Databases(server.url)))
    return stack  # type: ignore[return-value]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
