"""Growth through /v1: candidates, trials and decisions, by the functions of the command line."""

from __future__ import annotations

import pyarrow as pa
import pytest

from taxomind_resources.outputs import Outputs
from taxomind_resources.tables import BY_NAME
from tests.app.api.v1_service import PATH, answering
from tests.copies import copied

TEXTS = ["shiitake on a log", "button mushroom soup", "a toadstool with dots", "mushrooms in the wood"]


def candidate(label="Mushrooms", key="mushroom", code="g-mushrooms", **more):
    """A row of `growth.candidates`."""
    plain = {"kind": "cluster", "status": "pending", "parent_label": "", "parent_rule": "root", "window": "short", "trial": ""}
    row = {name: more.get(name, plain.get(name)) for name in BY_NAME["growth.candidates"].arrow.names}
    lists = {"sources": ["cluster"], "languages": ["en"], "titles": TEXTS[:3], "texts": TEXTS, "nearest": [], "similar": []}
    numbers = {"count": 4, "day_span": 5, "share": 0.2, "parent_exists": False, "text_ids": [f"m{i}" for i in range(4)]}
    return {**row, **lists, **numbers, "label": label, "key": key, "code": code, **more}


@pytest.fixture
def service(built, tmp_path, monkeypatch):
    found = answering(copied(built, tmp_path / "data"), monkeypatch)
    rows = [candidate(), candidate("Moss", "moss", "g-moss", status="skipped")]
    table = pa.Table.from_pylist(rows, schema=BY_NAME["growth.candidates"].arrow)
    Outputs(found.data).write("growth.candidates", "living", table)
    return found


def labels(service, **query):
    return [row["label"] for row in service.get(f"{PATH}/candidates", **query)["candidates"]]


def test_candidates_are_listed_with_what_a_person_needs(service):
    found = service.get(f"{PATH}/candidates")
    (row,) = found["candidates"]
    assert (row["label"], row["code"], row["count"], row["titles"]) == ("Mushrooms", "g-mushrooms", 4, TEXTS[:3])
    assert row["trial"] is None
    assert found["figures"]["accepted"] == 0
    assert "A candidate needs" in found["thresholds"]
    assert labels(service, include_skipped=True) == ["Mushrooms", "Moss"]


def test_a_candidate_can_be_tried_out(service):
    found = service.get(f"{PATH}/candidates/mushroom/trial")
    assert found["texts"] == 4
    assert "of 4 of its texts" in found["sentence"]


def test_a_rejected_candidate_is_gone_until_that_is_taken_back(service):
    done = service.post(f"{PATH}/decisions", {"key": "mushroom", "action": "reject", "reason": "no plants"})
    assert (done["is_revised"], done["job_id"]) == (False, None)
    assert labels(service) == []
    (row,) = service.get(f"{PATH}/decisions")["decisions"]
    assert (row["action"], row["state"], row["decision_id"]) == ("reject", "in_effect", done["decision_id"])
    service.delete(f"{PATH}/decisions/{done['decision_id']}")
    assert labels(service) == ["Mushrooms"]
    assert service.delete(f"{PATH}/decisions/{done['decision_id']}", 422)["code"] == "invalid_input"


def test_a_skipped_candidate_is_hidden(service):
    service.post(f"{PATH}/decisions", {"key": "mushroom", "action": "skip"})
    assert labels(service) == []


def test_an_added_candidate_is_in_the_taxonomy_file_and_a_build_is_asked_for(service):
    done = service.post(f"{PATH}/decisions", {"key": "mushroom", "action": "add", "parent_code": "P"})
    assert done["is_revised"]
    job = service.app.state.service.jobs.get(done["job_id"])
    assert (job.kind, job.stored_key, job.status) == ("build", "living", "pending")
    text = (service.data / "inbox" / "living" / "taxonomy.csv").read_text(encoding="utf-8")
    assert f"{done['code']},P,Mushrooms" in text
    taught = [row["text"] for row in service.get(f"{PATH}/corrections?status=unknown_code")["corrections"]]
    assert sorted(taught) == sorted(TEXTS)
    assert service.http.get(f"/taxonomies/{done['job_id']}/status").json()["status"] == "pending"


def test_a_candidate_can_get_another_name_or_be_a_name_of_a_node(service):
    done = service.post(f"{PATH}/decisions", {"key": "mushroom", "action": "name", "preferred": "Fungi", "at_top": True})
    assert "Fungi" in done["message"]
    done = service.post(f"{PATH}/decisions", {"key": "moss", "action": "alias", "code": "P"})
    assert (done["action"], done["code"]) == ("alias", "P")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"key": "nope", "action": "skip"}, 422, "invalid_input"),
        ({"key": "mushroom", "action": "eat"}, 422, "validation_error"),
        ({"key": "mushroom", "action": "name"}, 422, "invalid_input"),
        ({"key": "mushroom", "action": "alias"}, 422, "invalid_input"),
        ({"key": "mushroom", "action": "alias", "code": "nope"}, 422, "invalid_input"),
        ({"key": "mushroom", "action": "add", "parent_code": "nope"}, 422, "invalid_input"),
        ({"key": "mushroom", "action": "add", "seen_version": "former"}, 409, "revision_conflict"),
    ],
)
def test_what_is_no_decision_changes_nothing(service, body, status, code):
    assert service.post(f"{PATH}/decisions", body, status)["code"] == code
    assert service.get(f"{PATH}/decisions")["decisions"] == []
