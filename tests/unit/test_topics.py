"""What is said of topics that lack brokers or replicas, from how brokers describe their partitions."""

from __future__ import annotations

from typing import Any

from ledger.logs.topics import mismatches, out_of_step, settings_to_make
from ledger.ports import EVENTS

TWO = {"min.insync.replicas": "2"}


def partition(number: int, in_step: list[int], replicas: int = 3, leader: int | None = None) -> dict[str, Any]:
    nodes = list(range(1, replicas + 1))
    led = (in_step or [-1])[0] if leader is None else leader
    return {"partition_index": number, "leader_id": led, "replica_nodes": nodes, "isr_nodes": in_step}


def said(*partitions: dict[str, Any], found: dict[str, str] = TWO) -> list[tuple[str, str]]:
    return [(each.kind, each.text) for each in out_of_step("t", partitions, found)]


def test_of_a_topic_whose_replicas_are_all_in_step_nothing_is_said() -> None:
    assert said(partition(0, [1, 2, 3]), partition(1, [3, 1, 2])) == []


def test_a_broker_that_is_away_is_named() -> None:
    ((kind, text),) = said(partition(0, [1, 2]), partition(1, [1, 2, 3]))
    assert (kind, "brokers [3] are down" in text) == ("note", True)


def test_partitions_that_take_nothing_and_those_that_nobody_leads_are_wrong() -> None:
    stuck, away = said(partition(0, [1]), partition(1, [1, 2, 3]))
    assert (stuck[0], away[0]) == ("wrong", "note")
    assert "partitions [0] take nothing" in stuck[1]
    headless, _ = said(partition(4, [2], leader=-1), partition(1, [1, 2, 3]))
    assert (headless[0], "nobody leads partitions [4]" in headless[1]) == ("wrong", True)


def test_a_topic_with_fewer_replicas_is_noted() -> None:
    ((kind, text),) = said(partition(0, [1], replicas=1), found={})
    assert (kind, "1 replica of topic t" in text) == ("note", True)


def test_three_replicas_want_two_in_step_and_one_alone_does_not() -> None:
    assert settings_to_make(EVENTS, 3)["min.insync.replicas"] == "2"
    assert "min.insync.replicas" not in settings_to_make(EVENTS, 1)
    right = settings_to_make(EVENTS, 3)
    assert mismatches(EVENTS, "t", right, 3) == []
    (told,) = mismatches(EVENTS, "t", {**right, "min.insync.replicas": "1"}, 3)
    assert "t has min.insync.replicas=1" in told
    assert mismatches(EVENTS, "t", {**right, "min.insync.replicas": "1"}, 1) == []
