"""Dockerfile, compose.yaml and docs/hosting.md name what the product has: commands, settings, ports, paths, folders."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import dagster_webserver.webserver
import pytest
import typer
import yaml

from taxomind_app.api import config
from taxomind_app.cli.main import app
from taxomind_app.cli.serve import Part
from taxomind_app.cli.serve_check import HEALTH_PATH, UI_PATH
from taxomind_app.cli.session import Session
from taxomind_resources.embedding.placing import MODELS_VARIABLE
from taxomind_resources.settings import DATA_VARIABLE, ENV_PREFIX, ServiceSettings, known_settings, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if name != "postgres"}
HOSTING = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
PORTS = {"api": ServiceSettings().port, "webserver": ServiceSettings().ui_port}
#: What others than settings read from the environment.
OTHERS = {DATA_VARIABLE, MODELS_VARIABLE, *re.findall(r'"([A-Z][A-Z_]+)"', inspect.getsource(config)), "TAXOMIND_IMAGE"}
IN_COMPOSE = {"TAXOMIND_PORT", "TAXOMIND_UI_PORT", "TAXOMIND_WORKERS", "TAXOMIND_STALE_S", "TAXOMIND_IMAGE"}


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile, lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def parsed(arguments: Sequence[str]) -> typer.Context:
    """The context of a call of the command line, which must be one."""
    command: Any = typer.main.get_command(app)
    context, rest = command.make_context("taxomind", list(arguments), obj=Session()), list(arguments)
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    found: typer.Context = context
    return found


def check_variables(variables: dict[str, str], data: Path) -> None:
    settings = {f"{ENV_PREFIX}{name.replace('.', '__').upper()}" for name in known_settings()}
    assert set(variables) <= settings | OTHERS
    load_settings(data, {name: value for name, value in variables.items() if "__" in name})


@pytest.mark.parametrize("name", OWN)
def test_commands_and_health_checks_of_services_are_calls_of_the_program(name: str) -> None:
    service = OWN[name]
    own = parsed(service["command"])
    assert own.info_name == "serve"
    kind, program, *check = service["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "taxomind")
    checked = parsed(check)
    assert (checked.params["only"], checked.params["check"]) == (own.params["only"], True)


def test_every_part_is_one_service() -> None:
    assert sorted(parsed(service["command"]).params["only"] for service in OWN.values()) == sorted(Part)


@pytest.mark.parametrize("name", OWN)
def test_services_have_settings_that_exist(name: str, tmp_path: Path) -> None:
    chosen = {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for key, value in OWN[name]["environment"].items()}
    check_variables(chosen, tmp_path)


def test_nothing_is_reachable_from_elsewhere_and_ports_are_the_services_own() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert {name for name, ports in published.items() if ports} == set(PORTS)
    for name, port in PORTS.items():
        (own,) = published[name]
        assert re.fullmatch(rf"127\.0\.0\.1:\$\{{\w+:-{port}\}}:{port}", own)


def test_services_wait_for_what_says_that_it_is_well() -> None:
    for name, service in OWN.items():
        assert service["depends_on"]["postgres"] == {"condition": "service_healthy"}, name
        assert all(other in SERVICES and "healthcheck" in SERVICES[other] for other in service["depends_on"])
    assert SERVICES["postgres"]["healthcheck"]["test"][1] == "pg_isready"


def test_volumes_and_secrets_are_declared_and_the_password_is_in_no_variable() -> None:
    for service in SERVICES.values():
        assert {mount.split(":")[0] for mount in service["volumes"]} <= set(COMPOSE["volumes"])
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])
        assert not any("PASSWORD" in name and not name.endswith("_FILE") for name in service["environment"])
    assert all(service["volumes"] == ["data:/data"] for service in OWN.values())
    address = OWN["api"]["environment"]["TAXOMIND_DATABASE__URL"]
    postgres = SERVICES["postgres"]["environment"]
    assert address == f"postgresql://{postgres['POSTGRES_USER']}@postgres:5432/{postgres['POSTGRES_DB']}"


def test_the_image_has_what_services_expect(tmp_path: Path) -> None:
    found = instructions()
    variables = dict(pair.split("=", 1) for name, rest in found if name == "ENV" for pair in rest.split())
    own = {name: value for name, value in variables.items() if name.startswith(ENV_PREFIX)}
    check_variables(own, tmp_path)
    assert own[DATA_VARIABLE] == dict(found)["VOLUME"] == "/data"
    assert {int(port) for port in dict(found)["EXPOSE"].split()} == set(PORTS.values())
    assert json.loads(dict(found)["ENTRYPOINT"]) == ["taxomind"]
    assert parsed(json.loads(dict(found)["CMD"])).info_name == "serve"
    check = json.loads(re.search(r"CMD (\[.*\])", dict(found)["HEALTHCHECK"]).group(1))  # type: ignore[union-attr]
    assert parsed(check[1:]).params["check"]
    for call in re.findall(r"(?<=RUN )taxomind ([^&]+)", "\n".join(" ".join(line) for line in found)):
        parsed(call.split())


def test_the_image_runs_as_nobody_special_and_its_stages_exist() -> None:
    stages: dict[str, str] = {}
    user: dict[str, str] = {}
    for name, rest in instructions():
        if name == "FROM":
            base, _, stage = rest.partition(" AS ")
            stages[stage] = base
            user[stage] = user.get(base, "root")
        elif name == "USER":
            user[stage] = rest
        for source in re.findall(r"--from=(\w+)", rest):
            assert source in stages
    assert {stage: user[stage] for stage in ("service", "full")} == {"service": "taxomind", "full": "taxomind"}
    assert list(stages)[-1] == "service"


def test_the_image_is_made_of_files_that_exist_and_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    arguments = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    assert set(arguments["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    assert f">={arguments['PYTHON']}" in project["requires-python"]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [word for name, rest in instructions() if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]]
    assert all((ROOT / word).exists() and any(fnmatch(word, pattern) for pattern in kept) for word in copied)
    packages = {
        name.removesuffix("*") for name in ("taxomind_app*", "taxomind_sensors*", "taxomind_assets*", "taxomind_resources*")
    }
    assert packages | {"pyproject.toml", project["readme"], *project["license-files"]} <= set(copied)


def test_paths_that_health_is_asked_at_exist() -> None:
    described = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    assert "get" in described["paths"][HEALTH_PATH]
    assert f'"{UI_PATH}"' in inspect.getsource(dagster_webserver.webserver)


def test_the_page_about_hosting_names_what_exists(tmp_path: Path) -> None:
    settings = {f"{ENV_PREFIX}{name.replace('.', '__').upper()}" for name in known_settings()}
    named = set(re.findall(r"\bTAXOMIND_[A-Z_]+\b|\bAPI_[A-Z_]+\b", HOSTING))
    assert named
    assert named <= settings | OTHERS | IN_COMPOSE
    calls = re.findall(r"docker compose (run|exec)((?: -\S+)*) (\S+) ([^#`\n]*)", HOSTING)
    assert len(calls) >= 4
    for verb, _, service, rest in calls:
        assert service in SERVICES
        if verb == "run":
            parsed(rest.split())
    for block in re.findall(r"```yaml\n(.*?)```", HOSTING, re.DOTALL):
        for document in yaml.safe_load_all(block):
            check_pod(document, tmp_path)


def check_pod(document: dict[str, Any], data: Path) -> None:
    """Containers of a manifest call the program with settings that exist."""
    for container in document["spec"]["template"]["spec"]["containers"]:
        parsed(container["args"])
        check_variables({own["name"]: str(own.get("value", "null")) for own in container["env"]}, data)
        for probe in ("readinessProbe", "livenessProbe"):
            if "exec" in container.get(probe, {}):
                assert parsed(container[probe]["exec"]["command"][1:]).params["check"]
            elif probe in container:
                assert container[probe]["httpGet"]["path"] == HEALTH_PATH
