from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification import fitting, untold_leaves
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.evidence_rows import EvidenceRows
from taxomind_assets.classification.fitting import fit
from taxomind_assets.classification.labelled_sample import FEWEST_TEXTS, FOLDS, Sample, folds_of
from taxomind_assets.classification.training_rows import TrainingRows
from taxomind_assets.classification.untold_leaves import hidden_rows, says_enough, text_weights, untold_share
from taxomind_assets.classification.voters import Voters
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_assets.views.index import NodeIndex

WORDS = ("experienced {}", "{} wanted", "work as {}", "{} (part time)")


@pytest.fixture(scope="module")
def places(occupations: NodeIndex) -> dict[str, int]:
    return {code: i for i, code in enumerate(occupations.tree.codes)}


def rows_of(texts: list[str], codes: list[str], places: dict[str, int]) -> EvidenceRows:
    return EvidenceRows.of(Evidence.of(texts, codes, np.ones((len(texts), 1), np.float32)), places)


def sample_of(texts: list[str], codes: list[str], places: dict[str, int]) -> Sample:
    return Sample(texts, [[places[code]] for code in codes], np.ones((len(texts), 1), np.float32), folds_of(texts))


def leaf_codes(index: NodeIndex) -> list[str]:
    return [code for code, leaf in zip(index.tree.codes, index.tree.is_leaf, strict=True) if leaf]


@pytest.mark.parametrize(("told", "share"), [(1.0, 0.0), (0.9, 0.15), (0.5, 0.75), (0.02, 0.85)])
def test_texts_of_untold_leaves_weigh_as_these_leaves_and_half_as_much_again(
    occupations: NodeIndex, told: float, share: float
) -> None:
    leaves = np.flatnonzero(occupations.tree.is_leaf)
    known = leaves[: max(1, round(told * leaves.size))].tolist()
    assert untold_share(occupations.tree, [known, [0]]) == pytest.approx(share, abs=0.02)


def test_texts_of_a_few_leaves_say_nothing_of_the_others(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier]
) -> None:
    leaves = np.flatnonzero(occupations.tree.is_leaf).tolist()
    fewest = min(20, len(leaves) / 2)
    for told in (1, int(fewest) - 1, int(np.ceil(fewest)), len(leaves)):
        assert says_enough(occupations.tree, [leaves[:told], [0]]) == (told >= fewest)
    one = classifier_of(occupations).learn([f"zibbo number {i}" for i in range(80)], [occupations.tree.codes[leaves[0]]] * 80)
    found = fit(one)
    assert found is not None
    assert found.weights is None
    assert found.voters is None


