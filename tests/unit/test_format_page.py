"""``docs/format.md`` prints the tables of the code, and its worked example is what the code computes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from api import pulse, server, store
from consumers import contents, running
from ledger import graphviz
from ledger.attribution.joins import NAMESPACES
from ledger.cli import imports, workers
from ledger.cli.doctor import findings
from ledger.embedded import postgres as embedded
from ledger.format import hashing, limits
from ledger.format.event import RELATIONS, TO_TRIGGERS
from ledger.format.hashing import event_prefix, tree_entry
from ledger.importers import index, sink
from ledger.logs import kafka, kafka_producer, kafka_subscription, postgres_session, postgres_subscription
from ledger.logs.kafka import KafkaLog
from ledger.recorder import process, recorder, syncer
from ledger.recorder.recorder import Recorder
from ledger.store import connect, owner, patience, positions, projection
from ledger.trust import bundle
from ledger.trust.bundle import NAMED_KINDS
from ledger.trust.reasons import REASONS
from tests.sealing import (
    KEY,
    LEDGER,
    SCHEMAS,
    SERVICE,
    TENANT,
    bundle_of,
    digests_of,
    event,
    key_statement,
    opening,
    seal,
)

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


def rows(title: str) -> list[list[str]]:
    """The cells of every table row of a section, without back quotes, headings left out."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:1] == "|"
    ]
    return [row for row in found if row[0].strip().startswith("`")]


def test_the_page_has_every_limit_of_the_code_and_no_other() -> None:
    code = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert {row[0].strip("`"): int(row[1]) for row in rows("19. Limits")} == code


def default(function: Any, name: str) -> float:
    return float(inspect.signature(function).parameters[name].default)


WAITS: dict[str, float | tuple[float, ...]] = {
    "spool to disk": 2 * syncer.DELAY,
    "linger": default(Recorder, "linger"),
    "heartbeat": default(Recorder, "heartbeat"),
    "append": default(Recorder, "append_timeout"),
    "strict": default(Recorder, "strict_timeout"),
    "flush, close": (default(Recorder.flush, "timeout"), default(Recorder.close, "timeout")),
    "the end of the interpreter": recorder.AT_EXIT,
    "the recorder's threads": process.GRACE,
    "an append of an import": sink._TIMEOUT,
    "the lock on an import's index": index._LOCK_SECONDS,
    "an import's events": imports._WAIT_SECONDS,
    "tombstone": contents.TOMBSTONE_SECONDS,
    "a broker": (kafka._ADMIN_MS / 1000, kafka_subscription._BOOTSTRAP_MS / 1000),
    "a question to Kafka": kafka._REQUEST_MS / 1000,
    "the cluster as it is now": kafka_subscription._LEARN_MS / 1000,
    "topics that were made": kafka._SETTLE_SECONDS,
    "an abandoned producer": kafka_producer._GIVE_UP_SECONDS,
    "a read from Kafka": kafka._SILENT_SECONDS,
    "joining a group": kafka_subscription._JOIN_SECONDS,
    "closing a Kafka client": (kafka._CLOSE_MS / 1000, kafka_subscription._CLOSE_MS / 1000),
    "a question to the log in Postgres": postgres_subscription._QUERY_SECONDS,
    "an embedded Postgres that starts": embedded.START_SECONDS,
    "an embedded Postgres that ends": embedded.STOP_SECONDS,
    "connecting to Postgres": postgres_session._CONNECT_SECONDS,
    "connecting to the store": connect.CONNECT_SECONDS,
    "a worker's ending": running.GRACE_SECONDS,
    "a worker that needs a person": workers.SCRAPED_SECONDS,
    "the children of `serve`": workers._GRACE_SECONDS,
    "a retry of a worker": default(running.run_opened, "seconds"),
    "a worker's step": patience.STEP_SECONDS,
    "a step that is made again": patience.MOST_SECONDS,
    "a silent member of a group": (default(KafkaLog, "session_seconds"), postgres_subscription.SESSION_SECONDS),
    "an added partition": kafka_subscription._METADATA_MS / 1000,
    "a question over HTTP": store.QUESTION_SECONDS,
    "a statement of it": store.STATEMENT_MS / 1000,
    "its transaction, idle": store.IDLE_MS / 1000,
    "its place in the queue": store.WAIT_SECONDS,
    "its connection": store.CONNECT_SECONDS,
    "the store, of the API": store.RECONNECT_SECONDS,
    "health and metrics over HTTP": pulse.WAIT_SECONDS,
    "the API's ending": server.GRACE_SECONDS,
    "a drawing": graphviz.SECONDS,
    "doctor's look": findings.SECONDS,
    "stuck worker": positions.STUCK_SECONDS,
    "the lock for a longer bundle": projection._GROW_SECONDS,
    "any other lock of a worker": owner._LOCK_TIMES * positions.STUCK_SECONDS,
    "an idle transaction of a worker": patience.STEP_SECONDS,
    "a host that is gone": patience.TCP["tcp_user_timeout"] / 1000,
    "judging again, statistics, partitions": patience.MOST_SECONDS,
}
"""Every row of the second table, and what the code says."""
NO_WAIT = {
    *(
        "_POLL_SECONDS",
        "POLL_SECONDS",
        "LOOK_SECONDS",
        "_LOOK_SECONDS",
        "_SLICE_SECONDS",
        "_READ_SLICE_MS",
        "_IDLE_SECONDS",
        "_WATCH_SECONDS",
    ),
    *(
        "_HEAR_SECONDS",
        "_SHARE_SECONDS",
        "_RECONNECT_MS",
        "PAUSE_SECONDS",
        "RELOAD_SECONDS",
        "BEHIND_SECONDS",
        "LATE_SECONDS",
    ),
    *(
        "SILENT_SECONDS",
        "QUIET_SECONDS",
        "SLOW_SECONDS",
        "LONG_SECONDS",
        "COUNT_SECONDS",
        "BUSY_SECONDS",
        "OVERDUE_SECONDS",
        "PARTITION_SECONDS",
    ),
    *("CLOCK_MICROSECONDS", "_MICROSECONDS", "_KNOCK_MS"),
}
"""Constants that are called as time-outs are: how often something is looked at, and from when on it counts as late."""
ROOT = Path(__file__).parents[2]


