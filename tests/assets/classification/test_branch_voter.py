from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from taxomind_assets.classification import branch_voter
from taxomind_assets.classification.branch_voter import BranchVoter
from taxomind_assets.classification.linear_machines import train
from taxomind_assets.classification.voter_features import Described, VoterFeatures
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.index import unit_rows
from taxomind_assets.views.lexical import CountedTexts

#: Food and tools, each with two groups of two leaves; a third top node is a leaf.
LEAVES = {
    "111": "apple pear fruit",
    "112": "plum cherry fruit",
    "121": "bread roll bakery",
    "122": "cake tart bakery",
    "211": "hammer mallet hand tool",
    "212": "saw blade hand tool",
    "221": "drill motor machine",
    "222": "lathe motor machine",
    "3": "violin flute music",
}


def tree_of(*codes: str) -> Taxonomy:
    """Each code below its own beginning."""
    return Taxonomy.build("t", [Node(code, code[:-1] or None, len(code), (NodeText("en", code),)) for code in codes])


@pytest.fixture(scope="module")
def tree() -> Taxonomy:
    return tree_of("1", "11", "111", "112", "12", "121", "122", "2", "21", "211", "212", "22", "221", "222", "3")


def described(texts: list[str], known: VoterFeatures | None = None) -> tuple[VoterFeatures, Described]:
    vectors = unit_rows(np.random.default_rng(len(texts)).normal(size=(len(texts), 40)).astype(np.float32)) / 100
    features = known or VoterFeatures.of(CountedTexts(texts), vectors)
    return features, features(CountedTexts(texts), vectors)


def features_of(voter: BranchVoter, texts: Described) -> np.ndarray:
    """float32[n, b]."""
    return voter.block(texts).dense(voter.nearest.size)


def rows(tree: Taxonomy, each: int = 12) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words.split(), 2)) for words in LEAVES.values() for _ in range(each)]
    return texts, np.repeat([tree.position[code] for code in LEAVES], each)


@pytest.fixture(scope="module")
def trained(tree: Taxonomy) -> tuple[VoterFeatures, BranchVoter]:
    texts, owners = rows(tree)
    features, own = described(texts)
    voter = BranchVoter.fit(own, owners, tree)
    assert voter is not None
    return features, voter


def test_only_branches_have_machines(trained: tuple[VoterFeatures, BranchVoter], tree: Taxonomy) -> None:
    _, voter = trained
    # 1, 2 and the leaf beside them, then the groups of 1 and of 2; the leaves of a group are left to the other views.
    assert voter.ends.tolist() == [3, 5, 7]
    assert voter.machines.intercepts.size == 7
    assert voter.nearest[tree.position["111"]] == voter.nearest[tree.position["11"]] >= 3
    assert voter.nearest[tree.position["3"]] < 3


def test_a_text_walks_to_its_branch(trained: tuple[VoterFeatures, BranchVoter], tree: Taxonomy) -> None:
    features, voter = trained
    found = features_of(
        voter, described(["cherry and pear", "hand saw", "a bakery with tart", "motor of a machine", "flute"], features)[1]
    )
    for column, code in enumerate(["11", "21", "12", "22", "3"]):
        own = np.where(tree.is_leaf, found[:, column], -1)
        best = np.flatnonzero(own >= own.max() - 1e-6)
        assert {tree.codes[leaf] for leaf in best.tolist()} == {leaf for leaf in LEAVES if leaf.startswith(code)}


def test_a_walk_is_never_likelier_than_its_beginning(trained: tuple[VoterFeatures, BranchVoter], tree: Taxonomy) -> None:
    features, voter = trained
    found = features_of(voter, described(["apple", "motor", "music of a hand saw", "nothing known"], features)[1])
    below = np.flatnonzero(tree.parents >= 0)
    assert (found[below] <= found[tree.parents[below]] + 1e-6).all()
    assert (found.max(axis=0) - found.min(axis=0) <= 1 + 1e-6).all()


