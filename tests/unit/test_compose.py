"""No Docker engine runs here: what the compose file and the image name must at least exist in this project."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from api import health
from ledger.cli.app import command
from ledger.logs import open_log
from ledger.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def test_the_deployment_has_every_part() -> None:
    assert set(COMPOSE["services"]) == {"kafka", "postgres", "migrate", "materializer", "contents", "sentinel", "api"}
    assert set(COMPOSE["volumes"]) == {"kafka", "postgres", "ledger"}


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_a_verb(name: str) -> None:
    verbs = get_command(command()).commands  # type: ignore[attr-defined]
    assert OURS[name]["command"][0] in verbs


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_every_path_is_mounted(name: str) -> None:
    service = OURS[name]
    mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
    mounted |= {volume.split(":")[1] for volume in service["volumes"]}
    for variable, value in service["environment"].items():
        assert variable.startswith(PREFIX)
        assert variable.removeprefix(PREFIX).lower() in Settings.model_fields, variable
        if str(value).startswith("/"):
            assert value in mounted, variable
    assert {volume.split(":")[0] for volume in service["volumes"]} <= set(COMPOSE["volumes"])
    assert set(service["secrets"]) <= set(COMPOSE["secrets"])


@pytest.mark.parametrize("name", [n for n, s in COMPOSE["services"].items() if s.get("command") != ["migrate"]])
def test_what_keeps_running_has_a_health_check_on_a_port_it_serves(name: str) -> None:
    check = " ".join(COMPOSE["services"][name]["healthcheck"]["test"])
    if name in OURS:
        (port,) = re.findall(r"127\.0\.0\.1'?[:,] ?(\d+)", check)
        served = {str(v) for k, v in OURS[name]["environment"].items() if k.endswith("_PORT")}
        assert port in served
    else:
        assert check


def test_the_api_is_healthy_while_it_is_ready_to_answer() -> None:
    check = " ".join(OURS["api"]["healthcheck"]["test"])
    (path,) = re.findall(r"8420(/[^']*)'", check)
    assert path in {getattr(route, "path", None) for route in health.router.routes}
    assert path == "/v1/health/ready"


def test_the_urls_lead_to_the_services() -> None:
    variables = OURS["api"]["environment"]
    open_log(variables["ANSWERABLE_LOG_URL"]).close()
    assert variables["ANSWERABLE_LOG_URL"] == "kafka://kafka:9092"
    assert "@postgres:5432/" in variables["ANSWERABLE_STORE_URL"]
    assert variables["ANSWERABLE_API_PORT"] == Settings.model_fields["api_port"].default
    assert COMPOSE["services"]["api"]["ports"] == ["127.0.0.1:8420:8420"], "never on every address by itself"


def test_the_image_copies_what_exists_and_runs_the_command() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
    assert 'ENTRYPOINT ["answerable"]' in dockerfile
    assert dict(re.findall(r"(\w+)=(\S+)", dockerfile))["ANSWERABLE_DATA_DIR"] == "/data"
