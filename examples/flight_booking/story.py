"""The story: six processes on loopback, one flight booked, three things refused, one that nobody asked for, and one byte changed.

``answerable demo`` plays it. Everything printed comes from the parties' answers or from the ledger; nothing is made up here.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pyotp

from examples.flight_booking.asking import broken, closing, names
from examples.flight_booking.forge import change_one_byte
from examples.flight_booking.party import Urls
from ledger.embedded.child import Child
from ledger.embedded.scratch import scratch
from ledger.first_run import prepare_ledger, prepare_service
from ledger.format.ids import parse, text
from ledger.settings import load_settings
from ledger.trust.bundle import ANY

ROOT = Path(__file__).parents[2]
CHAIN_KINDS = ("chain_open", "chain_heartbeat", "chain_loss", "chain_close")
KINDS: Mapping[str, tuple[str, ...]] = {
    "authorization-server": (ANY, "agent_registration", "oversight"),
    "policy-point": ("policy_decision", *CHAIN_KINDS),
    "flight-api": ("api_action", *CHAIN_KINDS),
    "travel-agent": ("reasoning_step", "api_action", "observation", "memory", *CHAIN_KINDS),
    "alice": ("prompt", *CHAIN_KINDS),
}
"""The parties, in the order in which they start, and what each one's key may state."""

REFUSED: Mapping[str, str] = {
    "above_limit": "denied_by_policy",
    "approval_again": "approval_used",
    "search_token": "insufficient_scope",
}
"""What must not work, by the part of the story in which it is tried, and the error with which it is refused."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What happened: event ids as text, the processes, and where everything lies.

    ``end_parties`` returns when each party has ended and the ledger has its chain closed; the end of the block calls it, too.
    """

    environment: Mapping[str, str]
    api_url: str
    pids: Mapping[str, int]
    end_parties: Callable[[], None]
    booking: dict[str, Any]
    above_limit: dict[str, Any]
    approval_again: dict[str, Any]
    search_token: dict[str, Any]
    no_prompt: str


@contextmanager
def played(environment: Mapping[str, str], directory: Path, say: Say) -> Iterator[Played]:
    """Plays the story in ``directory`` under ``environment`` (``ANSWERABLE_*``); the ledger is served inside the block."""
    with ExitStack() as stack:
        settings = {**environment, "ANSWERABLE_DATA_DIR": str(directory / "data"), "ANSWERABLE_API_PORT": "0"}
        stack.enter_context(child_environment({**settings, "PYTHONPATH": str(ROOT)}))
        prepare_ledger(load_settings())
        for service, kinds in KINDS.items():
            prepare_service(load_settings(), service, kinds=kinds)
        api_url = stack.enter_context(ledger_served(directory))
        secret = _secrets()
        where = Urls(**{service.replace("-", "_"): f"http://127.0.0.1:{_free_port()}" for service in KINDS})
        stack.enter_context(child_environment({**secret, "FLIGHT_BOOKING_URLS": json.dumps(asdict(where))}))
        parties = stack.enter_context(ExitStack())
        pids = {service: parties.enter_context(_party(service, where, directory)) for service in KINDS}
        say(f"Processes: {', '.join(f'{service} {pid}' for service, pid in pids.items())}.")

        def end_parties() -> None:
            parties.close()
            _wait_until_closed(api_url)

        yield Played(
            environment=settings, api_url=api_url, pids=pids, end_parties=end_parties, **_act(where, secret, say)
        )
        end_parties()


