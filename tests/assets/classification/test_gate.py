"""A gate learns from labelled texts where paths should end, and says so when there are too few of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.classification.calibration import Calibration, Masses, masses
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.fitting import fit
from taxomind_assets.classification.gate import (
    FEATURES,
    FEWEST_STOPS,
    FEWEST_TEXTS,
    decide_by_gate,
    fit_gate,
    step_features,
    stop_by_gate,
)
from taxomind_assets.classification.label_calibration import LabelledLogits
from taxomind_assets.classification.own_labels import described
from taxomind_assets.classification.routing import Route, route
from taxomind_assets.classification.stopping import stop_by_mass
from taxomind_assets.taxonomy.tree import ROOT, Node, NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex

Trees = Callable[..., Taxonomy]
Classifiers = Callable[..., Classifier]
NUMBERS = st.lists(st.integers(0, 1000), min_size=1, max_size=25)
SEEDS = st.integers(0, 99)
PLAIN = Calibration()
TEXT = "two words"


@pytest.fixture(scope="module")
def tree() -> Taxonomy:
    """Three levels: 3 top nodes with 3 children each, which have 3 leaves each."""
    codes = [a + b + c for a in "123" for b in ["", *"123"] for c in (["", *"123"] if b else [""])]
    return Taxonomy.build("k", [Node(code, code[:-1] or None, len(code), (NodeText("en", code),)) for code in codes])


def known_at(tree: Taxonomy, depth: int, size: int, seed: int = 0) -> LabelledLogits:
    """Texts with one clear leaf each, whose known node lies `depth` nodes down the path to it."""
    leaves = np.random.default_rng(seed).choice(np.flatnonzero(tree.is_leaf), size)
    logits = np.random.default_rng(seed + 1).normal(0, 1, (len(tree), size)).astype(np.float32)
    logits[leaves, np.arange(size)] += 8
    return LabelledLogits(logits, np.ones(size, np.float32), tree.paths[leaves][:, depth - 1 : depth].tolist())


def scored(tree: Taxonomy, labelled: LabelledLogits, calibration: Calibration = PLAIN) -> tuple[Masses, Route]:
    mass = masses(tree, labelled.logits.copy(), calibration, labelled.trusted)
    return mass, route(tree, mass, 5)


@pytest.mark.parametrize("depth", [1, 2])
def test_the_gate_learns_at_which_level_texts_stop(tree: Taxonomy, depth: int) -> None:
    gate = fit_gate(tree, known_at(tree, depth, 200), [TEXT] * 200, PLAIN)
    assert gate is not None
    unseen = known_at(tree, depth, 100, seed=7)
    mass, found = scored(tree, unseen)
    decisions = stop_by_gate(tree, mass, found, [TEXT] * 100, gate)
    assert decisions.nodes.tolist() == [nodes[0] for nodes in unseen.gold]
    assert set(decisions.reasons) == {"gate_closed"}
    assert decisions.ambiguous.all()
    assert (stop_by_mass(tree, mass, found, 0.5).nodes != decisions.nodes).mean() > 0.9


def test_the_gate_learns_from_the_length_of_the_text(tree: Taxonomy) -> None:
    """Short texts are known at the top only, long ones at their leaf; nothing else tells them apart."""
    short, long = known_at(tree, 1, 100), known_at(tree, 3, 100)
    both = LabelledLogits(
        np.concatenate([short.logits, long.logits], axis=1), np.ones(200, np.float32), [*short.gold, *long.gold]
    )
    texts = ["cook"] * 100 + ["cook of a large hotel with a team"] * 100
    gate = fit_gate(tree, both, texts, PLAIN)
    assert gate is not None
    mass, found = scored(tree, both)
    decisions = stop_by_gate(tree, mass, found, texts, gate)
    depths = tree.depths[decisions.nodes]
    assert (depths[:100] == 1).mean() > 0.95
    assert (depths[100:] == 3).mean() > 0.95
    assert set(decisions.reasons[100:][depths[100:] == 3]) == {"leaf_node_reached"}


def test_the_gate_learns_where_paths_go_astray(tree: Taxonomy) -> None:
    """Known nodes are leaves, but the best leaf of unclear texts is a guess: a path then ends where it would leave the way."""
    rng = np.random.default_rng(3)
    size, leaves = 300, np.flatnonzero(tree.is_leaf)
    labelled = known_at(tree, 3, size, seed=3)
    unclear = np.arange(size) < size // 2
    labelled.logits[np.ix_(leaves, unclear)] = rng.normal(0, 0.1, (leaves.size, unclear.sum()))
    gate = fit_gate(tree, labelled, [TEXT] * size, PLAIN)
    assert gate is not None
    mass, found = scored(tree, labelled)
    nodes = stop_by_gate(tree, mass, found, [TEXT] * size, gate).nodes
    assert (nodes[unclear] == ROOT).mean() > 0.9
    assert tree.is_leaf[nodes[~unclear]].mean() > 0.9


def test_the_deepest_of_several_known_nodes_counts(tree: Taxonomy) -> None:
    deep = known_at(tree, 2, 200)
    both = replace(deep, gold=[[int(tree.parents[nodes[0]]), *nodes] for nodes in deep.gold])
    assert fit_gate(tree, both, [TEXT] * 200, PLAIN) == fit_gate(tree, deep, [TEXT] * 200, PLAIN)


def test_too_few_texts_make_no_gate(tree: Taxonomy) -> None:
    for size, made in ((FEWEST_TEXTS - 1, False), (FEWEST_TEXTS, True)):
        assert (fit_gate(tree, known_at(tree, 2, size), [TEXT] * size, PLAIN) is not None) == made


def test_too_few_stops_make_no_gate(tree: Taxonomy) -> None:
    labelled = known_at(tree, 3, 100)
    for stops, made in ((FEWEST_STOPS - 1, False), (FEWEST_STOPS, True)):
        gold = [[int(tree.parents[nodes[0]])] if i < stops else nodes for i, nodes in enumerate(labelled.gold)]
        assert (fit_gate(tree, replace(labelled, gold=gold), [TEXT] * 100, PLAIN) is not None) == made


def test_steps_that_all_are_stops_make_no_gate(tree_of: Trees) -> None:
    flat = tree_of([0] * 4)  # four top nodes; every text is known at another than its best
    logits = np.zeros((4, 60), np.float32)
    logits[0] = 9
    assert fit_gate(flat, LabelledLogits(logits, np.ones(60, np.float32), [[1]] * 60), [TEXT] * 60, PLAIN) is None


@given(numbers=NUMBERS, seed=SEEDS, texts=st.integers(1, 4))
def test_features_are_those_of_each_step(tree_of: Trees, numbers: list[int], seed: int, texts: int) -> None:
    tree = tree_of(numbers)
    logits = np.random.default_rng(seed).normal(0, 4, (len(tree), texts)).astype(np.float32)
    mass = masses(tree, logits, Calibration(nowhere_energy=(0.0, 2.0)), np.ones(texts, np.float32))
    found = route(tree, mass, 5)
    features = step_features(tree, mass, found, ["w " * i for i in range(texts)])
    assert features.shape == (texts, tree.depth, len(FEATURES))
    matrix = mass.matrix()
    for text in range(texts):
        parent = ROOT
        for step, node in enumerate(found.path[text].tolist()):
            if node == ROOT:
                assert not features[text, step].any()
                continue
            children = tree.children_of(parent)
            values = matrix[text][children]
            above = mass.belongs[text] if parent == ROOT else matrix[text, parent]
            other = max(matrix[text][children[children != node]], default=0)
            level = 0 if parent == ROOT else tree.levels[parent]
            best = matrix[text, node]
            expected = [above, best, other, best - other, above - best, values.max() - values.min(), level]
            assert features[text, step, :7] == pytest.approx(expected, abs=1e-6)
            assert np.expm1(features[text, step, 7:]) == pytest.approx([children.size, text], abs=1e-4)
            parent = node


@given(
    numbers=NUMBERS,
    seed=SEEDS,
    gate=st.lists(st.floats(-3, 3), min_size=len(FEATURES) + 1, max_size=len(FEATURES) + 1),
    limit=st.none() | st.integers(1, 6),
)
def test_an_answer_never_lies_below_a_step_that_the_gate_refused(
    tree_of: Trees, numbers: list[int], seed: int, gate: list[float], limit: int | None
) -> None:
    tree = tree_of(numbers)
    logits = np.random.default_rng(seed).normal(0, 4, (len(tree), 4)).astype(np.float32)
    mass = masses(tree, logits, PLAIN, np.ones(4, np.float32))
    found = route(tree, mass, 5)
    chances = 1 / (1 + np.exp(-(step_features(tree, mass, found, [TEXT] * 4) @ np.array(gate[1:]) + gate[0])))
    decisions = stop_by_gate(tree, mass, found, [TEXT] * 4, tuple(gate), max_depth=limit)
    for text, node in enumerate(decisions.nodes.tolist()):
        depth = 0 if node == ROOT else int(tree.depths[node])
        path = [n for n in found.path[text].tolist() if n != ROOT]
        assert path[:depth] == ([] if node == ROOT else [n for n in tree.paths[node].tolist() if n != ROOT])
        assert (chances[text, :depth] >= 0.5 - 1e-9).all()
        if depth < len(path) and decisions.reasons[text] != "max_depth_reached":
            assert chances[text, depth] < 0.5 + 1e-9
        assert limit is None or node == ROOT or tree.levels[node] <= limit


def test_a_text_that_belongs_nowhere_gets_no_answer_whatever_the_gate_says(tree: Taxonomy) -> None:
    mass, found = scored(tree, known_at(tree, 3, 5), Calibration(nowhere_energy=(1e3, 1e3)))
    decisions = stop_by_gate(tree, mass, found, [TEXT] * 5, (9.0, *[0.0] * len(FEATURES)))
    assert decisions.nodes.tolist() == [ROOT] * 5
    assert set(decisions.reasons) == {"belongs_nowhere"}


def test_without_a_gate_the_threshold_decides_and_the_reason_says_so(tree: Taxonomy) -> None:
    mass, found = scored(tree, known_at(tree, 3, 20))
    by_mass = stop_by_mass(tree, mass, found, 0.95)
    stood_in = decide_by_gate(tree, mass, found, [TEXT] * 20, calibration=PLAIN, threshold=0.95)
    assert stood_in.nodes.tolist() == by_mass.nodes.tolist()
    assert stood_in.reasons.tolist() == [f"{reason}|no_gate" for reason in by_mass.reasons]
    nowhere, lost = scored(tree, known_at(tree, 3, 2), Calibration(nowhere_energy=(1e3, 1e3)))
    unmarked = decide_by_gate(tree, nowhere, lost, [TEXT] * 2, calibration=PLAIN, threshold=0.95)
    assert unmarked.reasons.tolist() == ["belongs_nowhere"] * 2


def test_no_texts_have_no_answers(tree: Taxonomy) -> None:
    mass, found = scored(tree, known_at(tree, 3, 0))
    assert stop_by_gate(tree, mass, found, [], (0.0, *[1.0] * len(FEATURES))).nodes.shape == (0,)


def test_a_gate_is_kept_with_the_calibration_and_changes_its_version(tree: Taxonomy) -> None:
    gate = fit_gate(tree, known_at(tree, 2, 100), [TEXT] * 100, PLAIN)
    assert gate is not None
    assert {type(number) for number in gate} == {float}
    kept = replace(PLAIN, gate=gate)
    assert Calibration.from_json(json.loads(json.dumps(kept.to_json()))) == kept
    assert Calibration.from_text(kept.to_text()).gate == gate
    assert len({PLAIN.version, kept.version, replace(kept, gate=(gate[0] + 1e-9, *gate[1:])).version}) == 3
    former = {name: value for name, value in PLAIN.to_json().items() if name != "gate"}
    assert Calibration.from_json(former) == PLAIN


class TestServed:
    """The gate behind the classifier, fitted on texts of a real taxonomy."""

    @pytest.fixture(scope="class")
    def classifier(self, occupations: NodeIndex, classifier_of: Classifiers) -> Classifier:
        return classifier_of(occupations, routing={"stop_rule": "gate"})

    @pytest.fixture(scope="class")
    def gated(self, classifier: Classifier) -> Classifier:
        """Examples of leaves as texts that are known only two nodes down."""
        tree = classifier.tree
        texts, codes = [], []
        for place in np.flatnonzero(tree.is_leaf).tolist():
            for example in tree.nodes[place].texts[0].examples:
                texts.append(f"experienced {example}")
                codes.append([tree.path_codes(place)[:2][-1]])
        fitted = fit(classifier, texts, codes)
        assert fitted is not None
        made = fitted.calibration
        assert made.gate is not None
        assert "have fitted the stop rule `gate`" in described(made, len(texts))
        return classifier.with_calibration(made)

    def test_answers_end_where_labels_do(self, gated: Classifier) -> None:
        rows = gated.classify(
            ["primary school teacher", "lawyer in a law firm", "pizza cook", "software developer"]
        ).to_pylist()
        assert max(row["level"] for row in rows) == 2
        assert {"gate_closed"} <= {row["stop_reason"] for row in rows}

    def test_a_text_is_answered_alike_alone_and_in_a_batch(self, gated: Classifier) -> None:
        texts = ["primary school teacher", "lawyer", "asdf qwer", "judge at a court", ""]
        alone = [gated.classify([text]).to_pylist()[0] for text in texts]
        together = gated.classify(texts).to_pylist()
        for name in ("code", "stop_reason", "path"):
            assert [row[name] for row in alone] == [row[name] for row in together]

    def test_without_labels_the_threshold_serves(self, classifier: Classifier, classifier_of: Classifiers) -> None:
        texts = ["primary school teacher", "manager", "asdf qwer"]
        by_mass = classifier_of(classifier.index).classify(texts)
        found = classifier.classify(texts)
        assert found["code"].equals(by_mass["code"])
        assert any(reason.endswith("|no_gate") for reason in found["stop_reason"].to_pylist())
        assert "too few stops" in described(classifier.calibration, 60)
