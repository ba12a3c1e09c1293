"""The README runs as written: its commands and its program, in order, on a ledger of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

THERE = 'until curl -sf "$(grep -om1 "http://[0-9.:]*" served)/v1/events/$event" > /dev/null; do sleep 0.1; done'
"""What a person waits for who sleeps; other tests may have the processors."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_every_file_that_it_links_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.timeout(120)
def test_its_example_records_asks_and_detects_a_forgery(tmp_path: Path) -> None:
    _, setup, session = blocks("sh")
    (program,) = blocks("python")
    (tmp_path / "record.py").write_text(program)
    serve, *keys = setup.splitlines()
    assert serve.startswith("answerable serve &")
    script = "\n".join(
        [
            "answerable serve > served &",
            "server=$!",
            "trap 'kill $server; wait $server' EXIT",
            "until [ -s served ] || ! kill -0 $server; do sleep 0.1; done",  # a person waits for the URL
            *keys,
            session.replace("sleep 2", THERE),
        ]
    )
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ANSWERABLE_DATA_DIR": str(tmp_path / "data"),
        "ANSWERABLE_API_PORT": "0",
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "started by Alice Ash" in done.stdout
    assert "owner Dana Okafor" in done.stdout
    assert "every chain verifies" in done.stdout
    assert "bad_payload" in done.stdout
    assert "forgery detected" in done.stdout