def test_a_fold_does_without_all_corrections_of_some_nodes(occupations: NodeIndex, places: dict[str, int]) -> None:
    codes = [code for code in leaf_codes(occupations) for _ in range(3)]
    rows = rows_of([f"text {i}" for i in range(len(codes))], codes, places)
    hidden = hidden_rows(rows, 0.4)
    of_nodes = [{code: set(gone[np.array(rows.codes) == code]) for code in set(rows.codes)} for gone in hidden]
    assert all(len(both) == 1 for nodes in of_nodes for both in nodes.values())
    assert all(0.2 < gone.mean() < 0.6 for gone in hidden)
    assert len({gone.tobytes() for gone in hidden}) == FOLDS
    assert not any(gone.any() for gone in hidden_rows(rows, 0.0))
    assert max(gone.mean() for gone in hidden_rows(rows, 0.85)) < 0.7  # most of the tree stays what it is


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 0.85), seed=st.integers(0, 1_000))
def test_both_kinds_of_texts_weigh_what_they_are_due(
    occupations: NodeIndex, places: dict[str, int], share: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    leaves = leaf_codes(occupations)
    codes = [leaves[i] for i in generator.zipf(1.4, 400) % len(leaves)]
    texts = [f"text {i}" for i in range(len(codes))]
    rows, sample = rows_of(texts, codes, places), sample_of(texts, codes, places)
    hidden = hidden_rows(rows, share)
    weights = text_weights(sample, rows, hidden, share)
    assert weights is not None
    left = [set(np.array(rows.codes)[~gone]) for gone in hidden]
    counts = {code: codes.count(code) for code in codes}
    alone = np.array([counts[c] == 1 or c not in left[f] for c, f in zip(codes, sample.folds.tolist(), strict=True)])
    assert (weights[~alone] == 1).all()
    if alone.any():
        assert weights[alone].sum() / weights.sum() == pytest.approx(share, abs=1e-4)


def test_single_corrections_show_nothing(occupations: NodeIndex, places: dict[str, int]) -> None:
    codes = [*occupations.tree.codes]
    texts = [f"text {i}" for i in range(len(codes))]
    rows = rows_of(texts, codes, places)
    assert len(rows) >= FEWEST_TEXTS
    assert text_weights(sample_of(texts, codes, places), rows, hidden_rows(rows, 0.0), 0.0) is None


def test_texts_that_are_no_corrections_count_one(occupations: NodeIndex, places: dict[str, int]) -> None:
    codes = [*occupations.tree.codes]
    rows = rows_of(["a correction"], codes[:1], places)
    sample = sample_of([f"text {i}" for i in range(len(codes))], codes, places)
    weights = text_weights(sample, rows, hidden_rows(rows, 0.3), 0.3)
    assert weights is not None
    assert (weights == 1).all()


def test_what_answers_a_fold_has_seen_all_but_the_fold(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Corrections are hidden to fit weights, not from the classifiers that reports ask."""
    codes = [code for code in leaf_codes(occupations)[::2] for _ in range(8)]
    texts = [f"text {i} of {code}" for i, code in enumerate(codes)]
    classifier = classifier_of(occupations).learn(texts, codes)
    seen: list[int] = []
    train = fitting.Voters.fit

    def noted(rows: TrainingRows, tree: Taxonomy, *, words: bool) -> Voters:
        seen.append(int(rows.corrected.sum()))
        return train(rows, tree, words=words)

    monkeypatch.setattr(fitting.Voters, "fit", noted)
    found = fitting.fit_without_folds(classifier, texts, [[code] for code in codes])
    assert found is not None
    others = [len(texts) - int((folds_of(texts) == fold).sum()) for fold in range(FOLDS)]
    assert sorted(seen)[FOLDS:] == sorted(others)
    assert max(sorted(seen)[:FOLDS]) < min(others)
    assert all(one.scorer.evidence is not None and len(one.scorer.evidence.rows) == len(texts) for one in found)


def test_leaves_that_nobody_has_told_of_keep_their_texts(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other leaf has corrections. Fitted to these texts alone, weights would lose the texts of the others."""
    told: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    nodes = [node for node, leaf in zip(occupations.tree.nodes, occupations.tree.is_leaf, strict=True) if leaf]
    for place, node in enumerate(nodes):
        said = {word for text in node.texts[0].examples for word in text.split()}  # single words fit several leaves
        (others if place % 2 else told).extend((word, node.code) for word in sorted(said))
    plain = classifier_of(occupations).learn(*map(list, zip(*told, strict=True)))
    right = [occupations.tree.position[code] for _, code in others]
    asked = [text for text, _ in others]

    def chance(classifier: Classifier) -> float:
        found = classifier.probabilities(asked).subtree
        return float(np.log(found[right, np.arange(len(right))]).mean())

    fair = fit(plain)
    monkeypatch.setattr(untold_leaves, "_EMPHASIS", 0.0)
    unfair = fit(plain)
    assert fair is not None
    assert fair.weights is not None
    assert unfair is not None
    assert chance(plain.with_fitted(fair)) >= chance(plain) - 0.2
    assert chance(plain.with_fitted(unfair)) < chance(plain.with_fitted(fair)) - 1
