from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from taxomind_assets.classification.calibration import Calibration, noise_texts
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.classification.self_calibration import hold_out, nowhere_energy, own_calibration, own_temperature
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex, unit_rows
from taxomind_resources.crosslingual.lazy import open_student
from taxomind_resources.embedding import Embedder

Indexes = Callable[..., NodeIndex]
DIMENSIONS = 32


def wide_tree(leaves: int, examples: int = 4) -> Taxonomy:
    """Leaves in groups of ten, with examples that share a word with their leaf."""
    nodes = [Node(f"g{i}", None, 1, (NodeText("en", f"group{i}"),)) for i in range((leaves + 9) // 10)]
    for i in range(leaves):
        own = tuple(f"word{i} extra{i}x{j}" for j in range(examples))
        nodes.append(Node(f"l{i}", f"g{i // 10}", 2, (NodeText("en", f"word{i}", "", own),)))
    return Taxonomy.build("wide", nodes)


def embed(texts: Sequence[str]) -> np.ndarray:
    """A small deterministic encoder: texts with the same first word are near each other."""

    def noise(text: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(text.encode())).normal(size=DIMENSIONS)

    rows = [noise(text.split()[0]) + 0.5 * noise(text) for text in texts]
    return unit_rows(np.array(rows, np.float32).reshape(-1, DIMENSIONS))


@pytest.fixture(scope="session")
def wide_index(random_index: Indexes) -> Callable[..., NodeIndex]:
    def make(leaves: int, examples: int = 4) -> NodeIndex:
        index = random_index(wide_tree(leaves, examples), DIMENSIONS)
        return replace(index, vectors=embed([text.text for text in index.texts]))

    return make


def test_one_example_of_each_leaf_with_several_is_held_out() -> None:
    tree = wide_tree(12, examples=3)
    held = hold_out(tree, frozenset({"en"}))
    assert held.nodes.tolist() == np.flatnonzero(tree.is_leaf).tolist()
    for node, text in zip(held.nodes.tolist(), held.texts, strict=True):
        assert text == tree.nodes[node].texts[0].examples[-1]
        assert held.rest.nodes[node].texts[0].examples == tree.nodes[node].texts[0].examples[:-1]
    assert held.rest.codes == tree.codes


@pytest.mark.parametrize(("examples", "languages"), [(2, {"en"}), (4, {"de"}), (4, set())])
def test_too_few_examples_or_another_language_hold_nothing_out(examples: int, languages: set[str]) -> None:
    held = hold_out(wide_tree(12, examples), frozenset(languages))
    assert held.texts == []
    assert held.rest.nodes == wide_tree(12, examples).nodes


def test_later_rounds_hold_out_other_examples() -> None:
    tree = wide_tree(12, examples=4)
    rounds = [hold_out(tree, frozenset({"en"}), place) for place in (1, 2, 3, 4, 5)]
    assert [len(held.texts) for held in rounds] == [12, 12, 12, 12, 0]
    own = [held.texts[0] for held in rounds[:4]]
    first_leaf = tree.nodes[int(rounds[0].nodes[0])]
    assert own == list(reversed(first_leaf.texts[0].examples))
    for held, text in zip(rounds[:4], own, strict=True):
        left = held.rest.nodes[int(held.nodes[0])].texts[0].examples
        assert left == tuple(example for example in first_leaf.texts[0].examples if example != text)


def test_the_temperature_is_one_without_examples_to_hold_out(wide_index: Indexes) -> None:
    assert own_temperature(wide_index(150, examples=2), frozenset({"en"}), 1.0, embed) == 1.0
    assert own_temperature(wide_index(150), frozenset({"de"}), 1.0, embed) == 1.0


@pytest.mark.parametrize("trusted", [0.0, 1.0])
@pytest.mark.parametrize("leaves", [25, 120])
def test_the_temperature_lies_between_the_prior_and_the_best(wide_index: Indexes, trusted: float, leaves: int) -> None:
    index = wide_index(leaves)
    found = own_temperature(index, frozenset({"en"}), trusted, embed)
    assert 0.1 <= found <= 5.0
    candidates = np.geomspace(0.1, 5, 60)
    best = candidates[int(np.argmin([_surprise(index, temperature, trusted) for temperature in candidates]))]
    low, high = sorted((1.0, best))
    assert low * 0.85 <= found <= high * 1.15


def _surprise(index: NodeIndex, temperature: float, trusted: float) -> float:
    """Mean log loss of the examples held out, all rounds together."""
    losses: list[float] = []
    for place in range(1, 5):
        held = hold_out(index.tree, frozenset({"en"}), place)
        gone = set(held.texts)
        rows = [i for i, text in enumerate(index.texts) if text.text not in gone]
        rest = replace(index, tree=held.rest, texts=tuple(index.texts[i] for i in rows), vectors=index.vectors[rows])
        scorer = Scorer(rest)
        logits = scorer.logits(scorer.query(embed(held.texts), held.texts, np.full(len(held.texts), trusted, np.float32)))
        scaled = np.where(index.tree.is_leaf[:, None], logits, -np.inf) / temperature
        scaled = scaled - scaled.max(axis=0)
        losses += (np.log(np.exp(scaled).sum(axis=0)) - scaled[held.nodes, np.arange(len(held.texts))]).tolist()
        if len(losses) >= 100:
            break
    return float(np.mean(losses))


def test_a_hopeless_encoder_gets_the_highest_temperature(wide_index: Indexes) -> None:
    index = wide_index(120)
    shuffled = replace(index, vectors=np.roll(index.vectors, 97, axis=0))
    assert own_temperature(shuffled, frozenset({"en"}), 1.0, embed) > own_temperature(index, frozenset({"en"}), 1.0, embed)


def test_a_taxonomy_with_few_leaves_has_no_test_for_nowhere(wide_index: Indexes) -> None:
    assert nowhere_energy(wide_index(19), Calibration(), embed) is None
    assert nowhere_energy(wide_index(20), Calibration(), embed) is not None


def test_most_noise_lies_under_the_energy_of_nowhere_unless_labels_do_as_well(wide_index: Indexes) -> None:
    index = wide_index(60)
    energies = nowhere_energy(index, Calibration(), embed)
    assert energies is not None
    assert all(np.isfinite(energies))
    calibrated = own_calibration(index, embed)
    assert calibrated.nowhere_energy is not None
    assert calibrated.temperature[0] == 1.0  # no language that is not trusted
    assert 0.1 <= calibrated.temperature[1] <= 5.0
    assert not calibrated.proven


def test_held_out_examples_leave_the_index_for_good(occupations: NodeIndex, embedder: Embedder) -> None:
    own = occupations.calibration
    assert all(0.1 <= value <= 5.0 for value in own.temperature)
    again = own_calibration(occupations, lambda texts: embedder.embed(texts, "query"), open_student("shipped", embedder.spec))
    assert again.temperature == pytest.approx(own.temperature, abs=0.02)
    assert again.nowhere_energy == pytest.approx(own.nowhere_energy, abs=0.05)


@pytest.mark.slow
def test_noise_gets_no_answer_on_the_whole_of_isco08(
    isco08: Taxonomy, index_of: Callable[[Taxonomy], NodeIndex], classifier_of: Callable[..., Classifier]
) -> None:
    classifier = classifier_of(index_of(isco08))
    found = classifier.classify(noise_texts())
    assert found["code"].null_count >= 0.95 * found.num_rows
    real = classifier.classify([isco08.nodes[leaf].label for leaf in np.flatnonzero(isco08.is_leaf)])
    assert real["stop_reason"].to_pylist().count("belongs_nowhere") <= 0.02 * real.num_rows
    assert all(0.2 <= value <= 1.5 for value in classifier.calibration.temperature)
