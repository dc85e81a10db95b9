"""Corrections through /v1: on the disk and in effect at once, taken back exactly; queue and contradictions."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest
from dagster import DagsterInstance
from dagster._daemon.types import DaemonHeartbeat

from taxomind_app.api.inbox_learning import ask_to_learn
from taxomind_app.api.worker import Worker
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.learning.standing import StandingCorrections, moved
from taxomind_resources.inbox import Inbox
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import load_settings
from taxomind_resources.token_store import TokenStore
from tests.app.api.conftest import NoStop
from tests.app.api.v1_service import PATH, answering
from tests.copies import copied


@pytest.fixture
def service(built, tmp_path, monkeypatch):
    return answering(copied(built, tmp_path / "data"), monkeypatch, sync_texts=20)


def files(service):
    return sorted((service.data / "inbox" / "living" / "corrections").glob("*.jsonl"))


def test_a_correction_is_on_the_disk_and_in_the_next_answer(service):
    text = "Polly on the perch of the ship"
    before = service.code_of(text)
    found = service.teach(text, "PT", annotator="ada")
    assert before != "PT"
    assert service.code_of(text) == "PT"
    (row,) = [json.loads(line) for line in files(service)[0].read_text().splitlines()]
    assert (row["text"], row["code"], row["annotator"], row["action"]) == (text, "PT", "ada", "correct")
    assert found["learned"] == [{"correction_id": row["correction_id"], "code": "PT", "text": text}]
    assert found["correction_ids"] == [row["correction_id"]]
    assert found["evidence_version"]


def test_the_token_is_the_annotator_when_none_is_named(service):
    token, secret = TokenStore(service.data).create("coding team", ("local",), ("learn", "read"), None)
    service.http.headers["Authorization"] = f"Bearer {secret}"
    service.teach("an eel", "AF")
    (row,) = service.get(f"{PATH}/corrections")["corrections"]
    assert row["annotator"] == token.name == "coding team"


def test_without_a_daemon_workers_learn_what_lies_in_the_inbox(service):
    text = "an eel on the menu"
    with DagsterInstance.ephemeral() as instance:
        stores = service.app.state.service
        worker = Worker(stores, instance, 1, NoStop())
        assert ask_to_learn(stores, instance) == []
        service.teach(text, "AF")
        (job,) = ask_to_learn(stores, instance)
        assert ask_to_learn(stores, instance) == []
        assert worker.step()
        done = stores.jobs.get(job.id)
        assert (done.status, done.message) == ("completed", "1 texts learned, 1 nodes touched."), done.error
        assert [row["text"] for row in stores.outputs.read("learning.corrections", "living").to_pylist()] == [text]
        assert ask_to_learn(stores, instance) == []
        service.teach(text, "PT")
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "id", []))
        assert ask_to_learn(stores, instance) == []


def test_the_same_correction_again_changes_nothing(service):
    first, second = service.teach("a blue whale", "AF"), service.teach("a blue whale", "AF")
    assert second["learned"] == second["taken_back"] == []
    assert second["correction_ids"] == first["correction_ids"]
    assert second["evidence_version"] == first["evidence_version"]


def test_a_correction_that_is_taken_back_leaves_what_was_before(service):
    text = "bonsai in a bottle"
    before = service.post("/v1/classify", {"taxonomy": "living", "texts": [text]})
    (correction,) = service.teach(text, "AF")["correction_ids"]
    assert service.code_of(text) == "AF"
    taken = service.delete(f"{PATH}/corrections/{correction}")
    assert [item["code"] for item in taken["taken_back"]] == ["AF"]
    assert service.post("/v1/classify", {"taxonomy": "living", "texts": [text]}) == before
    assert [row["status"] for row in service.get(f"{PATH}/corrections")["corrections"]] == ["withdrawn"]
    again = service.teach(text, "AF")
    assert again["correction_ids"] == [correction]
    assert service.code_of(text) == "AF"


def test_somebody_who_places_a_text_again_has_one_opinion(service):
    service.teach("sea horse", "PF", annotator="ada")
    found = service.teach("sea horse", "AF", annotator="ada")
    assert [item["code"] for item in found["learned"]] == ["AF"]
    assert [item["code"] for item in found["taken_back"]] == ["PF"]
    assert service.code_of("sea horse") == "AF"


def test_a_batch_of_corrections_is_taken_whole_or_not_at_all(service):
    body = {"corrections": [{"text": "x", "code": "AB"}, {"text": "y", "code": "PX"}]}
    problem = service.post(f"{PATH}/corrections", body, 404)
    assert problem["code"] == "unknown_code"
    assert "Did you mean P (Plants)?" in problem["next_step"]
    assert not files(service)
    body["corrections"][1] = {"text": " \t", "code": "AB"}
    assert service.post(f"{PATH}/corrections", body, 422)["code"] == "invalid_input"
    assert not files(service)


@pytest.mark.parametrize(
    "body",
    [
        {"corrections": []},
        {"corrections": [{"text": "x"}]},
        {"corrections": [{"text": "x", "code": "AB", "action": "withdraw"}]},
        {"corrections": [{"text": "\ud800", "code": "AB"}]},
        {"corrections": [{"text": "x", "code": 7}]},
    ],
)
def test_what_is_no_correction_is_refused(service, body):
    content = json.dumps(body)
    answer = service.http.post(f"{PATH}/corrections", content=content, headers={"Content-Type": "application/json"})
    assert service.problem(answer) == (422, "validation_error")


def test_a_correction_that_is_not_there_cannot_be_taken_back(service):
    assert service.delete(f"{PATH}/corrections/nope", 404)["code"] == "unknown_correction"


def test_corrections_of_other_processes_are_seen(service, monkeypatch):
    text = "thing with a beak"
    resident = service.app.state.residents.of("living")
    service.code_of(text)
    line = json.dumps({"text": text, "code": "PT", "annotator": "bob"})
    service.app.state.service.inbox.put("living", "corrections", line.encode() + b"\n", "elsewhere.jsonl")
    monkeypatch.setattr("taxomind_app.api.resident._FRESH_S", 0.0)
    assert service.code_of(text) == "PT"
    assert [found.annotator for found in resident.ready().standing.applied] == ["bob"]


def test_the_queue_leaves_out_what_people_have_placed(service):
    items = service.get(f"{PATH}/queue")["items"]
    assert sorted(item["text"] for item in items) == ["a parrot that talks", "red tulips"]
    assert all(0 <= item["value"] <= 1 and item["answer"]["code"] for item in items)
    service.teach("Red  Tulips", "PF")
    assert [item["text"] for item in service.get(f"{PATH}/queue")["items"]] == ["a parrot that talks"]


def test_people_who_disagree_are_shown(service):
    service.teach("flying fish", "AF", annotator="ada")
    assert service.get(f"{PATH}/contradictions")["contradictions"] == []
    service.teach("flying fish", "AB", annotator="bob")
    found = service.get(f"{PATH}/contradictions")["contradictions"]
    assert {(row["annotator"], row["code"], row["others"][0]["code"]) for row in found} == {
        ("ada", "AF", "AB"),
        ("bob", "AB", "AF"),
    }
    service.delete(f"{PATH}/corrections/{found[0]['correction_id']}")
    assert service.get(f"{PATH}/contradictions")["contradictions"] == []


def test_many_people_at_once_lose_no_correction(service):
    service.code_of("ready")
    threads = [threading.Thread(target=service.teach, args=(f"text {number}", "AB")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert service.get(f"{PATH}/corrections", limit=100)["total"] == 8
    assert service.get(f"{PATH}/nodes/AB")["corrections"] == 8


def test_a_service_that_starts_anew_knows_what_was_said(service, monkeypatch):
    service.teach("lonely cactus", "AF")
    other = answering(service.data, monkeypatch)
    assert other.code_of("lonely cactus") == "AF"
    assert other.teach("x y z", "PT")["evidence_version"] == service_version(service, ["lonely cactus", "x y z"], ["AF", "PT"])


def service_version(service, texts, codes):
    """The version that the asset graph would give to this evidence."""
    classifier = Classifier.load("living", load_settings(service.data))
    return classifier.learn(texts, codes).versions["evidence_version"]


def test_a_classifier_is_moved_to_any_evidence_and_back(service):
    settings = load_settings(service.data)
    classifier = Classifier.load("living", settings)
    for text, code in (("one", "AB"), ("two", "PT"), ("two", "AF")):
        service.teach(text, code, annotator=code)
    standing = StandingCorrections.of(settings, Inbox(service.data, 0), Outputs(service.data), classifier.tree)
    learned = moved(classifier, standing.held)
    assert sorted(zip(learned.scorer.evidence.rows.texts, learned.scorer.evidence.rows.codes, strict=True)) == [
        ("one", "AB"),
        ("two", "AF"),
        ("two", "PT"),
    ]
    part = moved(learned, [item for item in standing.held if item.code != "PT"])
    assert sorted(part.scorer.evidence.rows.codes) == ["AB", "AF"]
    assert part.versions["evidence_version"] == classifier.learn(["one", "two"], ["AB", "AF"]).versions["evidence_version"]
    assert moved(learned, []).scorer.evidence is None
    assert moved(classifier, []) is classifier


def test_what_labels_have_fitted_anew_is_loaded_without_a_restart(service, monkeypatch):
    monkeypatch.setattr("taxomind_app.api.resident._FRESH_S", 0.0)
    resident = service.app.state.residents.of("living")
    service.teach("a kept correction", "PT")
    first = resident.ready()
    assert resident.ready() is first
    os.utime(Outputs(service.data).path("classification.calibrations", "living"))
    second = resident.ready()
    assert second.classifier is not first.classifier
    assert second.classifier.versions == first.classifier.versions
    assert service.code_of("a kept correction") == "PT"


def test_answers_do_not_wait_for_what_is_being_loaded(service, monkeypatch):
    monkeypatch.setattr("taxomind_app.api.resident._FRESH_S", 0.0)
    resident = service.app.state.residents.of("living")
    first = resident.ready()
    held, released = threading.Event(), threading.Event()

    def load():
        with resident.locked():
            held.set()
            released.wait(30)

    thread = threading.Thread(target=load)
    thread.start()
    held.wait(30)
    try:
        assert resident.ready() is first
    finally:
        released.set()
        thread.join()
