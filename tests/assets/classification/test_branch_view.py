from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taxomind_assets.classification.branch_view import BranchView, branched_index
from taxomind_assets.classification.branch_voter import BRANCHES
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.taxonomy.tree import ROOT, Node, NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.embedding import Embedder
from taxomind_resources.faults import Fault


def branches(index: NodeIndex, embedder: Embedder, texts: list[str], trusted: float = 1.0) -> np.ndarray:
    scorer = Scorer(index)
    query = scorer.query(embedder.embed(texts, "query"), texts, np.full(len(texts), trusted, np.float32))
    return scorer.features(query)[BRANCHES].dense(len(index.tree))


def test_an_index_knows_the_branch_of_a_text(occupations: NodeIndex, embedder: Embedder) -> None:
    texts = ["lawyer in court", "cook in a restaurant", "writes software", "looks after small children"]
    found = branches(occupations, embedder, texts)
    tree = occupations.tree
    tops = tree.children_of(ROOT)
    assert [tree.codes[tops[place]] for place in found[tops].argmax(axis=0)] == ["2", "5", "2", "5"]


def test_an_index_is_stored_with_its_branches(occupations: NodeIndex, tmp_path: Path) -> None:
    assert occupations.branches is not None
    occupations.save(tmp_path)
    again = NodeIndex.load(tmp_path)
    assert again.branches is not None
    assert again.branches.version == occupations.branches.version


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_damaged_branches_are_a_damaged_index(occupations: NodeIndex, tmp_path: Path, damage: bytes | None) -> None:
    occupations.save(tmp_path)
    file = tmp_path / "branches.npz"
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    with pytest.raises(Fault) as fault:
        NodeIndex.load(tmp_path)
    assert fault.value.code == "storage_failed"


def test_a_flat_taxonomy_has_none(index_of: Callable[[Taxonomy], NodeIndex]) -> None:
    nodes = [Node(code, None, 1, (NodeText("en", label),)) for code, label in (("a", "Sport"), ("b", "Business"))]
    index = index_of(Taxonomy.build("flat", nodes))
    assert index.branches is None
    assert BRANCHES not in {name for view in Scorer(index).further for name in view.agreement}


def test_a_taxonomy_that_the_encoder_does_not_read_has_none(occupations: NodeIndex) -> None:
    assert BranchView.of(replace(occupations, trusted_languages=frozenset())) is None


def test_the_vector_of_a_text_that_the_encoder_does_not_read_is_not_read(
    occupations: NodeIndex, embedder: Embedder, classifier_of: Callable[..., Classifier]
) -> None:
    text = ["Rechtsanwalt"]
    scorer = classifier_of(occupations).scorer
    nothing = np.zeros((1, occupations.vectors.shape[1]), np.float32)
    assert not scorer.reads_untrusted_vectors
    no_trust = np.zeros(1, np.float32)
    alone, beside = (scorer.logits(scorer.query(v, text, no_trust)) for v in (nothing, embedder.embed(text, "query")))
    assert occupations.branches is not None
    np.testing.assert_array_equal(alone, beside)


def test_what_learns_from_corrections_takes_its_place(occupations: NodeIndex) -> None:
    class Other:
        weights = BranchView.weights
        agreement = BranchView.agreement
        bounds = BranchView.bounds
        version = "1"

    other = Other()
    views = Scorer(occupations, added=[other]).further  # type: ignore[list-item]
    assert [view for view in views if BRANCHES in view.agreement] == [other]


def test_a_further_node_walks_where_its_parent_does(occupations: NodeIndex) -> None:
    view, tree = occupations.branches, occupations.tree
    assert view is not None
    nodes = [*tree.nodes, Node("2619x", "261", 4, (NodeText("en", "Legal novelty"),))]
    grown = Taxonomy.build("occupations", nodes)
    origin = np.array([tree.position.get(node.code, tree.position["261"]) for node in grown.nodes])
    moved = view.grown(origin)
    assert moved.voter.nearest[grown.position["2619x"]] == view.voter.nearest[tree.position["261"]]
    assert moved.voter.nearest[grown.position["5120"]] == view.voter.nearest[tree.position["5120"]]


def test_equal_texts_make_equal_branches(occupations: NodeIndex) -> None:
    again = branched_index(occupations)
    assert again.branches is not None
    assert occupations.branches is not None
    assert again.branches.version == occupations.branches.version
