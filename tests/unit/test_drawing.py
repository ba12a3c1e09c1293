"""Graphs as GraphML and DOT: other programs read them back, and what strangers wrote in them stays text."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
from pathlib import Path
from xml.etree import ElementTree

import networkx
import pytest

from ledger.attribution.drawing import LEGEND, to_dot, to_graphml
from ledger.attribution.graph import graph_of
from ledger.errors import DrawingFailed
from ledger.graphviz import draw_svg
from tests.attribution.scenario import Story, read_scenario

HOSTILE = '"]; b -> a; x [label="\\N\\G</svg><script>\x00\x1b[2J\u202e'
TEXT = """
person alice Alice
p1 agent prompt by=alice trigger_kind=human trust=trusted
s1 agent reasoning_step status=completed visibility=full <- p1:started_by lost:informed_by
a1 agent api_action action_id=x operation=OP phase=completed observer=agent <- s1:started_by s1:informed_by
"""


def drawn(operation: str = "book") -> tuple[Story, networkx.MultiDiGraph]:
    story = read_scenario(TEXT.replace("a1 agent api_action", "a0 agent api_action").partition("a0")[0])
    fields = {"action_id": "x", "operation": operation, "phase": "completed", "observer": "agent"}
    story.event("a1", "agent", "api_action", fields, ["s1:started_by", "s1:informed_by"])
    return story, graph_of(story.subgraph("a1"))


def test_graphml_is_read_back_by_networkx_with_every_event_link_and_grade() -> None:
    _, graph = drawn()
    read = networkx.read_graphml(io.BytesIO(to_graphml(graph).encode()), force_multigraph=True)
    assert set(read.nodes) == set(graph.nodes)
    edges = sorted((a, b, held["relation"], held.get("grade")) for a, b, held in read.edges(data=True))
    assert edges == sorted((a, b, key, held["grade"]) for a, b, key, held in graph.edges(keys=True, data=True))
    assert read.graph["asked"] == graph.graph["asked"]


def test_hostile_text_is_xml_in_graphml() -> None:
    _, graph = drawn(HOSTILE)
    read = networkx.read_graphml(io.BytesIO(to_graphml(graph).encode()), force_multigraph=True)
    (said,) = [held["summary"] for _, held in read.nodes(data=True) if held.get("kind") == "api_action"]
    assert said.startswith('"]; b -> a; x [label="\\N\\G</svg><script>u+0000u+001b[2Ju+202e')


def test_hostile_text_ends_no_string_of_dot_and_is_no_escape_of_its_own() -> None:
    _, graph = drawn(HOSTILE)
    dot = to_dot(graph)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "S", dot)
    assert "script" not in bare
    assert sum("->" in line for line in bare.splitlines()) == graph.number_of_edges()
    assert "\\\\N\\\\G" in dot
    assert all(each.isprintable() or each == "\n" for each in dot)


def test_dot_tells_what_was_asked_about_and_what_is_missing() -> None:
    _, graph = drawn()
    lines = to_dot(graph).splitlines()
    assert any(LEGEND in line for line in lines)
    assert ["api_action" in line for line in lines if "style=bold" in line] == [True]
    assert ["missing: dangling" in line for line in lines if "style=dashed" in line] == [True]


def test_without_graphviz_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DrawingFailed, match=r"install it .*graphviz"):
        draw_svg("digraph {}")


@pytest.mark.parametrize(("body", "said"), [("exit 3", "status 3"), ("exec /bin/sleep 60", "TimeoutExpired")])
def test_a_dot_that_fails_or_hangs_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, said: str
) -> None:
    monkeypatch.setattr("ledger.graphviz.SECONDS", 0.2)
    program(monkeypatch, tmp_path, body)
    with pytest.raises(DrawingFailed, match=said):
        draw_svg("digraph {}")


def test_what_dot_draws_is_what_comes_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path, "/bin/cat")
    assert draw_svg("digraph { ä }") == "digraph { ä }".encode()
    with pytest.raises(DrawingFailed, match="too large"):
        draw_svg(" " * (2 << 20) + " ")


@pytest.mark.skipif(shutil.which("dot") is None and not os.environ.get("CI"), reason="Graphviz is not installed")
def test_graphviz_itself_draws_what_we_write() -> None:
    graph = networkx.MultiDiGraph(asked="a")
    graph.add_node(
        "a", kind="prompt", event_id="a", summary='say "\\N" <b>', service="app", occurred_at="now", findings=[]
    )
    graph.add_node("b", kind=None, missing="dangling_cause")
    graph.add_edge("b", "a", key="started_by", grade=None)
    drawn = ElementTree.fromstring(draw_svg(to_dot(graph)))  # noqa: S314 - our own program's
    said = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert said == [LEGEND, "prompt", 'say "\\N" <b>', "app now", "missing: dangling_cause", "started_by", "not there"]


def program(monkeypatch: pytest.MonkeyPatch, directory: Path, body: str) -> None:
    """A ``dot`` of our own at the head of PATH."""
    path = directory / "dot"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(directory))
