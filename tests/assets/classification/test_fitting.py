from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from taxomind_assets.classification import fitting
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.fitted_store import drop_voters, stored_fitted, write_fitted
from taxomind_assets.classification.fitting import Fitted, fit, fit_fusion
from taxomind_assets.classification.labelled_sample import FEWEST_TEXTS, Sample
from taxomind_assets.classification.own_labels import unseen_answers
from taxomind_assets.classification.training_rows import TrainingRows
from taxomind_assets.classification.unseen_evidence import unseen, untaught
from taxomind_assets.classification.voters import WEIGHTS, VectorVoter, Voters
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.outputs import Outputs

Known = tuple[list[str], list[str]]
WORDS = ("experienced {}", "{} wanted", "work as {}", "{} (part time)")


@pytest.fixture(scope="module")
def told(occupations: NodeIndex) -> Known:
    """Examples of leaves in other words, three or four for each leaf."""
    texts, codes = [], []
    for node, leaf in zip(occupations.tree.nodes, occupations.tree.is_leaf, strict=True):
        for i, example in enumerate(node.texts[0].examples[:4] if leaf else ()):
            texts.append(WORDS[i].format(example))
            codes.append(node.code)
    return texts, codes


@pytest.fixture(scope="module")
def taught(occupations: NodeIndex, classifier_of: Callable[..., Classifier], told: Known) -> Classifier:
    return classifier_of(occupations).learn(*told)


@pytest.fixture(scope="module")
def fitted(taught: Classifier) -> Fitted:
    found = fit(taught)
    assert found is not None
    return found


def test_enough_corrections_fit_weights_and_voters(fitted: Fitted, told: Known) -> None:
    assert fitted.weights is not None
    assert fitted.voters is not None
    assert fitted.voters.words is not None
    assert fitted.texts == len(set(told[0]))
    assert all(np.isfinite(value) for mode in (True, False) for value in fitted.weights.mode(mode).values())


def test_that_a_text_was_left_out_teaches_nothing(taught: Classifier, fitted: Fitted, told: Known) -> None:
    """Its node has one correction less: free weights would take fewer corrections for a sign of the right node."""
    assert fitted.weights is not None
    for mode in (True, False):
        weights = fitted.weights.mode(mode)
        assert min(weights.get(name, 0.0) for name in ("evidence_present", "evidence_count", "voter_prior")) >= 0
        assert -1 <= weights["evidence_chance"] <= 0
    query_texts = [f"vacancy: {text}" for text in told[0][::3]]
    chances = taught.with_fitted(replace(fitted, calibration=taught.index.calibration)).probabilities(query_texts)
    leaves = taught.tree.is_leaf
    assert chances.subtree[leaves].sum(axis=0).mean() > 0.8  # not the internal nodes


def test_the_fitted_classifier_answers_at_least_as_well(taught: Classifier, fitted: Fitted, told: Known) -> None:
    texts = [f"vacancy: {text}" for text in told[0][::3]]

    def right(classifier: Classifier) -> float:
        leaves = classifier.answers(texts).leaves[:, 0]
        return float(np.mean([classifier.tree.codes[leaf] == code for leaf, code in zip(leaves, told[1][::3], strict=True)]))

    assert right(taught.with_fitted(fitted)) >= right(taught) - 0.02


def test_fitting_depends_on_no_order(taught: Classifier, fitted: Fitted, told: Known) -> None:
    shuffled = np.random.default_rng(3).permutation(len(told[0])).tolist()
    again = fit(untaught(taught).learn([told[0][i] for i in shuffled], [told[1][i] for i in shuffled]))
    assert again is not None
    assert again.weights is not None
    assert again.weights.trusted == pytest.approx(fitted.weights.trusted, abs=0.15)  # type: ignore[union-attr]
    assert again.calibration.temperature == pytest.approx(fitted.calibration.temperature, abs=0.02)


def test_what_is_fitted_already_plays_no_part(taught: Classifier, fitted: Fitted) -> None:
    again = fit(taught.with_fitted(fitted))
    assert again is not None
    assert again.weights is not None
    assert again.weights.trusted == pytest.approx(fitted.weights.trusted, abs=0.02)  # type: ignore[union-attr]
    # The threshold is a step function of few texts: rounding on another number of threads may move it by a step.
    assert again.calibration.temperature == pytest.approx(fitted.calibration.temperature, abs=0.02)


def test_labelled_texts_show_what_single_corrections_are_worth(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier], told: Known
) -> None:
    first: dict[str, str] = {}
    for text, code in zip(*told, strict=True):
        first.setdefault(code, text)
    classifier = classifier_of(occupations).learn([*first.values()], [*first])
    labelled = fit(classifier, told[0], [[code] for code in told[1]])
    assert labelled is not None
    assert labelled.weights is not None
    assert labelled.voters is not None


