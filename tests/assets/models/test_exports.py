"""Exports: variants answer as the version, the gate decides, and a killed export leaves nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from taxomind_assets.models.exports import agreement
from taxomind_assets.models.exports.agreement import Answers, compared
from taxomind_assets.models.exports.exporting import export_version
from taxomind_assets.models.exports.graphs import write_linear
from taxomind_assets.models.exports.report import VARIANTS, approved_folder, export_rows, stored_export
from taxomind_assets.models.exports.runtime import OnnxClassifier
from taxomind_assets.models.plugins.classifiers.linear import Linear, LinearClassifier
from taxomind_assets.models.plugins.classifiers.svm import LinearMachine
from taxomind_assets.models.registry import registry
from taxomind_assets.models.specification import chosen_spec
from taxomind_assets.models.stored import write_export
from taxomind_assets.models.training import examples_of, load_model, train_model
from taxomind_resources.faults import Fault
from taxomind_resources.model_store import ModelStore
from taxomind_resources.outputs import Outputs
from tests.assets.models.test_transformer import GIVEN, tiny

__all__ = ["tiny"]
TEXTS = ["the old kitten came today", "", "steaming broth", "🐱 кошка", "our loaf " * 60]


def made(store, tree, labelled, embedder, preset="fast", **given):
    spec = chosen_spec(registry(), preset, **given)
    return train_model("things", spec, tree, labelled, store, embedder=lambda: embedder, threads=1).number


def exported(store, number, tree, labelled, embedder):
    rows = examples_of(tree, labelled, "validation")
    return export_version(store, "things", number, tree, rows, embedder=lambda: embedder, threads=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ModelStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def version(store, tree, labelled, embedder):
    """A version with one classifier per parent, and its export."""
    number = made(store, tree, labelled, embedder, parameters=["min_df=1"], hierarchy="per_parent")
    return number, exported(store, number, tree, labelled, embedder)


def test_every_variant_of_a_linear_model_answers_as_the_version(store, version, embedder):
    number, found = version
    assert [row.variant for row in found.variants] == ["source", *VARIANTS]
    assert set(found.accepted()) == set(VARIANTS)
    source, _ = load_model(store, "things", number, embedder=lambda: embedder, threads=1)
    for name in VARIANTS:
        own, _ = load_model(store, "things", number, embedder=lambda: embedder, threads=1, variant=name)
        assert all(isinstance(unit.classifier, OnnxClassifier) for unit in own.units)
        limit = 0.02 if name == "onnx-int8" else 1e-5
        np.testing.assert_allclose(own.predict(TEXTS).own, source.predict(TEXTS).own, atol=limit)
        assert own.predict(TEXTS).best.tolist() == source.predict(TEXTS).best.tolist()
        assert own.predict(TEXTS).best[1] == -1


def test_the_fastest_accepted_variant_is_automatic_and_its_files_are_checked(store, version):
    number, found = version
    folder = approved_folder(store, "things", number, "auto")
    assert folder is not None
    assert folder.name == found.accepted()[0]
    graph = folder / "unit-0" / "model.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content + b"x")
    try:
        with pytest.raises(Fault) as raised:
            approved_folder(store, "things", number, folder.name)
    finally:
        graph.write_bytes(content)
    assert raised.value.code == "model_damaged"


def test_an_export_is_kept_with_its_figures(store, version, tmp_path):
    number, found = version
    assert stored_export(store, "things", number) == found
    rows = write_export(Outputs(tmp_path), "things", found).to_pylist()
    assert [row["state"] for row in rows] == ["reference", "accepted", "accepted", "accepted"]
    assert all(row["latency_p95_ms"] >= row["latency_p50_ms"] > 0 and row["size_bytes"] > 0 for row in rows)
    assert rows[1]["max_logit_difference"] <= 1e-4
    assert len(export_rows(found)) == 4


def test_a_graph_says_what_it_is_and_takes_any_number_of_texts(store, version):
    import onnx

    number, _ = version
    folder = store.folder("things", number) / "onnx"
    for name in VARIANTS:
        model = onnx.load(folder / name / "unit-0" / "model.onnx")
        onnx.checker.check_model(model)
        facts = {entry.key: entry.value for entry in model.metadata_props}
        assert (facts["taxonomy_key"], facts["version"], facts["unit"]) == ("things", str(number), "node:")
        assert json.loads(facts["codes"]) == ["animals", "food"]
        assert {"taxonomy_version", "text_policy", "temperature"} <= set(facts)
        assert [own.name for own in model.graph.output] == ["logits"]
        assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert all(own.type.tensor_type.shape.dim[0].dim_param for own in model.graph.input)


def test_a_damaged_variant_is_rejected_with_its_figures_and_never_served(store, tree, labelled, embedder, monkeypatch):
    import onnx

    from taxomind_assets.models.exports import graphs

    def damaged(baseline, path):
        model = onnx.load(baseline)
        weights = next(own for own in model.graph.initializer if own.name == "coefficients")
        values = onnx.numpy_helper.to_array(weights)
        weights.CopyFrom(onnx.numpy_helper.from_array(-values, "coefficients"))
        onnx.save(model, path)

    monkeypatch.setattr(graphs, "write_int8", damaged)
    number = made(store, tree, labelled, embedder, parameters=["min_df=1", "C=5"])
    found = exported(store, number, tree, labelled, embedder)
    last = found.variants[-1]
    assert (last.variant, last.state) == ("onnx-int8", "rejected")
    assert last.agreement.agreement < 0.5
    assert "answers are the same" in last.reason
    assert "onnx-int8" not in found.accepted()
    with pytest.raises(Fault) as raised:
        approved_folder(store, "things", number, "onnx-int8")
    assert raised.value.code == "gate_refused"


def test_a_fine_tuned_encoder_answers_alike_without_torch(tiny, store, tree, labelled, embedder):
    given = GIVEN | {"num_epochs": 2}
    parameters = [f"model_name={tiny}", *(f"{name}={value}" for name, value in given.items())]
    number = made(store, tree, labelled, embedder, "best", parameters=parameters)
    found = exported(store, number, tree, labelled, embedder)
    assert {row.variant: row.state for row in found.variants}["onnx"] == "accepted"
    source, _ = load_model(store, "things", number, embedder=lambda: embedder, threads=1)
    wanted = source.predict(TEXTS).own
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from taxomind_assets.models.training import load_model\n"
        "from taxomind_resources.model_store import ModelStore\n"
        "store = ModelStore(Path(sys.argv[1]))\n"
        "own, _ = load_model(store, 'things', int(sys.argv[2]), embedder=None, threads=1, variant='onnx')\n"
        "found = own.predict(json.loads(sys.argv[3])).own.tolist()\n"
        "print(json.dumps({'own': found, 'torch': 'torch' in sys.modules}))\n"
    )
    command = [sys.executable, "-c", code, str(store.root.parent), str(number), json.dumps(TEXTS)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    np.testing.assert_allclose(told["own"], wanted, atol=1e-4)
    assert told["torch"] is False
    swapped = store.folder("things", number) / "onnx" / "onnx" / "unit-0" / "tokenizer.json"
    swapped.write_text(swapped.read_text().replace("kitten", "kittem"))
    with pytest.raises(Fault) as raised:
        load_model(store, "things", number, embedder=lambda: embedder, variant="onnx")
    assert raised.value.code == "model_damaged"


def test_what_cannot_be_exported_is_listed_with_the_reason(store, tree, labelled, embedder, monkeypatch):
    monkeypatch.delattr(LinearClassifier, "write_onnx")
    number = made(store, tree, labelled, embedder, parameters=["min_df=1"])
    found = exported(store, number, tree, labelled, embedder)
    assert [row.state for row in found.variants] == ["reference", *["impossible"] * 3]
    assert "svm" in found.variants[1].reason
    assert approved_folder(store, "things", number, "auto") is None
    with pytest.raises(Fault) as raised:
        approved_folder(store, "things", number, "onnx")
    assert raised.value.code == "gate_refused"


def test_boosted_trees_answer_alike_and_have_no_weights_for_8_bits(store, tree, labelled, embedder):
    given = {"classifier": "xgboost", "parameters": ["min_df=1", "n_estimators=12"]}
    number = made(store, tree, labelled, embedder, **given)
    found = exported(store, number, tree, labelled, embedder)
    assert [row.state for row in found.variants] == ["reference", "accepted", "accepted", "impossible"]
    assert "8 bits" in found.variants[3].reason
    assert found.variants[1].agreement.logit < 1e-4


def test_a_version_that_was_not_exported_is_served_as_it_was_trained_alone(store, tree, labelled, embedder):
    number = made(store, tree, labelled, embedder, parameters=["min_df=1", "C=2"])
    assert approved_folder(store, "things", number, "source") is None
    assert approved_folder(store, "things", number, "auto") is None
    with pytest.raises(Fault, match="not exported"):
        approved_folder(store, "things", number, "onnx-int8")


def test_an_export_that_stops_midway_leaves_nothing(store, tree, labelled, embedder, monkeypatch):
    number = made(store, tree, labelled, embedder, parameters=["min_df=1", "C=3"])

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("taxomind_assets.models.exports.graphs.write_int8", stop)
    with pytest.raises(KeyboardInterrupt):
        exported(store, number, tree, labelled, embedder)
    assert not (store.folder("things", number) / "onnx").exists()
    assert stored_export(store, "things", number) is None


def answers(own, logits=None, alone=None):
    own = np.asarray(own, np.float32)
    return Answers(
        [own if logits is None else np.asarray(logits, np.float32)], own, own if alone is None else np.asarray(alone)
    )


def test_the_gate_refuses_other_answers_and_lets_near_ties_pass():
    reference = answers([[0.9, 0.1], [0.2, 0.8], [0.5002, 0.4998]])
    tied = answers([[0.9, 0.1], [0.2, 0.8], [0.4998, 0.5002]])
    found = compared(reference, tied, [0.0], agreement.TEXTS)
    assert (found.reasons, found.agreement, found.near_ties) == ((), 1.0, 1)
    swapped = answers([[0.1, 0.9], [0.2, 0.8], [0.5002, 0.4998]])
    found = compared(reference, swapped, [0.0], agreement.INT8)
    assert found.agreement == 0.5
    assert any("answers are the same" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("variant", "lost", "phrase"),
    [
        (answers([[0.9, 0.1]], logits=[[0.9, 0.102]]), 0.0, "logits differ"),
        (answers([[0.9, 0.1]]), 0.01, "falls by 1.00 points"),
        (answers([[0.9, 0.1]], alone=[[0.8, 0.2]]), 0.0, "a text alone differs"),
        (answers([[float("nan"), 0.1]]), 0.0, "numbers that are none"),
    ],
)
def test_the_gate_says_what_a_variant_fails_by(variant, lost, phrase):
    found = compared(answers([[0.9, 0.1]]), variant, [lost], agreement.TEXTS)
    assert any(phrase in reason for reason in found.reasons)


@pytest.mark.parametrize("is_sparse", [True, False])
def test_a_linear_graph_gives_the_classifiers_scores(is_sparse, tmp_path):
    from scipy import sparse

    random = np.random.default_rng(3)
    linear = Linear(random.normal(size=(40, 5)).astype(np.float32), random.normal(size=5).astype(np.float32))
    rows = sparse.random_array((70, 40), density=0.1, rng=random, dtype=np.float32, format="csr")
    write_linear(linear, tmp_path / "model.onnx", sparse=is_sparse)
    machine = OnnxClassifier(LinearMachine.info, tmp_path / "model.onnx", 5, 1)
    np.testing.assert_allclose(machine.scores(rows), linear.scores(rows), atol=1e-5)
    np.testing.assert_allclose(machine.scores(rows[:0]), np.zeros((0, 5)))
    with pytest.raises(Fault, match="number of classes"):
        OnnxClassifier(LinearMachine.info, tmp_path / "model.onnx", 6, 1)


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_that_could_be_served(store, tree, labelled, embedder):
    number = made(store, tree, labelled, embedder, parameters=["min_df=1", "C=4"])
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from taxomind_assets.models.exports import exporting, graphs\n"
        "from taxomind_assets.models.fitting import Examples\n"
        "from taxomind_assets.models.training import load_model\n"
        "from taxomind_resources.model_store import ModelStore\n"
        "store, number = ModelStore(Path(sys.argv[1])), int(sys.argv[2])\n"
        "tree = load_model(store, 'things', number, embedder=None, threads=1)[0].tree\n"
        "graphs.write_int8 = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "none = Examples([], np.zeros(0, np.int64), np.zeros(0, np.bool_))\n"
        "exporting.export_version(store, 'things', number, tree, none, embedder=None, threads=1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.root.parent), str(number)], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert stored_export(store, "things", number) is None
    assert approved_folder(store, "things", number, "auto") is None
    assert {state.number: state.state for state in store.versions("things")}[number] == "ready"
    assert set(exported(store, number, tree, labelled, embedder).accepted()) == set(VARIANTS)
