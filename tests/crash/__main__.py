"""``make crash``: CRASH_COUNT places (50) and CRASH_SERVER_KILLS kills of each server (10), from CRASH_SEED (1).

Every fifth place is tried on Kafka. What failed is named with its seed and place, its directory is kept, and the exit is 1;
CRASH_FROM=N begins with trial N, so that one can be tried again alone (CRASH_FROM=N CRASH_COUNT=1 CRASH_SERVER_KILLS=0).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ledger.embedded import EmbeddedPostgres
from ledger.errors import LedgerError
from tests.crash.servers import kill_repeatedly
from tests.crash.tracing import Place
from tests.crash.trials import VICTIMS, Scene, Victim, choose, seed_of, trial
from tests.orphans import interrupt_on_sigterm
from tests.services.databases import Databases
from tests.services.kafka_broker import KafkaBroker

EVERY_KAFKA = 5


class Campaign:
    """All trials of one seed, on one broker and one Postgres."""

    def __init__(self, directory: Path, seed: int, broker: KafkaBroker, postgres: EmbeddedPostgres) -> None:
        self.failed = self.events = self.kills = 0
        self._directory, self._seed = directory, seed
        self._broker, self._postgres = broker, postgres
        self._databases = Databases(postgres.url)
        self._lines: dict[tuple[Victim, bool], list[tuple[str, int, int]]] = {}

    def place(self, number: int) -> None:
        """Trial ``number``: a victim in turn, a place by seed and number."""
        victim, kafka = VICTIMS[number % len(VICTIMS)], (number // len(VICTIMS) + number) % EVERY_KAFKA == 0
        if (victim, kafka) not in self._lines:
            first = trial(self._scene(f"first-{victim}-{'kafka' if kafka else 'postgres'}", kafka=kafka), victim, None)
            self._lines[victim, kafka] = first.lines
            self._tell(f"a first run of the {victim}: {len(first.lines)} lines", first.events, first.faults)
        for attempt in range(5):  # a line may not be reached as often again: another place is chosen then
            place: Place = choose(self._lines[victim, kafka], f"{self._seed}/{number}/{attempt}")
            scene = self._scene(f"{number}-{attempt}", kafka=kafka)
            try:
                outcome = trial(scene, victim, place)
            except (AssertionError, LedgerError) as error:
                self._tell(f"trial {number}, {victim} at {place}, {scene.log}", 0, [str(error)])
                return
            self.kills += outcome.killed
            told = "" if outcome.killed else ", not reached"
            self._tell(f"trial {number}, {victim} at {place}{told}, {scene.log[:5]}", outcome.events, outcome.faults)
            if not outcome.faults:
                self._databases.drop(
                    scene.store
                )  # or Postgres, when it is killed, has the files of all to look through
            if outcome.killed:
                return

    def server(self, name: str, kills: int) -> None:
        """Kills of the broker, with the log in it, or of the Postgres that holds log and store."""
        scene = self._scene(name, kafka=name == "broker")
        server = self._broker if name == "broker" else self._postgres
        try:
            events, found = kill_repeatedly(scene, server, kills=kills, seed=f"{self._seed}/{name}")
        except (AssertionError, LedgerError) as error:
            events, found = 0, [str(error)]
        self._tell(f"{kills} kills of the {name}", events, found)

    def _scene(self, name: str, *, kafka: bool) -> Scene:
        store = self._databases.fresh()
        log = f"kafka://{self._broker.bootstrap}/{name}.?partitions=2&session_seconds=6" if kafka else store
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
        campaign = Campaign(directory, seed, broker, postgres)
        for number in range(start, start + count):
            campaign.place(number)
        if kills:
            campaign.server("broker", kills)
            campaign.server("Postgres", kills)
    took = time.monotonic() - began
    print(f"{campaign.kills} processes killed, {2 * kills} kills of servers, {campaign.events} events, {took:.0f} s")
    if campaign.failed:
        print(f"{campaign.failed} FAILED with CRASH_SEED={seed}: see {directory}")
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
