from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxomind_resources.crosslingual.features import feature_counts
from taxomind_resources.crosslingual.measuring import ranks
from taxomind_resources.crosslingual.pairs import AlignedPair, AlignedPairs, held_out_labels
from taxomind_resources.crosslingual.training import TrainedStudent, even_draw, taught_languages, train, weighted
from taxomind_resources.embedding.spec import Embedder
from taxomind_resources.faults import Fault

SMALL: dict[str, Any] = {"buckets": 1 << 14, "dims": 24, "bits": 4, "steps": 30, "penalty": 0.1}


@pytest.fixture(scope="module")
def trained(bilingual: list[AlignedPair], encoder: Embedder) -> TrainedStudent:
    return train(bilingual, encoder, hold_out=0.2, seed=3, keep_held_out=True, **SMALL)


def test_phrases_never_seen_find_their_translation(
    trained: TrainedStudent, bilingual: list[AlignedPair], encoder: Embedder
) -> None:
    pairs = AlignedPairs.collect(bilingual)
    held = held_out_labels(pairs.labels, 0.2, seed=3)
    texts = [pair.text for pair, label in zip(pairs.rows, pairs.label_of, strict=True) if pair.language == "fr" and held[label]]
    right = [label for pair, label in zip(pairs.rows, pairs.label_of, strict=True) if pair.language == "fr" and held[label]]
    labels = trained.student.project(encoder.embed(list(pairs.labels), "document"))
    found = ranks(trained.student.vectors(texts), labels, np.array(right))
    assert len(texts) >= 6
    assert np.mean(found == 0) >= 0.8


def test_the_report_compares_with_the_encoder_alone(trained: TrainedStudent) -> None:
    report = trained.report
    assert [(score.source, score.language) for score in report.scores] == [("phrases", "fr")]
    score = report.scores[0]
    assert (report.pairs, report.labels, score.labels) == (120, 60, 60)
    assert score.texts == report.held_out
    assert score.hit_1 >= 0.8 > score.encoder_hit_1
    assert score.hit_10 >= score.hit_1
    assert not report.taught_all


def test_held_out_labels_leave_no_trace_in_the_measured_student(
    trained: TrainedStudent, bilingual: list[AlignedPair], encoder: Embedder
) -> None:
    labels = AlignedPairs.collect(bilingual).labels
    held = {label for label, is_held in zip(labels, held_out_labels(labels, 0.2, 3), strict=True) if is_held}
    without = train([pair for pair in bilingual if pair.english not in held], encoder, hold_out=0.0, **SMALL)
    assert trained.student.spec == without.student.spec
    assert (trained.student.table.codes == without.student.table.codes).all()
    assert (trained.student.table.steps == without.student.table.steps).all()
    assert (trained.student.mean == without.student.mean).all()


def test_afterwards_the_student_is_taught_on_everything(bilingual: list[AlignedPair], encoder: Embedder) -> None:
    measured = train(bilingual, encoder, hold_out=0.2, **SMALL)
    unmeasured = train(bilingual, encoder, hold_out=0.0, **SMALL)
    assert measured.report.taught_all
    assert measured.report.learned == measured.report.pairs == 120
    assert measured.report.scores
    assert unmeasured.report.scores == ()
    assert (measured.student.table.codes == unmeasured.student.table.codes).all()