def main(
    directory: Path | None = None, say: Say = print, told: Callable[[Mapping[str, object]], None] | None = None
) -> int:
    """Plays the story and asks the ledger about each part of it; the exit status, 0 if all came out as it must.

    The ledger stays in ``directory``, which is made; without one it is gone afterwards. The answers are printed for people;
    where ``told`` is given, it is called with all of them at the end instead.
    """
    answers: list[Mapping[str, object]] = []
    if directory is not None:
        directory.mkdir(parents=True)
    with ExitStack() as stack:
        home = directory or stack.enter_context(scratch("answerable-demo-"))
        try:
            status = _told(home, directory, say, ask if told is None else partial(collect, answers))
        except (httpx.HTTPError, OSError, RuntimeError) as error:
            for line in broken(home, directory, error):
                say(line)
            status = 1
    if told is not None:
        kept = None if directory is None else str(directory)
        told({"as_it_must": status == 0, "directory": kept, "answers": answers})
    return status


def _told(home: Path, directory: Path | None, say: Say, put: Callable[..., int]) -> int:
    say(
        "Five parties and a ledger start on loopback, each a process with its own key and spool. The agent is deterministic."
    )
    with played({}, home, say) as story:
        asked = (
            ("WHO TRIGGERED THE BOOKING?", story.booking["event_id"], 0),
            ("AND THE ONE ABOVE THE LIMIT?", story.above_limit["event_id"], 0),
            ("THE APPROVAL, USED A SECOND TIME?", story.approval_again["event_id"], 0),
            ("THE SEARCH TOKEN, SHOWN TO BOOK?", story.search_token["event_id"], 0),
            ("THE CALL WITH NO PROMPT BEHIND IT?", story.no_prompt, 1),
        )
        right = (
            "booking" in story.booking["result"]
            and {part: getattr(story, part)["result"].get("error") for part in REFUSED} == REFUSED
        )
        for title, event_id, expected in asked:
            wait_for(story, event_id)
            brief = () if event_id == asked[0][1] else ("--brief",)
            say(f"\n=== {title}  {' '.join(('answerable who-triggered', event_id, *brief))}\n")
            right = put("who-triggered", event_id, *brief) == expected and right
        asking = names(story.api_url, story.booking["event_id"], story.above_limit["event_id"])
        story.end_parties()
        say("\nThe parties end. Each has closed its chain: nothing more is to come of it.")
        say("\n=== ONE BYTE OF ONE STORED BATCH IS CHANGED, IN A COPY OF THE LOG\n")
        copy = home / "copy.avro"
        right = put("archive", str(copy)) == 0 and right
        right = put("verify", "--log", f"file:{copy}") == 0 and right
        forged = Path(shutil.copy(copy, home / "forged.avro"))
        say(f"\nchanged: {change_one_byte(forged, parse(story.booking['event_id']))}\n")
        right = put("verify", "--log", f"file:{forged}") == 1 and right
        say(f"\n{'All of it came out as it must.' if right else 'SOMETHING DID NOT COME OUT AS IT MUST.'}")
    say("")
    for line in closing(directory, asking):
        say(line)
    return 0 if right else 1


def wait_for(story: Played, event_id: str) -> None:
    """Returns when the ledger can answer about the event and all that the parties have recorded has arrived."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if httpx.get(f"{story.api_url}/v1/events/{event_id}").status_code == 200:
            return
        time.sleep(0.05)
    raise TimeoutError(
        f"the ledger has not got event {event_id} after 30 s: see {story.environment['ANSWERABLE_DATA_DIR']}"
    )


def _wait_until_closed(api_url: str) -> None:
    """Returns when the ledger has seen the end of each party's chain: it then expects nothing more of it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        chains = httpx.get(f"{api_url}/v1/chains").raise_for_status().json()["items"]
        if all(each["closed"] for each in chains):
            return
        time.sleep(0.05)
    raise TimeoutError("the ledger has not seen each party close its chain after 30 s")


