"""Versions of models: numbers nobody shares, folders that are whole or absent, a pointer that goes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taxomind_resources.faults import Fault
from taxomind_resources.files import temporary_path
from taxomind_resources.model_store import ModelStore, file_digests


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


def make(store: ModelStore, key: str = "jobs", text: str = "weights") -> int:
    with store.training(key, "svm") as run:
        (run.folder / "weights").write_text(text)
        (run.folder / "manifest.json").write_text(json.dumps({"version": run.number, "files": file_digests(run.folder)}))
    return run.number


def test_versions_are_numbered_from_one(store):
    assert [make(store), make(store), make(store, "others")] == [1, 2, 1]
    assert store.ready("jobs") == [2, 1]
    assert store.manifest("jobs", 1)["version"] == 1


def test_trainings_at_the_same_time_get_numbers_of_their_own(store):
    with ThreadPoolExecutor(16) as threads:
        numbers = list(threads.map(lambda _: make(store), range(24)))
    assert sorted(numbers) == list(range(1, 25))
    assert store.ready("jobs") == list(range(24, 0, -1))


def test_a_version_is_seen_only_when_it_is_whole(store):
    with store.training("jobs", "svm") as run:
        (run.folder / "half").write_text("half")
        assert store.ready("jobs") == []
        state = store.versions("jobs")[0]
        assert (state.number, state.state, state.record["what"]) == (1, "training", "svm")
        (run.folder / "manifest.json").write_text("{}")
    assert store.versions("jobs")[0].state == "ready"


def test_a_training_that_fails_leaves_its_number_as_failed(store):
    with pytest.raises(ValueError, match="no gradient"), store.training("jobs"):
        raise ValueError("no gradient\nmore")
    state = store.versions("jobs")[0]
    assert (state.state, state.record["reason"]) == ("failed", "no gradient")
    assert store.ready("jobs") == []
    assert make(store) == 2


def test_a_cancelled_training_has_failed(store):
    with pytest.raises(KeyboardInterrupt), store.training("jobs"):
        raise KeyboardInterrupt
    assert store.versions("jobs")[0].state == "failed"


@pytest.mark.slow
def test_a_killed_training_leaves_no_half_version(store, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from taxomind_resources.model_store import ModelStore\n"
        "with ModelStore(Path(sys.argv[1])).training('jobs') as run:\n"
        "    (run.folder / 'half').write_text('half'); print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    assert store.versions("jobs")[0].state == "training"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    state = store.versions("jobs")[0]
    assert state.state == "failed"
    assert "ended before" in state.record["reason"]
    assert store.ready("jobs") == []
    assert not [path for path in (store.root / "jobs").iterdir() if path.name.startswith(".taxomind")]
    assert make(store) == 2


def test_a_number_that_was_taken_and_nothing_else_has_failed(store):
    (store.root / "jobs" / "runs" / "v1").mkdir(parents=True)
    assert store.versions("jobs")[0].state == "failed"
    assert make(store) == 2


def test_promotion_and_rollback_move_one_pointer(store):
    for _ in range(3):
        make(store)
    assert store.promoted("jobs") is None
    assert store.promote("jobs", 1) is None
    assert store.promote("jobs", 3) == 1
    assert store.promote("jobs", 2) == 3
    assert [state.promoted for state in store.versions("jobs")] == [False, True, False]
    assert store.rollback("jobs") == 3
    assert store.rollback("jobs") == 1
    assert store.rollback("jobs") is None
    with pytest.raises(Fault, match="in use"):
        store.rollback("jobs")


def test_only_versions_that_are_ready_can_be_promoted(store):
    make(store)
    with pytest.raises(Fault) as raised:
        store.promote("jobs", 2)
    assert raised.value.code == "no_model"
    assert raised.value.allowed == "1"


def test_a_pointer_to_a_version_that_is_gone_goes_back_to_the_one_before(store):
    for _ in range(2):
        make(store)
    store.promote("jobs", 1)
    store.promote("jobs", 2)
    (store.folder("jobs", 2)).rename(store.root / "elsewhere")
    assert store.promoted("jobs") == 1


def test_the_folder_in_use_is_the_promoted_one_else_the_latest(store):
    with pytest.raises(Fault, match="no model"):
        store.folder("jobs")
    make(store)
    make(store)
    assert store.folder("jobs").name == "v2"
    store.promote("jobs", 1)
    assert store.folder("jobs").name == "v1"


def test_a_file_that_has_changed_is_noticed(store):
    make(store)
    assert store.verified("jobs", 1) == store.folder("jobs", 1)
    (store.folder("jobs", 1) / "weights").write_text("changed")
    with pytest.raises(Fault) as raised:
        store.verified("jobs", 1)
    assert raised.value.code == "model_damaged"
    (store.folder("jobs", 1) / "weights").unlink()
    with pytest.raises(Fault, match="missing"):
        store.verified("jobs", 1)


def test_a_part_is_added_as_a_whole_and_replaced_as_a_whole(store):
    make(store)

    def half(folder: Path) -> None:
        (folder / "half.onnx").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        store.add_part("jobs", 1, "onnx", half)
    assert not (store.folder("jobs", 1) / "onnx").exists()
    store.add_part("jobs", 1, "onnx", lambda folder: (folder / "a").write_text("a") and None)
    store.add_part("jobs", 1, "onnx", lambda folder: (folder / "b").write_text("b") and None)
    assert [path.name for path in (store.folder("jobs", 1) / "onnx").iterdir()] == ["b"]
    store.verified("jobs", 1)  # what was made before is as it was
    with pytest.raises(Fault, match="names a folder"):
        store.add_part("jobs", 1, "../out", half)


def test_pruning_keeps_the_latest_and_the_promoted(store):
    for _ in range(5):
        make(store)
    store.promote("jobs", 1)
    assert store.prune("jobs", 2, pinned=[3]) == [2]
    assert store.ready("jobs") == [5, 4, 3, 1]
    with pytest.raises(Fault, match="must stay"):
        store.prune("jobs", 0)


def test_numbers_are_not_given_again_after_pruning(store):
    for _ in range(3):
        make(store)
    store.prune("jobs", 1)
    assert make(store) == 4


def test_checkpoints_stay_until_they_are_dropped(store):
    folder = store.checkpoint("jobs", "0" * 16)
    (folder / "unit-0").mkdir()
    left = temporary_path(folder)
    left.mkdir()
    assert store.checkpoint("jobs", "0" * 16) == folder
    assert left.exists()  # this very process is writing it
    store.drop_checkpoints("jobs")
    assert not folder.exists()


def test_removing_takes_everything(store):
    make(store)
    assert store.remove("jobs")
    assert not store.remove("jobs")
    assert store.versions("jobs") == []


def test_a_manifest_that_cannot_be_read_is_told_of(store):
    make(store)
    (store.folder("jobs", 1) / "manifest.json").write_text("{")
    with pytest.raises(Fault) as raised:
        store.manifest("jobs", 1)
    assert raised.value.code == "model_damaged"
