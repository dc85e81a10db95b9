from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.views import adaptation
from taxomind_assets.views.adaptation import Adaptation, fit_adaptation
from taxomind_assets.views.build import build_index
from taxomind_assets.views.index import NodeIndex
from taxomind_assets.views.texts import VIEWS, node_texts
from taxomind_resources.embedding import Embedder
from taxomind_resources.settings import Settings


def clouds(nodes: int = 12, texts: int = 6, d: int = 16, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Texts that tell their node in half of the dimensions and only noise, which is larger, in the others."""
    random = np.random.default_rng(seed)
    centres = np.concatenate([random.normal(size=(nodes, d // 2)), np.zeros((nodes, d // 2))], axis=1)
    owners = np.repeat(np.arange(nodes), texts)
    noise = np.concatenate(
        [random.normal(scale=0.3, size=(owners.size, d // 2)), random.normal(scale=1.5, size=(owners.size, d // 2))], axis=1
    )
    vectors = centres[owners] + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), owners


def accuracy(train: np.ndarray, owners: np.ndarray, test: np.ndarray) -> float:
    means = np.stack([train[owners == node].mean(axis=0) for node in np.unique(owners)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return float(np.mean(np.argmax(test @ means.T, axis=1) == owners))


def test_adaptation_finds_nodes_of_unseen_texts_better() -> None:
    vectors, owners = clouds(texts=12)
    seen = np.arange(owners.size) % 2 == 0
    fitted = fit_adaptation(vectors[seen], owners[seen])
    assert fitted is not None
    before = accuracy(vectors[seen], owners[seen], vectors[~seen])
    after = accuracy(fitted(vectors[seen]), owners[seen], fitted(vectors[~seen]))
    assert after > before + 0.05


def test_adaptation_gives_unit_rows_and_keeps_zero_rows() -> None:
    vectors, owners = clouds()
    vectors[0] = 0
    fitted = fit_adaptation(vectors, owners)
    assert fitted is not None
    lengths = np.linalg.norm(fitted(vectors), axis=1)
    assert lengths[0] == 0
    assert lengths[1:] == pytest.approx(1, abs=1e-5)
    assert fitted(vectors).dtype == np.float32


def test_adaptation_is_the_same_for_the_same_texts() -> None:
    vectors, owners = clouds()
    one, other = fit_adaptation(vectors, owners), fit_adaptation(vectors, owners + 100)
    assert one is not None
    assert other is not None
    assert np.array_equal(one.matrix, other.matrix)


@pytest.mark.parametrize("owners", [[0, 1, 2, 3], [0, 0, 1, 2]])
def test_adaptation_needs_two_nodes_with_two_texts(owners: list[int]) -> None:
    vectors = clouds()[0][:4]
    assert fit_adaptation(vectors, np.array(owners)) is None
    assert fit_adaptation(vectors[:0], np.array([], np.int64)) is None


def test_adaptation_compares_with_a_part_of_many_texts_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, owners = clouds(nodes=40, texts=8)
    monkeypatch.setattr(adaptation, "_OTHERS", 50)
    monkeypatch.setattr(adaptation, "_MOST_COMPARED", 110)
    monkeypatch.setattr(adaptation, "_BATCH", 20)
    compared = adaptation._others(np.arange(0, 160, 8), owners, np.random.default_rng(0))
    assert 60 <= compared.size <= 110
    assert np.array_equal(compared, np.unique(compared))
    assert np.isin(owners[compared], np.arange(20)).sum() >= 60
    fitted = fit_adaptation(vectors, owners)
    assert fitted is not None
    assert accuracy(fitted(vectors), owners, fitted(vectors)) > accuracy(vectors, owners, vectors)


def test_gradient_is_the_slope_of_the_surprise() -> None:
    vectors, owners = clouds(nodes=4, texts=3, d=6)
    rows, others = np.array([0, 4, 5, 9, 11]), np.array([0, 1, 3, 4, 5, 6, 7, 9])  # the last row has no mate among the others
    owners[10:] = [3, 9]
    matrix = np.eye(6) + np.random.default_rng(0).normal(scale=0.1, size=(6, 6))
    exact = vectors.astype(np.float64)
    found = adaptation._gradient(matrix, exact, owners, rows, others)  # type: ignore[arg-type]

    def loss(changed: np.ndarray) -> float:
        unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)  # noqa: E731
        chances = np.exp(adaptation._SCALE * (unit(exact[rows] @ changed) @ unit(exact[others] @ changed).T))
        chances[others[None, :] == rows[:, None]] = 0
        hits = (chances * (owners[others][None, :] == owners[rows][:, None])).sum(axis=1)
        return float(-np.log(hits / chances.sum(axis=1), where=hits > 0, out=np.zeros(rows.size)).sum() / rows.size)

    expected = np.zeros((6, 6))
    for row, column in np.ndindex(6, 6):
        step = np.zeros((6, 6))
        step[row, column] = 1e-5
        expected[row, column] = (loss(matrix + step) - loss(matrix - step)) / 2e-5
    assert np.abs(expected).max() > 0.1
    assert found == pytest.approx(expected, abs=1e-3)


def test_adaptation_without_a_change_is_the_identity() -> None:
    vectors, _ = clouds()
    assert Adaptation(np.eye(vectors.shape[1], dtype=np.float32))(vectors) == pytest.approx(vectors, abs=1e-6)


def test_an_adapted_index_answers_alike_when_it_was_loaded(
    occupations: NodeIndex,
    embedder: Embedder,
    default_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adaptation, "_STEPS", 5)
    texts = [text for view in VIEWS for text in node_texts(occupations.tree)[view]]
    vectors = embedder.embed([text.text for text in texts], "document")
    adapted = build_index(occupations.tree, texts, vectors, embedder, adapt=True)
    assert adapted.adaptation is not None
    assert adapted.version != occupations.version
    adapted.save(tmp_path)
    loaded = NodeIndex.load(tmp_path)
    assert np.array_equal(loaded.vectors, adapted.vectors)
    told = ["teaches small children", "drives a truck at night"]
    first = Classifier(adapted, embedder, default_settings)
    second = Classifier(loaded, first.embedder, default_settings)
    assert first.classify(told).equals(second.classify(told))
    assert first.classify(told).equals(first.classify(told, vectors=adapted.placed(embedder.embed(told, "query"))))


def test_a_map_can_be_undone(occupations: NodeIndex) -> None:
    matrix = np.eye(384, dtype=np.float32) + np.random.default_rng(0).normal(scale=0.01, size=(384, 384)).astype(np.float32)
    mapped = occupations.adapted(Adaptation(matrix))
    again = mapped.adapted(Adaptation(matrix))
    assert np.abs(mapped.plain().vectors - occupations.vectors).max() < 2e-3
    assert np.abs(again.plain().vectors - occupations.vectors).max() < 4e-3
    assert again.placed(occupations.vectors[:3]) == pytest.approx(again.vectors[:3], abs=2e-3)
