"""A client written from the contract alone (CC-45 to CC-51) against the service, with real runs of the asset graph."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus

from taxomind_app.api.training_url import Fetched
from taxomind_resources.settings import ServiceSettings
from tests.app.api.conftest import Served, taxonomy

SENTENCES = [
    {"sentence_id": "s-1", "fields": {"Title": "a parrot that talks", "Place": "home"}},
    {"sentenceId": 2, "fields": {"field1": "red tulips"}, "unknown": {"deep": [1]}},
    {"sentence_id": "s-3", "fields": {}},
    {"sentence_id": "s-1", "fields": {"Title": "wild trout", "Extra": None, "n": 3, "l": ["x", {"y": 1}]}},
    {"sentence_id": 5.5, "fields": None},
]
CODES = {"A", "AB", "AF", "7", "71", "72"}


@pytest.fixture(scope="module")
def served(make_served: Callable[..., Served]) -> Served:
    """A service with the taxonomy ISCO, synced with extra keys and nulls everywhere."""
    served = make_served(service={"tenants": ("local", "acme")})
    body = taxonomy(action="update", sourceSlug=None, extra=1)
    body["taxonomy"]["synonyms"] = [
        {"nodeCode": "AF", "synonym": "aquarium dweller", "x": None},
        {"nodeCode": 71, "synonym": None},
    ]
    accepted = served.post("/taxonomies/", body)
    assert set(accepted) >= {"job_id", "jobId", "status", "message", "created_at"}
    assert accepted["status"] == "pending"
    state = served.polled("/taxonomies", accepted)
    assert state["status"] == "completed", state
    return served


def test_status_of_a_sync_has_the_shape_of_the_contract(served: Served) -> None:
    state = served.polled("/taxonomies", served.post("/taxonomies", taxonomy(sourceSlug=None, action=None)))
    assert (state["terminal"], state["progress"], state["error"]) == (True, 1.0, None)
    assert state["completed_at"].endswith("Z")
    assert "result" not in state
    served.get(f"/label/{state['job_id']}/status", 404)


def test_labels_partition_the_request_and_never_rise(served: Served) -> None:
    accepted = served.post(
        "/label", {"taxonomyKey": "ISCO", "sourceSlug": None, "batchId": "b-1", "sentences": SENTENCES, "z": 1}
    )
    assert (accepted["batch_id"], accepted["job_id"]) == ("b-1", accepted["jobId"])
    state = served.polled("/label", accepted)
    result = state["result"]
    assert (state["progress"], result["batchId"]) == (1.0, "b-1")
    given = [item["sentenceId"] for item in [*result["suggestions"], *result["errors"]]]
    assert sorted(map(str, given)) == ["2", "5.5", "s-1", "s-1", "s-3"]
    assert [item["sentenceId"] for item in result["errors"]] == ["s-3", 5.5]
    assert {item["error"] for item in result["errors"]} == {"Empty text after joining the fields."}
    assert [[a["nodeCode"] for a in item["annotations"]] for item in result["suggestions"]] == [
        ["A", "AB"],
        ["7", "72"],
        ["A", "AF"],
    ]
    for item in result["suggestions"]:
        levels, confidences = zip(*((a["level"], a["confidence"]) for a in item["annotations"]), strict=True)
        assert levels == tuple(range(1, len(levels) + 1))
        assert sorted(confidences, reverse=True) == list(confidences)
        assert all(0 <= value <= 1 and round(value, 4) == value for value in confidences)


def test_a_batch_of_empty_texts_completes_with_errors_only(served: Served) -> None:
    result = served.label("empty", [{"sentence_id": 1, "fields": {}}, {"sentence_id": 2, "fields": {"a": " \t "}}])
    assert (result["suggestions"], [item["sentenceId"] for item in result["errors"]]) == ([], [1, 2])


def test_equal_label_requests_at_once_are_one_job_and_one_run(served: Served) -> None:
    body = {"taxonomyKey": "ISCO", "batchId": "thrice", "sentences": SENTENCES}
    with ThreadPoolExecutor(3) as pool:
        ids = {answer["job_id"] for answer in pool.map(lambda _: served.post("/label", body), range(3))}
    assert (len(ids), served.work()) == (1, 1)
    assert served.post("/label", body)["job_id"] in ids
    other = served.post("/label", {**body, "sentences": SENTENCES[:1]})
    assert other["job_id"] not in ids
    served.post(f"/label/{other['job_id']}/cancel", status=200)
    again = served.post("/label", {**body, "sentences": SENTENCES[:1]})
    assert again["job_id"] != other["job_id"]
    served.post(f"/label/{again['job_id']}/cancel", status=200)
    runs = [run for run in served.instance.get_runs() if run.tags.get("taxomind/job_id") in ids]
    assert [run.status for run in runs] == [DagsterRunStatus.SUCCESS]


def learn_body(*rows: tuple[Any, str, list[Any]], **body: Any) -> dict[str, Any]:
    sentences = [
        {
            "sentenceId": own,
            "fields": {"Title": text},
            "annotations": [{"level": i, "nodeCode": c} for i, c in enumerate(codes, 1)],
        }
        for own, text, codes in rows
    ]
    return {"taxonomyKey": "ISCO", "sentences": sentences, **body}


def test_learning_takes_the_deepest_known_code_and_labels_follow(served: Served) -> None:
    body = learn_body(
        ("l-1", "polly wants a cracker", ["A", "AB"]),
        ("l-2", "rooted for a hundred years", [7, 71]),
        ("l-3", "green thing", [7, "-999"]),
        ("l-4", "who knows", ["-99", -999]),
        ("l-5", "nowhere", ["ZZ"]),
        ("l-6", "", ["A"]),
    )
    body["sentences"] += [
        {"sentenceId": "l-7", "fields": {"T": "x"}},
        {
            "sentenceId": "l-8",
            "fields": {"T": "a model said so"},
            "source": "AI",
            "annotations": [{"level": 1, "nodeCode": "A"}],
        },
        {
            "sentenceId": "l-9",
            "fields": {"T": "bad"},
            "annotations": [{"level": "x", "nodeCode": "A"}, {"level": 1, "nodeCode": None}],
        },
        "no object",
    ]
    accepted = served.post("/learn", body)
    assert set(accepted) == {"job_id", "jobId", "status", "taxonomyKey", "message", "createdAt"}
    state = served.polled("/learn", accepted)
    stats = state["result"]["trainingDataStats"]
    assert (stats["candidateUpdates"], stats["validUpdates"], stats["updatesApplied"], stats["nodesTouched"]) == (10, 3, 3, 3)
    assert stats["invalidCodes"] == 4
    assert stats["skipped"] == {"noAnnotation": 3, "emptyText": 1, "badRow": 1, "machineLabel": 1}
    assert (stats["waiting"], state["result"]["modelVersion"], state["progress"]) == (1, "evidence_only", 1.0)
    labelled = served.label("after", [{"sentence_id": 1, "fields": {"T": "Polly wants a cracker"}}])
    assert [a["nodeCode"] for a in labelled["suggestions"][0]["annotations"]] == ["A", "AB"]
    again = served.polled("/learn", served.post("/learn", body))["result"]["trainingDataStats"]
    assert (again["updatesApplied"], again["nodesTouched"], again["duplicates"]) == (0, 0, 3)
    assert again["evidenceVersion"] == stats["evidenceVersion"]


def test_one_usable_row_among_a_thousand_is_learned(served: Served) -> None:
    rows = [(f"t-{i}", f"text {i}", ["-99"]) for i in range(999)]
    state = served.polled("/learn", served.post("/learn", learn_body(*rows, ("t-x", "a bird of passage", ["A", "AB"]))))
    stats = state["result"]["trainingDataStats"]
    assert (stats["updatesApplied"], stats["skipped"]["noAnnotation"]) == (1, 999)


def test_evidence_stays_after_another_sync(served: Served) -> None:
    served.polled("/learn", served.post("/learn", learn_body(("k-1", "quux frobnicates", ["7", "72"]))))
    body = taxonomy()
    body["taxonomy"]["nodes"] = [*body["taxonomy"]["nodes"], {"code": "M", "level": 1, "label": "Minerals"}]
    assert served.polled("/taxonomies", served.post("/taxonomies", body))["status"] == "completed"
    result = served.label("kept", [{"sentence_id": 1, "fields": {"T": "quux frobnicates"}}])
    assert result["suggestions"][0]["annotations"][-1]["nodeCode"] == "72"


def test_a_label_waits_for_the_sync_before_it_and_a_slug_meets_the_default(served: Served) -> None:
    sync = served.post("/taxonomies", taxonomy("NEW"))
    label = {"taxonomyKey": "NEW", "sourceSlug": "Acme", "batchId": "w", "sentences": SENTENCES[:1]}
    waiting = served.post("/label", label)
    assert served.polled("/label", waiting)["status"] == "completed"
    order = [served.get(f"/taxonomies/{sync['job_id']}/status"), served.get(f"/label/{waiting['job_id']}/status")]
    assert order[0]["completed_at"] <= order[1]["completed_at"]


def test_classify_gives_labels_by_level_in_the_order_of_the_request(served: Served) -> None:
    body = {"taxonomyKey": "ISCO", "trace": True, "sentences": [*SENTENCES[:2], {"sentence_id": 9, "fields": {"a": ""}}]}
    accepted = served.post("/classify", body)
    state = served.polled("/classify", accepted)
    results = state["result"]["results"]
    assert [item["sentence_id"] for item in results] == ["s-1", 2, 9]
    assert results[0]["predictions"] == {"1": "Animals", "2": "Birds"}
    assert (results[0]["codes"], results[0]["error"]) == ({"1": "A", "2": "AB"}, None)
    assert results[0]["trace"]["levels"][0]["chosen"]["code"] == "A"
    assert (results[2]["predictions"], results[2]["error"]) == ({}, "Empty text after joining the fields.")
    assert state["taxonomyKey"] == state["result"]["taxonomyKey"] == "ISCO"


def test_error_analysis_measures_labelled_texts(served: Served) -> None:
    service = served.app.state.service
    service.inbox.put("ISCO", "labelled", b"text,code\nbarn owl,AB\nwild trout,AF\npine tree,71\n", "gold.csv")
    state = served.polled("/error-analysis", served.post("/error-analysis", {"taxonomyKey": "ISCO", "maxRows": None}))
    result = state["result"]
    assert (result["rows"], result["taxonomy_key_counts"]) == ({"gold.csv": 3}, {"ISCO": 3})
    assert {row["metric"] for row in result["metrics"]["ISCO"]}


def test_cancelled_work_leaves_nothing_and_its_result_is_dropped(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    service = served.app.state.service
    before = set(service.outputs.parts("classification.results", "ISCO"))
    accepted = served.post("/label", {"taxonomyKey": "ISCO", "batchId": "cancelled", "sentences": SENTENCES})
    run = served.worker.executor.run

    def cancelled_meanwhile(*arguments: Any) -> str:
        run_id = run(*arguments)
        assert served.post(f"/label/{accepted['job_id']}/cancel/", status=200)["status"] == "canceled"
        return run_id

    monkeypatch.setattr(served.worker.executor, "run", cancelled_meanwhile)
    assert served.work() == 1
    state = served.get(f"/label/{accepted['job_id']}/status")
    assert (state["status"], state["result"], state["completed_at"] is not None) == ("canceled", None, True)
    assert state["progress"] < 1
    assert set(service.outputs.parts("classification.results", "ISCO")) == before
    assert not list((service.data / "inbox" / "ISCO" / "requests").iterdir())
    assert served.post(f"/label/{accepted['job_id']}/cancel", status=200) == state


def test_cancelled_learning_is_taken_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    service = served.app.state.service
    before = service.outputs.read("learning.centroids", "ISCO", columns=["code", "count"]).to_pylist()
    accepted = served.post("/learn", learn_body(("c-1", "a text that must not be learned", ["A", "AF"])))
    run = served.worker.executor.run

    def cancelled_meanwhile(*arguments: Any) -> str:
        run_id = run(*arguments)
        served.post(f"/learn/{accepted['jobId']}/cancel", status=200)
        return run_id

    monkeypatch.setattr(served.worker.executor, "run", cancelled_meanwhile)
    served.work()
    assert served.get(f"/learn/{accepted['jobId']}/status")["status"] == "canceled"
    assert service.outputs.read("learning.centroids", "ISCO", columns=["code", "count"]).to_pylist() == before


def test_a_cancelled_sync_puts_the_former_taxonomy_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    service = served.app.state.service
    former = service.inbox.taxonomy_file("ISCO").path.read_bytes()
    body = taxonomy()
    body["taxonomy"]["nodes"] = body["taxonomy"]["nodes"][:3]
    accepted = served.post("/taxonomies", body)
    run = served.worker.executor.run

    def cancelled_before(*arguments: Any) -> str:
        served.post(f"/taxonomies/{accepted['job_id']}/cancel", status=200)
        return run(*arguments)

    monkeypatch.setattr(served.worker.executor, "run", cancelled_before)
    version = service.indexes.current("ISCO")
    served.work()
    assert served.get(f"/taxonomies/{accepted['job_id']}/status")["status"] == "canceled"
    assert (service.inbox.taxonomy_file("ISCO").path.read_bytes(), service.indexes.current("ISCO")) == (former, version)


FILES = {
    "application/json": '{"sentences": [{"sentenceId": "f-1", "fields": {"T": "T1"}, '
    '"annotations": [{"level": 1, "nodeCode": "A"}]}]}',
    "application/x-ndjson": '{"fields": {"T": "T2"}, "annotations": [{"level": 1, "nodeCode": 7}]}\nno json\n'
    '{"fields": {"T": "T2b"}, "annotations": [{"level": 1, "nodeCode": "-99"}]}\n',
    "text/csv": "code,text\nA,T3\n72,T4\n",
    "text/plain": "code,text\nA,T5\nB\nC\n",
}


@pytest.mark.parametrize(("kind", "learned"), [("application/json", 1), ("application/x-ndjson", 1), ("text/csv", 2)])
def test_a_file_from_elsewhere_is_learned(kind: str, learned: int, fetching: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taxomind_app.api.training_url.fetch", fetched_as(kind))
    state = fetching.polled("/learn", fetching.post("/learn", EXTERNAL))
    assert state["status"] == "completed", state
    assert state["result"]["trainingDataStats"]["updatesApplied"] == learned
    assert [row["line"] for row in state["result"]["trainingDataStats"]["badRows"]] == ([2] if "ndjson" in kind else [])


def test_a_file_that_is_half_bad_teaches_nothing(fetching: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taxomind_app.api.training_url.fetch", fetched_as("text/plain"))
    state = fetching.polled("/learn", fetching.post("/learn", EXTERNAL))
    assert (state["status"], state["error_code"], state["failedAt"] is not None) == ("failed", "bad_row", True)
    assert "2 of 3 rows" in state["error"]
    assert "secret" not in str(state)


def test_a_host_that_is_not_allowed_is_refused_at_the_post(fetching: Served) -> None:
    refused = fetching.post("/learn", {**EXTERNAL, "trainingDataUrl": "https://evil.org/?key=secret"}, 403)
    assert refused["code"] == "training_url_refused"
    assert "secret" not in refused["detail"]


EXTERNAL = {"taxonomyKey": "ISCO", "trainingDataUrl": "https://data.example.org/t.csv?key=secret", "externalTraining": True}


@pytest.fixture
def fetching(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The service, which may fetch from one host."""
    service = served.app.state.service
    monkeypatch.setattr(service, "service", service.service.model_copy(update={"training_hosts": ("data.example.org",)}))
    return served


def fetched_as(kind: str) -> Callable[..., Fetched]:
    def fetch(url: str, target: Path, service: ServiceSettings) -> Fetched:
        target.write_text(FILES[kind])
        return Fetched(target, kind, "t.csv")

    return fetch