def test_chances_of_all_walks_add_up_to_one(trained: tuple[VoterFeatures, BranchVoter], tree: Taxonomy) -> None:
    features, voter = trained
    texts = described(["hand tool", "roll", "violin"], features)[1]
    chances = np.exp(voter._chances(texts))
    np.testing.assert_allclose(chances[voter.ends[0] - 3 : voter.ends[0]].sum(axis=0), 1, atol=1e-4)
    ends = {int(voter.nearest[leaf]) for leaf in np.flatnonzero(tree.is_leaf)}
    np.testing.assert_allclose(chances[sorted(ends)].sum(axis=0), 1, atol=1e-4)
    # So a text's walks have a mean of nothing, however sure it is of them.
    mean = (chances[sorted(ends)] * voter.block(texts).values[sorted(ends)]).sum(axis=0)
    np.testing.assert_allclose(mean, 0, atol=1e-4)


def test_what_is_said_of_a_text_depends_on_no_other_text(trained: tuple[VoterFeatures, BranchVoter]) -> None:
    features, voter = trained
    vectors = np.zeros((3, 40), np.float32)
    texts = ["apple", "motor", "music of a hand saw"]
    together = features_of(voter, features(CountedTexts(texts), vectors))
    for column, text in enumerate(texts):
        alone = features_of(voter, features(CountedTexts([text]), vectors[:1]))
        np.testing.assert_allclose(alone[:, 0], together[:, column], atol=1e-6)


def test_a_flat_tree_and_a_single_branch_have_none() -> None:
    for tree in (tree_of("a", "b"), tree_of("1", "11", "12")):
        assert not BranchVoter.has_work(tree)
        owners = np.flatnonzero(tree.is_leaf).repeat(3)
        _, own = described([f"text {i}" for i in range(owners.size)])
        assert BranchVoter.fit(own, owners, tree) is None


def test_a_branch_without_texts_has_the_walk_of_its_parent(tree: Taxonomy) -> None:
    texts, owners = rows(tree)
    kept = [i for i, owner in enumerate(owners.tolist()) if not tree.codes[owner].startswith("22")]
    features, own = described([texts[i] for i in kept])
    voter = BranchVoter.fit(own, owners[kept], tree)
    assert voter is not None
    assert voter.nearest[tree.position["221"]] == voter.nearest[tree.position["2"]]
    assert np.isfinite(features_of(voter, described(["motor"], features)[1])).all()


def test_a_huge_tree_is_told_apart_down_to_some_level(tree: Taxonomy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branch_voter, "_MOST_BRANCHES", 6)
    texts, owners = rows(tree)
    voter = BranchVoter.fit(described(texts)[1], owners, tree)
    assert voter is not None
    assert voter.ends.tolist() == [3]
    assert voter.nearest[tree.position["111"]] == voter.nearest[tree.position["1"]]


def test_what_machines_may_look_at_bounds_the_rows(tree: Taxonomy, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, owners = rows(tree)
    features, own = described(texts)
    monkeypatch.setattr(branch_voter, "_MOST_COST", own.stacked.nnz)  # a third of the rows for three branches
    seen: list[int] = []

    def noted(data: sparse.csr_matrix, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(sides.size)
        return train(data, sides)

    monkeypatch.setattr(branch_voter, "train", noted)
    voter = BranchVoter.fit(own, owners, tree)
    assert voter is not None
    assert seen[0] == pytest.approx(len(texts) / 3, abs=1)
    best = features_of(voter, described(["music of a violin"], features)[1])[:, 0].argmax()
    assert tree.codes[best] == "3"


def test_what_is_stored_answers_alike(trained: tuple[VoterFeatures, BranchVoter]) -> None:
    features, voter = trained
    again = BranchVoter.from_arrays(voter.to_arrays())
    own = described(["apple", "hammer"], features)[1]
    np.testing.assert_array_equal(features_of(again, own), features_of(voter, own))
