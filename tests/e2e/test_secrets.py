"""No verb shows a secret: not in what it prints, in an error, a log, the list of processes, a health check or a metric.

A deployment with Kafka and Postgres that both want passwords; every verb runs in it, and whatever it wrote is searched.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ledger import Person, open_recorder
from ledger.cli.app import command
from ledger.format import ids
from ledger.settings import load_settings
from tests.services.kafka_secure import ADMIN, ADMIN_PASSWORD, SecureKafka
from tests.services.postgres_secure import SecurePostgres
from tests.waiting import until

STORE_PASSWORD = "store pass'word/@?#&%7f"
LOG_PASSWORD, KEY_PASSWORD = "log-password-of-nothing", "key-password-of-nothing"
ALICE = Person(issuer="https://login.example", subject="alice", name="Alice Ash")
TEXT = "a text that belongs in no log"
SHORT = {
    "who-triggered": "{event}",
    "lineage": "{event} --up",
    "find": "",
    "replay": "{execution}",
    "graph": "{execution}",
    "diff": "{execution} {execution}",
    "agents": "",
    "findings": "",
    "touched": "person https://login.example#alice",
    "token-usage": "",
    "coverage": "",
    "import": "otlp {spans} --no-wait",
    "archive": "{home}/copy.avro",
    "rebuild": "",
    "purge-refused": "",
    "verify": "",
    "migrate": "",
    "doctor": "",
    "keys new": "other",
    "keys list": "",
    "keys trust": "other --service other",
    "keys revoke": "other",
    "tokens new": "reader --role reader",
    "tokens list": "",
    "tokens revoke": "reader",
}
SLOW = {"archive", "rebuild", "verify"}
LONG = ["serve", "materialize", "contents", "sentinel", "api"]
NOT_HERE = {"demo": "makes a ledger, keys and passwords of its own"}


@dataclass
class Deployment:
    """Where everything lies, and every secret in it by what it is."""

    home: Path
    variables: dict[str, str]
    secrets: dict[str, str]
    given: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, **changed: str) -> str:
        """What a verb printed, however it ended, and what a traceback would show."""
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ:
                if name.startswith("ANSWERABLE_"):
                    patch.delenv(name)
            for name, value in self.environment(**changed).items():
                patch.setenv(name, value)
            done = CliRunner().invoke(command(), arguments)
        shown = traceback.format_exception(done.exception) if done.exception else []
        return done.output + "".join(shown)

    def start(self, *arguments: str, output: Path, **changed: str) -> subprocess.Popen[bytes]:
        with output.open("wb") as file:
            return subprocess.Popen(
                self.command(*arguments), env=self.environment(**changed), stdout=file, stderr=subprocess.STDOUT
            )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ledger.cli", *arguments]

    def environment(self, **changed: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
        mine = {f"ANSWERABLE_{name}": value for name, value in (self.variables | changed).items() if value}
        return plain | mine | {"TZ": "UTC"}

    def shown_in(self, text: str) -> list[str]:
        """Which secrets stand in ``text``, as they are or as a URL, JSON or Python would have them."""
        return [what for what, secret in self.secrets.items() if any(form in text for form in forms(secret))]


def forms(secret: str) -> set[str]:
    """``secret`` and what stands for it in other texts; Python escapes quotes where a text holds both sorts."""
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(f'"{secret}')[2:-1]}


@pytest.fixture(scope="module")
def deployment(
    secure_kafka: SecureKafka, secure_postgres: SecurePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Deployment:
    home = tmp_path_factory.mktemp("deployment")
    secure_postgres.admin("create role operator superuser login password '" + STORE_PASSWORD.replace("'", "''") + "'")
    secure_postgres.admin("create database deployment owner operator")
    (home / "store-password").write_text(STORE_PASSWORD)
    variables = {
        "DATA_DIR": str(home),
        "STORE_URL": secure_postgres.url("operator", database="deployment"),
        "STORE_PASSWORD_FILE": str(home / "store-password"),
        "LOG_URL": f"kafka://{secure_kafka.bootstrap}/secrets.?tls=1&partitions=2",
        "KAFKA_CA_FILE": str(secure_kafka.authority.file),
        "KAFKA_USER": ADMIN,
        "KAFKA_PASSWORD": ADMIN_PASSWORD,
        "LOG_PASSWORD": LOG_PASSWORD,
        "KAFKA_KEY_PASSWORD": KEY_PASSWORD,
    }
    made = Deployment(
        home,
        variables,
        {"store": STORE_PASSWORD, "kafka": ADMIN_PASSWORD, "log": LOG_PASSWORD, "kafka's key": KEY_PASSWORD},
    )
    made.run("keys", "new", "agent")
    made.run("keys", "trust", "agent", "--service", "agent")
    made.run("migrate")
    record(made)
    return made


def record(deployment: Deployment) -> None:
    """Records a little; then the keys, and the words of the person, are secrets too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in deployment.environment().items():
            patch.setenv(name, value)
        with open_recorder(load_settings(), "agent") as recorder, recorder.execution(principal=ALICE) as execution:
            prompt = recorder.prompt(trigger_kind="human", trust="trusted", channel="chat", text=TEXT)
            assert recorder.flush(60), recorder.health()
    spans = deployment.home / "spans.json"
    spans.write_text('{"resourceSpans": []}')
    deployment.given |= {
        "event": ids.text(prompt.event_id),
        "execution": ids.text(execution.execution_id),
        "home": str(deployment.home),
        "spans": str(spans),
    }
    for path in (deployment.home / "keys").glob("*.jwk"):
        if "public" not in path.name:
            deployment.secrets[path.name] = json.loads(path.read_text())["d"]


