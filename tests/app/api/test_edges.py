"""Everything at the door: who may ask, what is refused and how it is said, limits, repeats, tenants. No run is needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from taxomind_app.api.app import create_app
from taxomind_app.api.auth import slug_of_host
from taxomind_app.api.config import environment_tokens, service_settings
from taxomind_app.api.errors import answer
from taxomind_app.cli.serve import check_access, is_loopback
from taxomind_app.cli.token import span_s
from taxomind_resources.faults import Fault
from taxomind_resources.settings import ServiceSettings, Settings
from taxomind_resources.token_store import TokenStore
from tests.app.api.conftest import NODES, SECRET, Served, taxonomy

LABEL = {"taxonomyKey": "ISCO", "batchId": "b", "sentences": [{"sentence_id": 1, "fields": {"a": "x"}}]}
ROUTES = ["/taxonomies", "/taxonomies/ISCO/build", "/taxonomies/ISCO/enrich"]
ROUTES += ["/label", "/learn", "/classify", "/error-analysis"]
CLASSIFY = {"/label", "/classify", "/error-analysis"}


@pytest.fixture(scope="module")
def served(make_served: Callable[..., Served]) -> Served:
    """A service whose taxonomy ISCO is accepted and never built: jobs stay pending."""
    small = {"max_sentences": 5, "max_fields": 3, "max_body_bytes": 20_000, "tenants": ("local", "acme")}
    served = make_served(service=small, limits={"max_cell_characters": 50})
    served.post("/taxonomies", taxonomy())
    return served


def token(served: Served, *tenants: str, scopes: tuple[str, ...] = ("read", "classify", "learn", "admin")) -> TestClient:
    _, secret = TokenStore(served.app.state.service.data).create("test", tenants, scopes)
    return TestClient(served.app, headers={"Authorization": f"Bearer {secret}"})


@pytest.mark.parametrize("route", [*ROUTES, "/label/x/cancel"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic eDp5", "Bearer", f"Bearer {SECRET}x"])
def test_without_a_valid_token_nothing_is_done(served: Served, route: str, header: str | None) -> None:
    answered = TestClient(served.app).post(route, json=LABEL, headers={"Authorization": header} if header else {})
    assert (answered.status_code, answered.json()["code"]) == (401, "unauthorized")
    assert answered.headers["www-authenticate"] == "Bearer"


def test_health_needs_no_token_and_says_what_is_wrong(served: Served) -> None:
    for path in ("/", "/health", "/health/"):
        answered = TestClient(served.app).get(path)
        assert answered.status_code == 200
        assert (answered.json()["status"], answered.json()["service"]) == ("degraded", "taxomind-api")


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("read", set()),
        ("classify", CLASSIFY),
        ("learn", {"/learn"}),
        ("admin", set(ROUTES[:3])),
    ],
)
def test_a_scope_allows_its_routes_alone(served: Served, scope: str, allowed: set[str]) -> None:
    client = token(served, "local", scopes=(scope,))
    refused = {route for route in ROUTES if client.post(route, json={}).json().get("code") == "scope_forbidden"}
    assert refused == set(ROUTES) - allowed


def test_a_token_cannot_name_another_tenant_or_see_its_jobs(served: Served) -> None:
    own = served.post("/label", LABEL | {"batchId": "tenants"})
    other = token(served, "globex", "acme")
    answered = other.post("/label", json=LABEL | {"sourceSlug": "local"})
    assert (answered.status_code, answered.json()["code"]) == (403, "tenant_forbidden")
    assert other.get(f"/label/{own['job_id']}/status").status_code == 404
    assert other.post(f"/label/{own['job_id']}/cancel").status_code == 404
    assert other.post("/label", json=LABEL).json()["code"] == "unknown_taxonomy"


def test_another_token_of_the_tenant_stops_a_job_as_failed(served: Served) -> None:
    own = served.post("/label", LABEL | {"batchId": "stopped"})
    state = token(served, "local").post(f"/label/{own['job_id']}/cancel").json()
    assert (state["status"], state["error"], state["failed_at"] is not None) == ("failed", "Stopped by another token.", True)


def test_a_scoped_key_is_echoed_and_found_again(served: Served) -> None:
    served.post("/taxonomies", taxonomy("T", sourceSlug="ACME!"))
    accepted = served.post("/learn", {"taxonomyKey": "T", "sourceSlug": "acme", "sentences": [{}]})
    assert accepted["taxonomyKey"] == "acme_T"
    assert served.post("/learn", {"taxonomyKey": "acme_T", "sourceSlug": "acme", "sentences": [{}]})["taxonomyKey"] == "acme_T"
    unknown = served.post("/learn", {"taxonomyKey": "acme_T", "sentences": [{}]}, 404)
    assert unknown["code"] == "unknown_taxonomy"


def test_an_unknown_taxonomy_is_said_with_the_known_ones(make_served: Callable[..., Served]) -> None:
    served = make_served()
    served.app.state.service.inbox.put("ISIC", "taxonomy", b"code,label\nA,a\n", "taxonomy.csv")
    error = served.post("/label", LABEL, 404)
    assert error == {"detail": "Unknown taxonomy 'ISCO' for tenant 'local'. Known keys: ISIC.", "code": "unknown_taxonomy"}


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/label", {**LABEL, "sentences": []}),
        ("/label", {**LABEL, "sentences": None}),
        ("/label", {**LABEL, "batchId": None}),
        ("/label", {**LABEL, "sentences": [{"fields": {}}]}),
        ("/label", {**LABEL, "sentences": [{"sentence_id": True}]}),
        ("/label", {**LABEL, "sentences": [{"sentence_id": 1, "fields": [1]}]}),
        ("/label", {**LABEL, "taxonomyKey": "\ud800"}),
        ("/label", [1]),
        ("/classify", {"taxonomyKey": "ISCO", "sentences": [{"sentence_id": 1, "fields": {}}]}),
        ("/learn", {"taxonomyKey": "ISCO"}),
        ("/learn", {"taxonomyKey": "ISCO", "sentences": []}),
        ("/learn", {"taxonomyKey": "ISCO", "externalTraining": True}),
        ("/learn", {"taxonomyKey": "ISCO", "sentences": [{}], "trainingDataUrl": "https://x.org/"}),
        ("/taxonomies", {"taxonomy": {}, "action": "delete"}),
        ("/taxonomies", {}),
    ],
)
def test_a_body_of_the_wrong_shape_is_a_list_of_problems(served: Served, route: str, body: Any) -> None:
    answered = served.http.post(route, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (answered.status_code, answered.json()["code"]) == (422, "validation_error")
    assert all(set(item) == {"loc", "msg", "type"} for item in answered.json()["detail"])


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', "[" * 9000, b"\xff\xfe", "Infinity"])
def test_what_is_no_json_is_422(served: Served, text: Any) -> None:
    answered = served.http.post("/label", content=text, headers={"Content-Type": "application/json"})
    assert (answered.status_code, answered.json()["code"]) == (422, "validation_error")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"parentCode": "Q"}, "Q"),
        ({"code": "A"}, "A"),
        ({"label": ""}, "label"),
        ({"level": 0}, "level"),
        ({"level": 3}, "maxDepth"),
        ({"code": None}, "code"),
    ],
)
def test_problems_of_a_tree_are_answered_at_once(served: Served, change: dict[str, Any], told: str) -> None:
    body = taxonomy()
    body["taxonomy"]["nodes"] = [*NODES[:1], {**NODES[1], **change}]
    error = served.post("/taxonomies", body, 422)
    assert error["code"] == "invalid_taxonomy"
    assert told in error["detail"]
    assert error["problems"]


@pytest.mark.parametrize("key", ["", " x", "a/b", "..", "__none__", "x" * 101, "acme:T"])
def test_a_key_that_cannot_be_stored_is_refused(served: Served, key: str) -> None:
    assert served.post("/taxonomies", taxonomy(key), 422)["code"] == "invalid_key"


@pytest.mark.parametrize(
    ("sentences", "told"),
    [
        ([{"sentence_id": i} for i in range(6)], "service.max_sentences"),
        ([{"sentence_id": 1, "fields": dict.fromkeys("abcd", "x")}], "service.max_fields"),
        ([{"sentence_id": 1, "fields": {"a": "x" * 51}}], "limits.max_cell_characters"),
    ],
)
def test_a_request_over_a_limit_names_it(served: Served, sentences: list[Any], told: str) -> None:
    error = served.post("/label", {**LABEL, "sentences": sentences}, 413)
    assert (error["code"], told in error["detail"]) == ("too_large", True)


def test_a_body_over_the_limit_is_not_read(served: Served) -> None:
    large = b'{"x": "' + b"y" * 30_000 + b'"}'
    for content in (large, iter([large[:15_000], large[15_000:]])):
        answered = served.http.post("/label", content=content, headers={"Content-Type": "application/json"})
        assert (answered.status_code, answered.json()["code"]) == (413, "too_large")


def test_an_idempotency_key_is_one_request(served: Served) -> None:
    body = {"taxonomyKey": "ISCO", "sentences": [{"sentenceId": 1}]}
    first, again = (served.post("/learn", body, Idempotency_Key="k-1") for _ in range(2))
    assert first["job_id"] == again["job_id"]
    error = served.post("/learn", body | {"x": 1}, 409, Idempotency_Key="k-1")
    assert error["code"] == "idempotency_conflict"


def test_cancel_takes_an_empty_body_of_any_type(served: Served) -> None:
    for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}):
        job = served.post("/classify", {**LABEL, "x": str(headers)})
        answered = served.http.post(f"/classify/{job['jobId']}/cancel/", headers=headers)
        assert (answered.status_code, answered.json()["status"]) == (200, "canceled")
        assert set(answered.json()) >= {"taxonomyKey", "createdAt", "startedAt", "completedAt", "failedAt", "result"}


def test_a_cancelled_request_leaves_no_text_behind(served: Served) -> None:
    data = served.app.state.service.data
    before = {path for path in data.rglob("*") if path.is_file() and "requests" in path.parts}
    job = served.post("/label", LABEL | {"batchId": "gone"})
    served.post(f"/label/{job['job_id']}/cancel", status=200)
    assert {path for path in data.rglob("*") if path.is_file() and "requests" in path.parts} == before


def test_polls_at_one_per_second_are_never_limited_and_requests_are(make_served: Callable[..., Served]) -> None:
    served = make_served(service={"requests_per_minute": 2, "reads_per_minute": 60})
    answers = [served.http.post("/error-analysis") for _ in range(3)]
    assert [found.status_code for found in answers] == [202, 202, 429]
    assert answers[2].json()["code"] == "rate_limited"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    job = answers[0].json()["job_id"]
    assert {served.http.get(f"/error-analysis/{job}/status").status_code for _ in range(60)} == {200}


def test_an_expired_job_ends_the_polling_and_is_forgotten_later(served: Served) -> None:
    job = served.post("/label", LABEL | {"batchId": "expired"})
    jobs = served.app.state.service.jobs
    jobs.fail(job["job_id"], "x", "y")
    jobs.expire(time.time() + 1)
    state = served.get(f"/label/{job['job_id']}/status")
    assert (state["status"], state["error"], state["terminal"], state["result"]) == ("failed", "Job expired", True, None)
    jobs.forget(time.time() + 1)
    assert served.get(f"/label/{job['job_id']}/status", 404)["code"] == "unknown_job"


def test_every_answer_has_an_id_and_plain_headers(served: Served) -> None:
    answered = served.http.get("/nowhere", headers={"X-Request-ID": "mine-1"})
    assert (answered.status_code, answered.json()) == (404, {"detail": "Not Found", "code": "not_found"})
    assert answered.headers["x-request-id"] == "mine-1"
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in served.http.get("/health", headers={"Origin": "https://x.org"}).headers
    other = served.http.get("/health", headers={"X-Request-ID": "bad id\t"})
    assert other.headers["x-request-id"] != "bad id\t"
    assert served.http.delete("/label").json()["code"] == "method_not_allowed"


def test_an_unexpected_error_tells_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(served.app.state.service, "find", broken)
    error = served.get("/label/x/status", 500)
    assert (error["code"], "secret" in error["detail"]) == ("internal_error", False)


def test_storage_that_fails_tells_no_path(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise Fault("storage_failed", "No space left.", value="/secret/path")

    monkeypatch.setattr(served.app.state.service, "find", broken)
    assert served.get("/label/x/status", 500) == {"detail": "Stored data cannot be read or written.", "code": "storage_failed"}


def test_routes_of_v1_answer_problem_documents() -> None:
    found = answer("/v1/x", 404, "Not Found", "not_found")
    assert found.media_type == "application/problem+json"
    assert json.loads(bytes(found.body))["status"] == 404


def test_figures_need_a_token_and_count_requests(served: Served) -> None:
    assert TestClient(served.app).get("/metrics").status_code == 401
    served.post("/label", LABEL | {"batchId": "figures"})
    text = served.http.get("/metrics").text
    assert 'taxomind_requests_total{method="POST",route="/label"' in text
    assert "taxomind_jobs{" in text


def test_the_audit_log_tells_who_asked_and_never_what(served: Served) -> None:
    served.post("/label", LABEL | {"batchId": "audit", "sentences": [{"sentence_id": 1, "fields": {"a": "a private text"}}]})
    lines = (served.app.state.service.data / "service" / "audit.jsonl").read_text()
    last = json.loads(lines.splitlines()[-1])
    assert (last["path"], last["status"], last["token"].startswith("env-")) == ("/label", 202, True)
    assert "private" not in lines
    assert SECRET not in lines


def test_the_description_covers_every_route_of_the_contract(served: Served) -> None:
    paths = served.get("/openapi.json")["paths"]
    kinds = ("taxonomies", "label", "learn", "classify", "error-analysis")
    wanted = {f"/{kind}{rest}" for kind in kinds for rest in ("", "/{job_id}/status", "/{job_id}/cancel")}
    assert wanted | {"/health", "/taxonomies/{taxonomy}/build", "/taxonomies/{taxonomy}/enrich"} <= set(paths)


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        ("api.example.com", "api-example"),
        ("www.example.com, proxy", "example"),
        ("127.0.0.1:8000", "127-0-0-1"),
        ("", "unknown"),
        ("localhost:3000", "localhost"),
        ("https://app.example.com:8443/path?q", "app-example"),
        ("[::1]:80", "1"),
        ("www", "www"),
        (".", "unknown"),
    ],
)
def test_a_host_becomes_a_slug(host: str, slug: str) -> None:
    assert slug_of_host(host) == slug


def test_a_token_for_any_tenant_takes_it_from_the_address(served: Served) -> None:
    client = token(served, "*")
    body = LABEL | {"taxonomyKey": "NOPE"}
    error = client.post("/label", json=body, headers={"Origin": "https://shop.example.com"}).json()
    assert "for tenant 'shop-example'" in error["detail"]
    assert "for tenant 'globex'" in client.post("/label", json=body | {"sourceSlug": "Globex"}).json()["detail"]


def test_a_service_that_asks_for_tokens_needs_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_TOKENS", raising=False)
    with pytest.raises(Fault, match="there is none"):
        create_app(Settings(data=tmp_path))
    opened = ServiceSettings(auth_enabled=False)  # type: ignore[call-arg]
    client = TestClient(create_app(Settings(data=tmp_path), opened))
    assert client.post("/error-analysis").status_code == 202


def test_without_tokens_only_this_machine_is_served(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.168.1.1", "::", "example.org"):
        with pytest.raises(Fault, match="Without tokens"):
            check_access(ServiceSettings(auth_enabled=False, host=host), tmp_path)  # type: ignore[call-arg]
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"))


def test_variables_of_the_older_service_are_read() -> None:
    variables = {"API_AUTH_ENABLED": "False", "PORT": "3000", "API_TOKENS": "x, y,x", "API_TOKEN": "z"}
    variables["LEARN_URL_ALLOWED_HOSTS"] = "a.org, *.b.org"
    own = service_settings(Settings(), variables)
    assert (own.auth_enabled, own.port, own.training_hosts) == (False, 3000, ("a.org", "*.b.org"))
    assert len(environment_tokens(own, variables)) == 3
    for bad in ({"PORT": "x"}, {"API_AUTH_ENABLED": "maybe"}):
        with pytest.raises(Fault) as refused:
            service_settings(Settings(), bad)
        assert refused.value.code == "invalid_setting"


@pytest.mark.parametrize(("text", "seconds"), [("12h", 43200), ("90d", 7776000), ("1y", 31536000)])
def test_a_span_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert span_s(text) == seconds
    with pytest.raises(Fault):
        span_s(text + "x")