def test_training_is_deterministic_whatever_the_order(bilingual: list[AlignedPair], encoder: Embedder, tmp_path: Path) -> None:
    first = train(bilingual, encoder, hold_out=0.0, threads=1, **SMALL).student.save(tmp_path / "a.npz")
    second = train(reversed(bilingual), encoder, hold_out=0.0, **SMALL).student.save(tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()


def test_training_reads_files_and_tells_its_progress(bilingual: list[AlignedPair], encoder: Embedder, tmp_path: Path) -> None:
    path = tmp_path / "aligned.csv"
    lines = ["language,text,english,source", *(",".join(pair) for pair in bilingual)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    told: list[tuple[str, float]] = []
    result = train(path, encoder, progress=lambda what, share: told.append((what, share)), **SMALL)
    assert result.student.spec.languages == ("en", "fr")
    assert result.student.spec.pairs == 120
    assert {what for what, _ in told} == {"read", "embed", "features", "learn", "measure", "done"}
    assert told[-1] == ("done", 1.0)


def test_features_are_weighted_rows_of_unit_length() -> None:
    counts = feature_counts(["mill mill baker", "mill", ""], 12)
    rows, idf = weighted(counts)
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    assert lengths == pytest.approx([1, 1, 0], abs=1e-6)
    assert (idf[np.unique(counts.indices)] >= 1).all()
    assert np.count_nonzero(idf) == np.unique(counts.indices).size
    assert idf[feature_counts(["baker"], 12).indices].min() > idf[feature_counts(["mill"], 12).indices].max()


@pytest.mark.parametrize(("most", "expected"), [(100, {"a": 30, "b": 5}), (20, {"a": 15, "b": 5}), (8, {"a": 4, "b": 4})])
def test_a_draw_is_even_over_languages(most: int, expected: dict[str, int]) -> None:
    rows = [("a", f"text {number}", f"label {number}") for number in range(30)]
    rows += [("b", f"other {number}", f"label {number}") for number in range(5)]
    pairs = AlignedPairs.collect(rows)
    drawn = even_draw(pairs, np.arange(35), most, seed=0)
    languages = [pairs.rows[row].language for row in drawn]
    assert {language: languages.count(language) for language in expected} == expected
    assert (np.diff(drawn) > 0).all()
    assert (even_draw(pairs, np.arange(35), most, seed=0) == drawn).all()


def test_languages_that_only_repeat_english_do_not_count_as_taught() -> None:
    rows = [
        ("ga", "Bread", "bread"),
        ("ga", "Milk", "milk"),
        ("de", "Brot", "bread"),
        ("de", "Server", "server"),
        ("en-GB", "Tea", "Tea"),
    ]
    assert taught_languages([AlignedPair(*row) for row in rows]) == ("de", "en-GB")


def test_a_limit_on_pairs_is_kept(bilingual: list[AlignedPair], encoder: Embedder) -> None:
    assert train(bilingual, encoder, hold_out=0.0, max_pairs=50, **SMALL).report.learned == 50


def test_ties_count_against_the_right_label() -> None:
    labels = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    queries = np.array([[1, 0], [0, 0], [0, 1]], np.float32)
    assert ranks(queries, labels, np.array([0, 0, 2])).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"buckets": value} for value in (0, 1, 1000, -4, 1 << 30)),
        *({"dims": value} for value in (0, 12, 56)),
        *({"bits": value} for value in (0, 3, 8)),
        *({"hold_out": value} for value in (-0.1, 1.0)),
        *({"penalty": value} for value in (0.0, float("nan"), float("inf"))),
        {"steps": 0},
        {"threads": 0},
        {"max_pairs": 0},
    ],
)
def test_options_out_of_range_are_refused_by_name(
    bilingual: list[AlignedPair], encoder: Embedder, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Fault, match=f"`{next(iter(wrong))}` is out of range"):
        train(bilingual, encoder, **{**SMALL, **wrong})


@pytest.mark.parametrize("pairs", [[], [("fr", "x", "")], "text"])
def test_unusable_pairs_are_refused(pairs: Sequence[Sequence[str]], encoder: Embedder) -> None:
    with pytest.raises(Fault, match="invalid_input"):
        train(pairs, encoder, **SMALL)


def test_holding_out_every_label_is_refused(encoder: Embedder) -> None:
    with pytest.raises(Fault, match="All labels are held out"):
        train([("fr", "pain", "bread")], encoder, hold_out=0.999999, **SMALL)
