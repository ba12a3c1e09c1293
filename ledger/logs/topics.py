"""The two topics, and the settings without which the ledger's promises do not hold (``docs/format.md``).

``ledger.events`` is kept for ever and never compacted. ``ledger.contents`` is compacted, and with times that make a
tombstone take effect: without them an erased content may stay in its segment for ever. On both the broker sets the
time, for a publisher could write any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from ledger.errors import ConfigurationError, InvalidEvent
from ledger.ports import CONTENTS, EVENTS, Outgoing, Problem

DEFAULT_PARTITIONS = 8

# A record's framing (offsets, lengths, key) comes on top of its value, and lz4 adds some to what it cannot compress.
VALUE_BYTES = {EVENTS: (1 << 20) - (16 << 10), CONTENTS: (9 << 20) - (64 << 10)}

_DAY = 86_400_000
_HOUR = 3_600_000


class Setting(NamedTuple):
    """What a topic is made with, and what is accepted where it exists."""

    name: str
    value: str
    holds: Callable[[str], bool]
    meaning: str


def _is(value: str) -> Callable[[str], bool]:
    return lambda found: found == value


def _between(low: int, high: int) -> Callable[[str], bool]:
    return lambda found: low <= int(found) <= high


_COMMON = (
    Setting("message.timestamp.type", "LogAppendTime", _is("LogAppendTime"), "verdicts are judged at append time"),
    Setting(
        "compression.type",
        "producer",
        lambda found: found in {"producer", "uncompressed", "gzip", "lz4"},
        "readers bound what gzip and lz4 unpack to, and read no other compression",
    ),
    Setting("unclean.leader.election.enable", "false", _is("false"), "an acknowledged record must not be lost"),
)

REPLICAS: Final = 3
"""With as many a broker may be lost: what is acknowledged is on two, and two go on."""
IN_STEP: Final = Setting(
    "min.insync.replicas",
    "2",
    lambda found: int(found) >= 2,
    "an acknowledged record would be on one broker alone, and lost with it",
)

SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    EVENTS: (
        *_COMMON,
        Setting("cleanup.policy", "delete", _is("delete"), "compaction would drop sealed batches of a chain"),
        Setting("retention.ms", "-1", _is("-1"), "events are kept for ever"),
        Setting("retention.bytes", "-1", _is("-1"), "events are kept for ever"),
        Setting("max.message.bytes", str(1 << 20), _between(1 << 20, 16 << 20), "a batch may have 768 KiB"),
    ),
    CONTENTS: (
        *_COMMON,
        Setting("cleanup.policy", "compact", _is("compact"), "a tombstone must erase the content before it"),
        Setting("segment.ms", str(_HOUR), _between(1, 7 * _DAY), "the open segment is never compacted"),
        Setting("max.compaction.lag.ms", str(_DAY), _between(1, 7 * _DAY), "erasure must come within days"),
        Setting("delete.retention.ms", str(7 * _DAY), _between(_HOUR, 90 * _DAY), "readers must see the tombstone"),
        Setting("max.message.bytes", str(9 << 20), _between(9 << 20, 64 << 20), "a content may have 8 MiB"),
    ),
}


def refuse_oversized(records: Sequence[Outgoing]) -> None:
    """Raises ``InvalidEvent`` where a record can never be appended, before anything is sent."""
    for record in records:
        limit = VALUE_BYTES.get(record.topic)
        if limit is None:
            raise ConfigurationError(f"the ledger has no topic {record.topic}: it has {', '.join(VALUE_BYTES)}")
        if record.value is not None and len(record.value) > limit:
            raise InvalidEvent(
                f"{len(record.value)} bytes are too many for a record of {record.topic}: at most {limit}"
            )


def settings_to_make(topic: str, replicas: int) -> dict[str, str]:
    """The settings that ``topic`` is made with."""
    return {setting.name: setting.value for setting in _settings(topic, replicas)}


def _settings(topic: str, replicas: int) -> tuple[Setting, ...]:
    return SETTINGS[topic] + ((IN_STEP,) if replicas >= REPLICAS else ())


def mismatches(topic: str, name: str, found: Mapping[str, str], replicas: int) -> list[str]:
    """What is wrong with the settings ``found`` on the topic called ``name``, each a sentence that says what to do."""
    wrong = []
    for setting in _settings(topic, replicas):
        value = found.get(setting.name, "")
        try:
            holds = setting.holds(value)
        except ValueError:
            holds = False
        if not holds:
            wrong.append(
                f"topic {name} has {setting.name}={value or 'unset'}: {setting.meaning}; "
                f"set {setting.name}={setting.value} (kafka-configs --alter --topic {name} "
                f"--add-config {setting.name}={setting.value})"
            )
    return wrong


def replicas_of(partitions: Sequence[Mapping[str, Any]]) -> int:
    """How many the partition has that has the fewest, as the brokers describe them."""
    return min((len(each["replica_nodes"]) for each in partitions), default=0)


def out_of_step(name: str, partitions: Sequence[Mapping[str, Any]], found: Mapping[str, str]) -> list[Problem]:
    """What the topic called ``name`` lacks of brokers now, as they describe its partitions, and of replicas at any time."""
    return [Problem(kind, f"{text} of topic {name}: {remedy}") for kind, text, remedy in _lacking(partitions, found)]


def _lacking(
    partitions: Sequence[Mapping[str, Any]], found: Mapping[str, str]
) -> Iterator[tuple[Literal["wrong", "note"], str, str]]:
    least = int(found.get(IN_STEP.name, "1"))
    led = [each for each in partitions if each["leader_id"] >= 0]
    if headless := [each["partition_index"] for each in partitions if each not in led]:
        yield "wrong", f"nobody leads partitions {headless}", "nothing is written or read there; start their brokers"
    if stuck := [each["partition_index"] for each in led if len(each["isr_nodes"]) < least]:
        why = f"partitions {stuck} take nothing, for fewer than {IN_STEP.name}={least} replicas are in step"
        yield "wrong", why, "start the brokers that are away"
    if away := {node for each in partitions for node in {*each["replica_nodes"]} - {*each["isr_nodes"]}}:
        yield "note", f"brokers {sorted(away)} are down, or behind with what they keep", "start them, or see their logs"
    if (replicas := replicas_of(partitions)) < REPLICAS:
        has = "1 replica" if replicas == 1 else f"{replicas} replicas"
        yield "note", f"there is no more than {has}", f"with {REPLICAS}, and {IN_STEP.name}=2, a broker may be lost"