def seconds(said: str) -> float:
    number, unit = said.split(" ")
    return float(number) * {"ms": 0.001, "s": 1, "min": 60, "h": 3600}[unit]


def test_the_page_has_every_time_out_of_the_code_with_its_value() -> None:
    table = PAGE.split("| time-out | value | of |\n|---|---|---|\n")[1].split("\n\n")[0]
    said = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert sorted(name for name, *_ in said) == sorted(WAITS)
    for name, value, _ in said:
        code = WAITS[name]
        assert {seconds(value)} == set(code if isinstance(code, tuple) else (code,)), name


def test_no_time_out_of_the_code_is_missing_from_the_page() -> None:
    named = re.compile(r"^(_?[A-Z_]*(?:SECONDS|_MS|TIMEOUT|GRACE))(?:: Final)? = [\d_.]+", re.MULTILINE)
    held = Path(__file__).read_text().split("WAITS: ")[1].split("NO_WAIT")[0]
    for package in ("ledger", "api", "consumers"):
        for path in (ROOT / package).rglob("*.py"):
            for name in named.findall(path.read_text()):
                assert name in NO_WAIT or f".{name}" in held, (
                    f"{path}: add {name} to the page's time-outs, or to NO_WAIT"
                )


def test_every_large_number_of_the_page_is_a_limit_or_a_setting_of_a_topic() -> None:
    text = "".join(PAGE.split("\n## ")[2:19])
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d{1,3}(?:,\d{3})+", text)}
    milliseconds, topics = {1000}, {1 << 20, 9 << 20}
    assert numbers - milliseconds - topics <= {value for name, value in vars(limits).items() if name.isupper()}


def test_the_page_has_every_label_that_is_hashed_or_signed() -> None:
    labels = [value for module in (hashing, bundle) for value in vars(module).values() if isinstance(value, bytes)]
    code = {value[:-1].decode() for value in labels if value.startswith(b"answerable/")}
    assert set(re.findall(r'"(answerable/\w+/v\d+)" ‖ 0x00', PAGE)) == code


