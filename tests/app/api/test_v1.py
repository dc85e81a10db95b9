"""What /v1 tells: answers at once, taxonomies, nodes, search, reports; and how it refuses."""

from __future__ import annotations

import json

import pytest

from taxomind_app.api.app import create_app
from taxomind_resources.settings import load_settings
from taxomind_resources.token_store import TokenStore
from tests.app.api.v1_service import PATH, answering
from tests.copies import copied


@pytest.fixture(scope="module")
def service(built, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        data = copied(built, tmp_path_factory.mktemp("v1") / "data")
        yield answering(data, patch, sync_texts=5, explained_texts=2)


def test_texts_are_answered_at_once_in_their_order(service):
    found = service.post("/v1/classify", {"taxonomy": "living", "texts": ["a parrot that talks", "", "red tulips"]})
    parrot, empty, tulips = found["answers"]
    assert (parrot["code"], parrot["label"]) == ("AB", "Birds")
    assert [step["code"] for step in parrot["path"]] == ["A", "AB"]
    assert parrot["path"][-1]["confidence"] == parrot["confidence"]
    assert (empty["code"], empty["error_code"]) == (None, "empty_text")
    assert tulips["code"] == "PF"
    assert parrot["reasons"] is None
    assert found["versions"]["index_version"]


def test_an_answer_can_be_explained_level_by_level(service):
    (answer,) = service.post("/v1/classify", {"taxonomy": "living", "texts": ["barn owl"], "explain": True})["answers"]
    assert [reason["chosen"]["code"] for reason in answer["reasons"]] == ["A", "AB"]
    first = answer["reasons"][0]
    assert first["runner_up"]["code"] == "P"
    assert sum(first["views"].values()) == pytest.approx(first["logit_difference"], abs=0.01)
    assert answer["belongs"] > 0.5


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"taxonomy": "living", "texts": ["x"] * 6}, 413, "too_large"),
        ({"taxonomy": "living", "texts": ["x"] * 3, "explain": True}, 413, "too_large"),
        ({"taxonomy": "living", "texts": ["x" * 2_000_000]}, 413, "too_large"),
        ({"taxonomy": "nowhere", "texts": ["x"]}, 404, "unknown_taxonomy"),
        ({"taxonomy": "living", "texts": []}, 422, "validation_error"),
        ({"taxonomy": "living", "texts": "x"}, 422, "validation_error"),
        ({"taxonomy": "living", "texts": [7]}, 422, "validation_error"),
        ({"taxonomy": "living", "texts": ["x"], "unheard": 1}, 422, "validation_error"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(service, body, status, code):
    found = service.post("/v1/classify", body, status)
    assert (found["status"], found["code"]) == (status, code)
    assert found["type"] == f"urn:taxomind:fault:{code}"


def test_a_taxonomy_tells_what_it_is(service):
    (row,) = service.get("/v1/taxonomies")["taxonomies"]
    assert (row["key"], row["is_ready"], row["nodes"], row["leaves"]) == ("living", True, 6, 4)
    assert service.get(PATH) == row


def test_a_node_tells_its_texts_and_neighbours(service):
    found = service.get(f"{PATH}/nodes/AB")
    assert (found["label"], found["level"], found["is_leaf"]) == ("Birds", 2, True)
    assert [step["code"] for step in found["path"]] == ["A", "AB"]
    assert found["texts"][0]["examples"] == ["sparrow", "owl", "parrot in a cage"]
    assert [child["code"] for child in service.get(f"{PATH}/nodes/A")["children"]] == ["AB", "AF"]


@pytest.mark.parametrize("code", ["nope", "%2e%2e%2fAB", "a/b", "A%00"])
def test_a_node_that_is_not_there_is_not_found(service, code):
    assert service.get(f"{PATH}/nodes/{code}", 404)["code"] in {"unknown_code", "not_found"}


@pytest.mark.parametrize(("query", "code"), [("bir", "AB"), ("af", "AF"), ("flowrs", "PF")])
def test_search_finds_nodes_by_what_was_typed(service, query, code):
    assert service.get(f"{PATH}/search", q=query)["nodes"][0]["code"] == code


def test_search_gives_as_many_nodes_as_wanted(service):
    assert len(service.get(f"{PATH}/search", q="p", limit=2)["nodes"]) == 2
    assert service.get(f"{PATH}/search", q="p", limit=0, status=422)["code"] == "validation_error"


def test_report_has_measures_curves_branches_and_days(service):
    found = service.get(f"{PATH}/report")
    assert found["texts"] == 4
    exact = next(row for row in found["metrics"] if row["metric"] == "exact" and row["slice"] == "all")
    assert exact["n"] == 4
    assert {row["kind"] for row in found["coverage"]} >= {"answer", "leaf"}
    assert sum(row["n"] for row in found["reliability"] if row["kind"] == "leaf") == 4
    assert [row["code"] for row in found["confusion"]["rows"]] == ["A", "P"]
    assert sum(day["texts"] for day in found["drift"]) == 2
    json.dumps(found, allow_nan=False)


def test_models_are_listed_where_none_was_trained(service):
    assert service.get(f"{PATH}/models") == {"models": []}


def test_every_route_needs_a_token(service):
    paths = service.get("/openapi.json")["paths"]
    own = [(path, method) for path, methods in paths.items() if path.startswith("/v1") for method in methods]
    assert len(own) >= 16
    for path, method in own:
        plain = path.format(key="living", code="AB", candidate="x", correction_id="x", decision_id="x", job_id="x")
        answer = service.http.request(method, plain, headers={"Authorization": ""}, json={})
        assert service.problem(answer) == (401, "unauthorized"), path


@pytest.mark.parametrize(
    ("scope", "method", "path", "body"),
    [
        ("classify", "GET", PATH, None),
        ("read", "POST", "/v1/classify", {"taxonomy": "living", "texts": ["x"]}),
        ("read", "POST", f"{PATH}/corrections", {"corrections": [{"text": "x", "code": "AB"}]}),
        ("learn", "POST", f"{PATH}/decisions", {"key": "x", "action": "skip"}),
    ],
)
def test_a_token_may_only_do_what_its_scopes_say(service, scope, method, path, body):
    _, secret = TokenStore(service.data).create("narrow", ["local"], [scope])
    answer = service.http.request(method, path, headers={"Authorization": f"Bearer {secret}"}, json=body)
    assert service.problem(answer) == (403, "scope_forbidden")


def test_a_token_sees_the_taxonomies_of_its_own_tenants_only(service):
    _, secret = TokenStore(service.data).create("stranger", ["acme"], ["read", "classify"])
    headers = {"Authorization": f"Bearer {secret}"}
    assert service.http.get("/v1/taxonomies", headers=headers).json() == {"tenant": "acme", "taxonomies": []}
    assert service.problem(service.http.get(PATH, headers=headers)) == (404, "unknown_taxonomy")
    assert service.problem(service.http.get(PATH, headers=headers, params={"tenant": "local"})) == (403, "tenant_forbidden")


def test_only_the_taxonomies_asked_for_last_stay_in_memory(built, tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKENS", "x")
    app = create_app(load_settings(built).model_copy(update={"data": built}))
    residents = app.state.residents
    residents._most = 2
    first = residents.of("a")
    residents.of("b")
    assert residents.of("a") is first
    residents.of("c")
    assert residents.of("a") is first
    assert len(residents._kept) == 2


def test_answers_at_once_count_among_the_reads(tmp_path, monkeypatch):
    service = answering(tmp_path / "data", monkeypatch, requests_per_minute=1)
    body = {"taxonomy": "nowhere", "texts": ["a"]}
    for _ in range(3):
        service.post("/v1/classify", body, 404)
    correction = {"corrections": [{"text": "a", "code": "b"}]}
    service.post("/v1/taxonomies/nowhere/corrections", correction, 404)
    service.post("/v1/taxonomies/nowhere/corrections", correction, 429)
