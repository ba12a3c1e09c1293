"""``make crash``: CRASH_COUNT places (50) in recorder, sender and materializer, CRASH_SERVER_KILLS kills of each server (10).

From CRASH_SEED (1). After every fourth place comes one in the contents worker, and every fifth is tried on Kafka. What failed, or
was not reached, is named with its seed and place, its directory is kept, and the exit is 1;
CRASH_FROM=N begins with trial N, so that one can be tried again alone (CRASH_FROM=N CRASH_COUNT=1 CRASH_SERVER_KILLS=0).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ledger.embedded import EmbeddedPostgres
from ledger.errors import LedgerError
from tests.crash.servers import kill_repeatedly
from tests.crash.tracing import Place
from tests.crash.trials import OTHERS, VICTIMS, Outcome, Scene, Victim, choose, seed_of, trial
from tests.orphans import interrupt_on_sigterm
from tests.services.databases import Databases
from tests.services.kafka_broker import KafkaBroker

EVERY_KAFKA = 5
ATTEMPTS = 5


class Campaign:
    """All trials of one seed, on one broker and one Postgres. ``killed``: how often each victim died where it was to."""

    def __init__(
        self,
        directory: Path,
        seed: int,
        bootstrap: str,
        databases: Databases,
        play: Callable[[Scene, Victim, Place | None], Outcome] = trial,
    ) -> None:
        self.failed = self.events = 0
        self.killed: Counter[Victim] = Counter()
        self._directory, self._seed, self._play = directory, seed, play
        self._bootstrap, self._databases = bootstrap, databases
        self._lines: dict[tuple[Victim, bool], list[tuple[str, int, int]]] = {}

    def place(self, number: int) -> None:
        """Trial ``number``: a victim in turn, a place by seed and number."""
        victim, kafka = VICTIMS[number % len(VICTIMS)], (number // len(VICTIMS) + number) % EVERY_KAFKA == 0
        if (victim, kafka) not in self._lines:
            first = self._play(
                self._scene(f"first-{victim}-{'kafka' if kafka else 'postgres'}", kafka=kafka), victim, None
            )
            self._lines[victim, kafka] = first.lines
            self._tell(f"a first run of the {victim}: {len(first.lines)} lines", first.events, first.faults)
        for attempt in range(ATTEMPTS):  # a line may not be reached as often again: another place is chosen then
            place: Place = choose(self._lines[victim, kafka], f"{self._seed}/{number}/{attempt}")
            scene = self._scene(f"{number}-{attempt}", kafka=kafka)
            try:
                outcome = self._play(scene, victim, place)
            except (AssertionError, LedgerError) as error:
                self._tell(f"trial {number}, {victim} at {place}, {scene.log}", 0, [str(error)])
                return
            self.killed[victim] += outcome.killed
            told = "" if outcome.killed else ", not reached"
            self._tell(f"trial {number}, {victim} at {place}{told}, {scene.log[:5]}", outcome.events, outcome.faults)
            if not outcome.faults:
                self._databases.drop(
                    scene.store
                )  # or Postgres, when it is killed, has the files of all to look through
            if outcome.killed:
                return
        self._tell(f"trial {number}, {victim}", 0, [f"none of {ATTEMPTS} places was reached: nothing was killed"])

    def server(self, name: str, server: KafkaBroker | EmbeddedPostgres, kills: int) -> None:
        """Kills of the broker, with the log in it, or of the Postgres that holds log and store."""
        scene = self._scene(name, kafka=name == "broker")
        try:
            events, found = kill_repeatedly(scene, server, kills=kills, seed=f"{self._seed}/{name}")
        except (AssertionError, LedgerError) as error:
            events, found = 0, [str(error)]
        self._tell(f"{kills} kills of the {name}", events, found)

    def _scene(self, name: str, *, kafka: bool) -> Scene:
        store = self._databases.fresh()
        log = f"kafka://{self._bootstrap}/{name}.?partitions=2&session_seconds=6" if kafka else store
        return Scene(directory=self._directory / name, log=log, store=store)

    def _tell(self, what: str, events: int, faults: list[str]) -> None:
        self.events += events
        self.failed += bool(faults)
        print(f"{'FAILED' if faults else 'ok':6} {what}: {events} events", *faults, sep="\n       ", flush=True)


@contextmanager
def _removed_on_interrupt(directory: Path) -> Iterator[None]:
    """The directory is kept to be looked into where something failed, and not where somebody had enough."""
    try:
        yield
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def main() -> int:
    interrupt_on_sigterm()
    seed, count = seed_of(), int(os.environ.get("CRASH_COUNT", "50"))
    start, kills = int(os.environ.get("CRASH_FROM", "0")), int(os.environ.get("CRASH_SERVER_KILLS", "10"))
    directory, began = Path(tempfile.mkdtemp(prefix="answerable-crash-")), time.monotonic()
    print(f"seed {seed}, logs in {directory}")
    with _removed_on_interrupt(directory), ExitStack() as stack:
        broker = stack.enter_context(KafkaBroker(directory / "kafka"))
        postgres = stack.enter_context(EmbeddedPostgres(directory / "postgres"))
        campaign = Campaign(directory, seed, broker.bootstrap, Databases(postgres.url))
        for number in range(start, start + count + count // OTHERS):
            campaign.place(number)
        if kills:
            campaign.server("broker", broker, kills)
            campaign.server("Postgres", postgres, kills)
    took = time.monotonic() - began
    killed = ", ".join(f"{number} in the {victim}" for victim, number in campaign.killed.items())
    print(f"killed at places: {killed or 'none'}; {2 * kills} kills of servers, {campaign.events} events, {took:.0f} s")
    if campaign.failed:
        print(f"{campaign.failed} FAILED with CRASH_SEED={seed}: see {directory}")
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
