"""The description of /v1 against the service, and the examples of its documentation by curl."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from taxomind_app.client import Client
from tests.app.api.v1_service import SECRET, answering
from tests.copies import copied

DOCS = Path(__file__).parents[3] / "docs" / "v1.md"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BELOW = "/v1/taxonomies/{key}"


@pytest.fixture(scope="module")
def service(built, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        data = copied(built, tmp_path_factory.mktemp("described") / "data")
        yield answering(data, patch, requests_per_minute=100_000, sync_texts=5, explained_texts=2)


@pytest.fixture(scope="module")
def described(service):
    return schemathesis.openapi.from_asgi("/openapi.json", service.app)


@pytest.mark.parametrize(
    "path",
    ["/v1/classify", "/v1/taxonomies", "/v1/jobs", "/v1/jobs/{job_id}", BELOW]
    + [f"{BELOW}/{name}" for name in ("search", "corrections", "queue", "contradictions", "candidates", "decisions", "report")]
    + [f"{BELOW}/{name}" for name in ("models", "nodes/{code}", "corrections/{correction_id}", "decisions/{decision_id}")],
)
@pytest.mark.parametrize("key", ["living", None], ids=["known", "any"])
def test_every_answer_is_as_described(path, key, described):
    operations = [found.ok() for found in described.include(path=path).get_all_operations()]
    assert operations
    for operation in operations:
        fuzz(operation, key if "{key}" in path else None)


def fuzz(operation, key):
    @given(case=operation.as_strategy())
    @settings(max_examples=5, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True)
    def answered(case):
        if key is not None:
            case.path_parameters["key"] = key
        case.call_and_validate(headers={"Authorization": f"Bearer {SECRET}"}, checks=CHECKS)

    answered()


@pytest.fixture(scope="module")
def address(service):
    """The service, listening."""
    server = uvicorn.Server(uvicorn.Config(service.app, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


def blocks(language):
    """Examples of the page; `pets` of the other page is the taxonomy that the tests have."""
    found = re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [example.replace("pets", "living") for example in found]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_of_the_documentation_work(address):
    examples = blocks("sh")
    assert len(examples) == 12
    environment = {**os.environ, "URL": address, "TOKEN": SECRET}
    answers = []
    for example in examples:
        done = subprocess.run(["bash", "-c", example], env=environment, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout))
        assert "code" not in answers[-1] or "label" in answers[-1], (example, answers[-1])
        if "correction_ids" in answers[-1]:
            environment["CORRECTION"] = answers[-1]["correction_ids"][0]
    assert [answer["code"] for answer in answers[0]["answers"]] == ["AB", "PF"]
    assert [item["text"] for item in answers[5]["taken_back"]] == ["Polly wants a cracker"]


def test_the_python_of_the_documentation_works(address, capsys):
    (example,) = blocks("python")
    exec(compile(example, "docs", "exec"), {"url": address, "token": SECRET})
    assert "AB Birds" in capsys.readouterr().out
    with Client(address, SECRET) as client:
        assert "Polly wants a cracker" in {row.text for row in client.corrections("living").corrections}


def test_every_route_is_in_the_documentation(described):
    text = DOCS.read_text(encoding="utf-8")
    for path in described.raw_schema["paths"]:
        if path.startswith("/v1"):
            plain = path.replace("/v1/taxonomies/{key}/", ".../").replace("{correction_id}", "{id}")
            assert plain.replace("{decision_id}", "{id}").split("/trial")[0].rstrip("/") in text, path