def test_the_page_names_the_kinds_that_a_star_leaves_out() -> None:
    (said,) = re.findall(r"any kind \*\*but\*\* (.*?): those count", PAGE)
    assert set(re.findall(r"`(\w+)`", said)) == NAMED_KINDS


def test_the_summary_of_the_schemas_has_their_fields_in_order_with_their_types() -> None:
    summary = PAGE.split("## 3. What is signed\n\n```\n")[1].split("```")[0]
    said = " ".join(summary.split())
    several = r"(?<!: )\b(\w+), (\w+): (\w+)"  # a, b: type
    while re.search(several, said):
        said = re.sub(several, r"\1: \3, \2: \3", said)
    names = ("SealedBatch", "Seal", "EventHeader", "Content")
    assert said == " ".join(f"{name} {summarized(SCHEMAS.by_name[name].parsed, {})}" for name in names)


def summarized(schema: Any, named: dict[str, Any]) -> str:
    """A type as the page writes it."""
    if isinstance(schema, list):
        return f"{summarized(schema[1], named)}?"
    if isinstance(schema, str):
        return summarized(named[schema], named) if schema in named else schema
    named[schema.get("name", "")] = schema
    if schema["type"] == "array":
        return f"[{summarized(schema['items'], named)}]"
    if schema["type"] == "fixed":
        return f"fixed{schema['size']}"
    fields = [f"{field['name']}: {summarized(field['type'], named)}" for field in schema["fields"]]
    return f"{{ {', '.join(fields)} }}"


def test_the_contents_name_every_section() -> None:
    listed = re.findall(r"\[(\d+) ([^]]+)\]\(#([^)]+)\)", PAGE.split("\n## ")[0])
    sections = re.findall(r"^## (\d+)\. (.+)$", PAGE, re.MULTILINE)
    assert [(number, title) for number, title, _ in listed] == sections
    assert [link for _, _, link in listed] == [f"{n}-{title.lower().replace(' ', '-')}" for n, title in sections]


def test_the_page_has_every_reason_and_finding_as_the_code_says_it() -> None:
    page = [tuple(row) for row in rows("20. Reasons and findings")]
    code = [
        (f"`{each.name}`", "refuses" if each.refuses else "finding", each.scope, each.meaning, each.remedy)
        for each in REASONS.values()
    ]
    assert page == code


def test_the_page_has_every_relation_and_which_lead_to_triggers() -> None:
    page = {row[0].strip("`"): row[2] for row in rows("12. Relations")}
    assert page == {each: "yes" if each in TO_TRIGGERS else "no" for each in RELATIONS}


def test_the_page_has_every_kind() -> None:
    kinds = set(SCHEMAS.by_name) - {"SealedBatch", "Seal", "EventHeader", "Content"}
    assert {row[0].strip("`") for row in rows("14. Kinds")} == kinds


def test_the_page_has_every_name_that_events_are_joined_by() -> None:
    page = {row[0].strip("`"): row[1] for row in rows("13. Correlation and joins") if len(row) == 2}
    assert page == dict(NAMESPACES)


def test_the_worked_example_is_what_the_code_computes() -> None:
    example = re.sub(r"\s", "", PAGE.split("## 21. Worked example")[1])
    made = seal([opening(), event(1)])
    first, second = made.batch.events
    digests = digests_of(made.batch.events)
    signature = made.batch.signatures[0].signature
    facts = [
        first.header,
        second.header,
        first.payload or b"",
        second.payload or b"",
        first.salt,
        second.salt,
        *digests,
    ]
    facts += [made.digest, signature, tree_entry(made.digest, signature), event_prefix(LEDGER, TENANT, SERVICE)[1:]]
    facts.append(made.seal)
    assert [fact.hex() for fact in facts if fact.hex() not in example] == []
    assert KEY.key_id in example
    assert re.sub(r"\s", "", bundle_of(key_statement()).decode()) in example