def test_single_corrections_keep_the_shipped_weights_and_train_voters(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of a node when its only correction is left out, so weights cannot be fitted."""
    texts = [f"{node.texts[0].label}, day shift" for node in occupations.tree.nodes]
    classifier = classifier_of(occupations).learn(texts, [*occupations.tree.codes])
    found = fit(classifier)
    assert found is not None
    assert found.weights is None
    assert found.voters is not None
    served = classifier.with_fitted(found).scorer
    assert served.weights.trusted["voter_words"] == WEIGHTS.trusted["voter_words"] > 0
    monkeypatch.setattr(fitting, "_MOST_COST_OF_FEW", 0)  # a large taxonomy
    large = fit(classifier)
    assert large is not None
    assert large.voters is None


def test_too_few_texts_change_nothing(occupations: NodeIndex, classifier_of: Callable[..., Classifier], told: Known) -> None:
    classifier = classifier_of(occupations).learn(told[0][:10], told[1][:10])
    assert fit(classifier) is None
    assert fit_fusion(classifier) is classifier


def test_texts_of_the_taxonomy_itself_prove_nothing(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier], told: Known
) -> None:
    own = [(text.text.upper(), text.code) for text in occupations.texts if text.view == "example"]
    texts, codes = [text for text, _ in own], [[code] for _, code in own]
    both = fit(classifier_of(occupations), [*told[0], *texts], [*([code] for code in told[1]), *codes])
    assert both is not None
    assert both.texts == len(set(told[0]))
    alone = fit(classifier_of(occupations), texts, codes)  # they are better than nothing
    assert alone is not None
    assert alone.texts == len(set(texts)) >= FEWEST_TEXTS


def test_labelled_texts_alone_fit_weights_but_no_voters(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier], told: Known
) -> None:
    found = fit(classifier_of(occupations), told[0], [[code] for code in told[1]])
    assert found is not None
    assert found.weights is not None
    assert found.voters is None


def test_no_text_is_scored_by_what_was_told_of_it(taught: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Voters and weights of a fold were trained without its texts."""
    trained: list[set[str]] = []
    original = TrainingRows.of

    def noted(index: NodeIndex, rows: object, kept: np.ndarray) -> TrainingRows:
        made = original(index, rows, kept)  # type: ignore[arg-type]
        trained.append({text for text, own in zip(made.texts, made.corrected, strict=True) if own})
        return made

    samples: list[Sample] = []
    measured = fitting._scored

    def listened(scorers: list[object], sample: Sample) -> object:
        samples.append(sample)
        return measured(scorers, sample)  # type: ignore[arg-type]

    monkeypatch.setattr(fitting.TrainingRows, "of", noted)
    monkeypatch.setattr(fitting, "_scored", listened)
    assert fit(taught) is not None
    everything = max(trained, key=len)
    for fold in range(4):
        texts = {samples[0].texts[i] for i in np.flatnonzero(samples[0].folds == fold)}
        assert texts
        assert everything - texts in trained


def test_voters_survive_their_arrays(fitted: Fitted, taught: Classifier) -> None:
    assert fitted.voters is not None
    again = Voters.from_arrays(fitted.voters.to_arrays())
    assert again.version == fitted.voters.version
    query = taught.scorer.query(taught.embedder.embed(["web shop programmer"], "query"), ["web shop programmer"])
    before, after = (taught.scorer.with_views([voters]).features(query) for voters in (fitted.voters, again))
    assert set(fitted.voters.agreement) == {"voter_words", "voter_vectors", "voter_prior", "branches"} <= set(before)
    assert set(before) == set(after)
    for name, block in before.items():
        np.testing.assert_array_equal(block.values, after[name].values)
        np.testing.assert_array_equal(block.nodes, after[name].nodes)
        np.testing.assert_array_equal(block.rows, after[name].rows)


def test_what_is_fitted_is_kept_for_its_index(tmp_path: object, taught: Classifier, fitted: Fitted) -> None:
    outputs = Outputs(tmp_path)  # type: ignore[arg-type]
    assert stored_fitted(outputs, "k", "index") is None
    version = taught.with_fitted(fitted).versions["calibration_version"]
    for _ in range(2):
        write_fitted(outputs, "k", fitted, index_version="index", version=version, corrected=3, digest="d")
    found = stored_fitted(outputs, "k", "index")
    assert found is not None
    assert (found.calibration, found.weights) == (fitted.calibration, fitted.weights)
    assert found.voters is not None
    assert taught.with_fitted(found).versions == taught.with_fitted(fitted).versions
    assert taught.with_fitted(found).classify(["web shop"]).equals(taught.with_fitted(fitted).classify(["web shop"]))
    assert stored_fitted(outputs, "k", "another index") is None
    write_fitted(outputs, "k", replace(fitted, voters=None), index_version="index", version="v", corrected=3, digest="d")
    assert outputs.parts("classification.voters", "k") == []
    drop_voters(outputs, "k")


def test_parts_of_a_fitted_answer_add_up(taught: Classifier, fitted: Fitted) -> None:
    classifier = taught.with_fitted(fitted)
    step = classifier.explain("web shop programmer wanted")["levels"][-1]
    assert sum(step["views"].values()) == pytest.approx(step["logit_difference"], abs=2e-3)
    assert "voter_words" in step["views"]


def test_reports_do_not_see_what_was_fitted_on_their_texts(taught: Classifier, fitted: Fitted, told: Known) -> None:
    classifier = taught.with_fitted(fitted)
    texts, codes = told[0][:40], [[code] for code in told[1][:40]]
    answers = unseen_answers(classifier, texts, codes)
    assert answers["text"].to_pylist() == texts
    assert "exact_evidence" not in answers["stop_reason"].to_pylist()
    assert classifier.versions["calibration_version"] not in set(answers["calibration_version"].to_pylist())
    assert unseen(classifier).scorer.fitted is None


def test_a_text_scores_alike_alone_and_in_any_block() -> None:
    random = np.random.default_rng(4)
    voter = VectorVoter(
        random.normal(size=(300, 384)).astype(np.float32), np.zeros(300, np.float32), np.arange(300, dtype=np.int64)
    )
    vectors = random.normal(size=(70, 384)).astype(np.float32)
    together = voter.scores(vectors)
    alone = np.concatenate([voter.scores(vectors[i : i + 1]) for i in range(70)], axis=1)
    assert np.array_equal(together, alone)