def test_every_verb_is_looked_at() -> None:
    def names(command: object, path: str = "") -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield path.strip()
            return
        for name, each in inner.items():
            yield from names(each, f"{path} {name}")

    assert set(names(get_command(command()))) == {*SHORT, *LONG, *NOT_HERE}


@pytest.fixture(scope="module")
def served(deployment: Deployment) -> Iterator[tuple[str, Path]]:
    """Workers and API over that deployment, as one process tree: its URL and what it printed."""
    output = deployment.home / "serve.txt"
    deployment.run("tokens", "new", "watcher", "--role", "operator")
    process = deployment.start("serve", "--port", "0", output=output, METRICS_PORT="")
    try:
        until(lambda: b"http" in output.read_bytes() or process.poll() is not None)
        url = re.findall(r"http://[\d.:]+", output.read_text())[0]
        until(lambda: httpx.get(f"{url}/v1/events/{deployment.given['event']}").status_code == 200, 60)
        yield url, output
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.parametrize("verb", SHORT)
@pytest.mark.usefixtures("served")
def test_a_verb_prints_no_secret(deployment: Deployment, verb: str) -> None:
    arguments = [*verb.split(), *SHORT[verb].format(**deployment.given).split()]
    printed = deployment.run(*arguments, "--json")
    if verb not in SLOW:
        printed += deployment.run(*arguments)
    assert printed
    assert "unexpected" not in printed
    assert deployment.shown_in(printed) == []


@pytest.mark.parametrize("verb", ["doctor", "find"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"STORE_PASSWORD_FILE": "", "STORE_PASSWORD": "mistyped-password"},
        {"STORE_URL": "postgresql://operator:mistyped-password@localhost:1/deployment"},
        {"STORE_URL": "host=localhost port=1 mistyped-password"},
        {"STORE_URL": "postgresql://operator:mistyped-password/@localhost/deployment"},
    ],
    ids=["refused", "unreachable", "malformed", "ambiguous"],
)
def test_an_error_shows_no_password_either(deployment: Deployment, verb: str, wrong: dict[str, str]) -> None:
    printed = deployment.run(verb, DEBUG="1", **wrong)
    assert "STORE_URL" in printed
    assert "mistyped" not in printed
    assert deployment.shown_in(printed) == []


@pytest.mark.parametrize("verb", ["materialize", "api"])
def test_a_worker_that_is_not_let_in_shows_no_password(deployment: Deployment, verb: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    process = deployment.start(verb, output=output, KAFKA_PASSWORD="mistyped-password", API_PORT="0", DEBUG="1")
    try:
        until(lambda: process.poll() is not None or len(output.read_bytes()) > 0)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    printed = output.read_text()
    assert printed
    assert "mistyped" not in printed
    assert deployment.shown_in(printed) == []


def test_no_process_has_a_secret_in_its_command_and_no_log_or_answer_has_one(
    deployment: Deployment, served: tuple[str, Path]
) -> None:
    url, output = served
    commands = [path.read_bytes().decode(errors="replace") for path in command_lines(os.getpid())]
    assert sum("ledger.cli" in each for each in commands) >= 3
    assert [each for each in commands if deployment.shown_in(each)] == []
    answers = [httpx.get(url + path).text for path in ("/v1/health", "/v1/health/ready", "/metrics", "/v1/findings")]
    logs = [path.read_text(errors="replace") for path in (deployment.home / "logs").iterdir()]
    assert len(logs) == 3
    for text in [*answers, *logs, output.read_text()]:
        assert deployment.shown_in(text) == []
        assert TEXT not in text
        assert "Alice" not in text


def command_lines(pid: int) -> Sequence[Path]:
    """``cmdline`` of every process below ``pid``."""
    found: list[Path] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.exists():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [entry / "cmdline", *command_lines(int(entry.name))]
    return found