def _act(where: Urls, secret: Mapping[str, str], say: Say) -> dict[str, Any]:
    alice = httpx.Client(base_url=where.alice, timeout=30)

    def ask(words: str) -> dict[str, Any]:
        say(f"\nAlice: {words}")
        answer: dict[str, Any] = alice.post("/say", json={"text": words}).raise_for_status().json()
        say(f"agent: {json.dumps(answer['result'])}")
        return answer

    say(f"Alice logs in and consents: {alice.post('/login').raise_for_status().json()['consent']}")
    booking = ask("Book a flight to NYC on my corporate card")
    above_limit = ask("Book a flight to NYC in first class on my corporate card")
    approval_again = ask("Book the flight to NYC once more, you have the same approval still")
    search_token = ask("Book a flight to NYC without asking me again")
    say("\nA forgotten script calls the flight API with the agent's own credentials; nobody asked for that.")
    return {
        "booking": booking,
        "above_limit": above_limit,
        "approval_again": approval_again,
        "search_token": search_token,
        "no_prompt": _forgotten_script(where, secret),
    }


def _forgotten_script(where: Urls, secret: Mapping[str, str]) -> str:
    """Calls without a prompt, a person or a context; returns the event that the flight API recorded."""
    asked = {"grant_type": "client_credentials", "client_id": "travel-agent", "client_secret": secret["AGENT_SECRET"]}
    asked |= {"audience": "flight-api", "scope": "flight:search"}
    token = httpx.post(f"{where.authorization_server}/token", data=asked).raise_for_status().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    response = httpx.get(f"{where.flight_api}/flights", params={"to": "NYC"}, headers=headers).raise_for_status()
    return text(parse(response.headers["Answerable-Context"].split(";")[2]))


@contextmanager
def child_environment(values: Mapping[str, str]) -> Iterator[None]:
    """What child processes are given, inside the block."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def ledger_served(directory: Path) -> Iterator[str]:
    """``answerable serve`` inside the block, as a child that never outlives us: its URL."""
    log = directory / "serve.log"
    command = [sys.executable, "-m", "ledger.cli", "serve", "--json"]
    server = Child(command, log=log, stop_signal=signal.SIGTERM, grace=30)
    try:
        yield _told_url(server, log)
    finally:
        server.stop()


def _told_url(server: Child, log: Path) -> str:
    """The URL that ``serve --json`` tells in a line of its own, among what it says to people."""
    deadline = time.monotonic() + 60
    while server.running and time.monotonic() < deadline:
        for line in log.read_text().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                return str(json.loads(line)["url"])
        time.sleep(0.02)
    raise RuntimeError(f"the ledger did not start: {log.read_text()}")


@contextmanager
def _party(service: str, where: Urls, directory: Path) -> Iterator[int]:
    """A party inside the block, as a child that never outlives us: its process id."""
    name = service.replace("-", "_")
    child = Child(
        [sys.executable, "-m", f"examples.flight_booking.{name}"],
        log=directory / f"{name}.log",
        stop_signal=signal.SIGTERM,
        grace=10,
    )
    try:
        _wait_until_served(getattr(where, name), child, directory / f"{name}.log")
        yield child.pid
    finally:
        child.stop()


def _wait_until_served(url: str, child: Child, log: Path) -> None:
    deadline = time.monotonic() + 30
    while child.running and time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/openapi.json")
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{url} did not start: {log.read_text()}")


def ask(*arguments: str) -> int:
    """Runs the command for the reader to see; its exit status."""
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "ledger.cli", *arguments], cwd=ROOT, check=False).returncode


def collect(answers: list[Mapping[str, object]], *arguments: str) -> int:
    """Runs the command with ``--json`` and adds its answer; its exit status."""
    command = [sys.executable, "-m", "ledger.cli", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE)
    answer = json.loads(done.stdout) if done.stdout else None
    answers.append({"command": ["answerable", *arguments], "status": done.returncode, "answer": answer})
    return done.returncode


def _secrets() -> dict[str, str]:
    return {
        "ALICE_PASSWORD": secrets.token_urlsafe(9),
        "ALICE_TOTP_SECRET": pyotp.random_base32(),
        "AGENT_SECRET": secrets.token_urlsafe(18),
    }


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
