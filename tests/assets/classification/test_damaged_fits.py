"""What labels have taught and cannot be read any more is left out, told, and fitted again: it never stops the classifier."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster import AssetKey

from taxomind_app.definitions import defs
from taxomind_app.doctor import run_checks
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.fitted_store import CALIBRATIONS, VOTERS, read_fitted

TEXTS = ["a barking thing", "purring kitten", "woody", "thorny flower"]
KINDS = {"dog": "barking", "cat": "purring", "oak": "woody", "rose": "thorny"}


def without_a_column(path: Path) -> None:
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.drop_columns([table.column_names[-1]]), path)


def with_an_unknown_number(path: Path) -> None:
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.set_column(table.column_names.index("numbers"), "numbers", [['{"slope": 1.0}']]), path)


def with_a_short_gate(path: Path) -> None:
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.set_column(table.column_names.index("numbers"), "numbers", [['{"gate": [0.5]}']]), path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


DAMAGES = {
    "a column is missing": (CALIBRATIONS, without_a_column),
    "its numbers are of another version": (CALIBRATIONS, with_an_unknown_number),
    "its gate is of another version": (CALIBRATIONS, with_a_short_gate),
    "the file is cut short": (CALIBRATIONS, cut_short),
    "the voters are cut short": (VOTERS, cut_short),
    "a column of the voters is missing": (VOTERS, without_a_column),
    "the voters are gone": (VOTERS, Path.unlink),
}


@pytest.fixture
def taught(animals):
    """The project `animals` with so many corrections that weights and voters are fitted."""
    assert animals.run("build_taxonomy", "animals").success
    rows = [f"{word} thing number {n},{code}" for code, word in KINDS.items() for n in range(20)]
    animals.put("animals", "corrections", "\n".join(["text,code", *rows]), "given.csv")
    assert animals.run("learning_pipe", "animals").success
    return animals


def repaired(project):
    job = defs.resolve_job_def("learning_pipe")
    return job.execute_in_process(
        partition_key="animals", instance=project.instance, asset_selection=[AssetKey("stop_calibration")]
    )


def test_damaged_fits_are_left_out_told_and_made_again(taught, metadata, caplog):
    index_version = taught.indexes.current("animals")
    whole = Classifier.load("animals", data=taught.data)
    assert whole.scorer.fitted is not None
    for name, (table, damage) in DAMAGES.items():
        (part,) = taught.outputs.parts(table, "animals")
        damage(taught.outputs.path(table, "animals", part))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            classifier = Classifier.load("animals", data=taught.data)
        assert classifier.scorer.fitted is None, name
        assert classifier.calibration == classifier.index.calibration
        assert "left out until `stop_calibration` has fitted it again" in caplog.text, name
        assert classifier.classify("a barking thing")["top_codes"][0].as_py()[0] == "dog"
        (check,) = (check for check in run_checks(taught.data) if check.name == "calibration")
        assert (check.status, "animals: " in check.detail) == ("warn", True), name
        made = metadata(repaired(taught), "stop_calibration")
        assert made["replaced"], name
        assert read_fitted(taught.outputs, "animals", index_version)[1] == ""
        again = Classifier.load("animals", data=taught.data)
        assert again.scorer.fitted is not None, name
        assert again.classify(TEXTS)["code"].equals(whole.classify(TEXTS)["code"]), name
    assert "replaced" not in metadata(repaired(taught), "stop_calibration")


def test_a_column_that_nobody_asks_for_does_no_harm(taught):
    path = taught.outputs.path(CALIBRATIONS, "animals")
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.append_column("slope", pa.array([1.0])), path)
    found, problem = read_fitted(taught.outputs, "animals", taught.indexes.current("animals"))
    assert found is not None
    assert problem == ""


@pytest.mark.parametrize("damage", [without_a_column, cut_short])
def test_damaged_evidence_is_made_again_from_the_corrections(taught, damage: Callable[[Path], None]):
    tables = ("learning.evidence", "learning.centroids", "learning.correction_rows", "learning.correction_files")
    (version,) = taught.outputs.read("learning.evidence_versions", "animals")["evidence_version"].to_pylist()
    before = taught.outputs.read("learning.evidence", "animals")
    for table in tables:
        (part,) = taught.outputs.parts(table, "animals")
        damage(taught.outputs.path(table, "animals", part))
    assert taught.run("learning_pipe", "animals").success
    assert taught.outputs.read("learning.evidence", "animals").equals(before)
    assert taught.outputs.read("learning.evidence_versions", "animals")["evidence_version"].to_pylist() == [version]
