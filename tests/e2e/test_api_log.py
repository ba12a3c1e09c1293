"""What the server logs of a defect: where it is, in lines of JSON, and nothing that the error repeats."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
TEXT = "what no log should repeat"
SERVER = f"""
from api.access import Tokens
from api.app import create_app
from api.server import run
from api.sockets import bind
from api.store import Store
from ledger.cli.lines import write_lines

app = create_app(
    store=Store("postgresql://nobody@127.0.0.1:1/nothing"), ledger="l", tokens=Tokens(None, "t"), bundle=lambda: None
)

@app.get("/defect")
def defect():
    raise ValueError("cannot make sense of {TEXT}") from KeyError("{TEXT}")

write_lines()
listening = bind("127.0.0.1", 0)
run(app, listening, lambda: print(listening.getsockname()[1], flush=True))
"""


def test_a_defect_is_logged_with_where_it_is_and_without_what_its_error_says() -> None:
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            answer = httpx.get(f"http://127.0.0.1:{port}/defect", timeout=20)
        finally:
            server.terminate()
            _, logged = server.communicate(timeout=20)
    assert (answer.status_code, TEXT in answer.text) == (500, False)
    assert TEXT not in logged
    lines = [json.loads(line) for line in logged.splitlines()]
    (told,) = (line for line in lines if line["event"] == "defect at /defect")
    assert "in defect" in told["exception"]
    assert "ValueError from KeyError" in told["exception"]
