from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taxomind_assets.classification import word_voter
from taxomind_assets.classification.training_rows import TrainingRows
from taxomind_assets.classification.voter_features import Described, VoterFeatures
from taxomind_assets.classification.word_voter import WordVoter, _others, training_cost
from taxomind_assets.views.index import unit_rows
from taxomind_assets.views.lexical import CountedTexts

WORDS = {3: "apple pear plum cherry", 5: "hammer nail saw drill", 9: "trumpet flute violin drum"}


def rows_of(each: int) -> TrainingRows:
    """`each` texts of two words for each of three nodes, and vectors that say nothing."""
    rng = np.random.default_rng(0)
    texts, nodes = [], []
    for node, words in WORDS.items():
        for _ in range(each):
            texts.append(" ".join(rng.choice(words.split(), 2)))
            nodes.append(node)
    vectors = unit_rows(rng.normal(size=(len(texts), 128)).astype(np.float32))
    return TrainingRows(tuple(texts), np.array(nodes), vectors, np.ones(len(texts), np.bool_))


def described(rows: TrainingRows) -> tuple[VoterFeatures, Described]:
    features = VoterFeatures.of(CountedTexts(rows.texts), rows.vectors)
    return features, features(CountedTexts(rows.texts), rows.vectors)


@pytest.mark.parametrize("seen", [1_000, 6])
def test_texts_of_nodes_are_told_apart_by_all_others_or_by_the_nearest(seen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_voter, "_NEAREST", seen)
    monkeypatch.setattr(word_voter, "_DRAWN", seen // 2)
    monkeypatch.setattr(word_voter, "_FOR_EACH", 0)
    rows = rows_of(20)
    features, own = described(rows)
    voter = WordVoter.fit(own, rows.nodes)
    assert voter is not None
    assert voter.nodes.tolist() == [3, 5, 9]
    texts = CountedTexts(["a cherry and an apple", "nail or drill", "the violin, the flute"])
    margins = voter.margins(features(texts, rows.vectors[:3]))
    assert voter.nodes[margins.argmax(axis=0)].tolist() == [3, 5, 9]


def test_where_a_machine_sees_everything_it_is_one_against_the_rest() -> None:
    from sklearn.svm import LinearSVC

    rows = rows_of(10)
    _, own = described(rows)
    voter = WordVoter.fit(own, rows.nodes)
    assert voter is not None
    machine = LinearSVC(tol=1e-6, max_iter=10_000, random_state=0).fit(own.stacked, rows.nodes)
    exact = machine.decision_function(own.stacked).T
    assert np.corrcoef(voter.margins(own).ravel(), exact.ravel())[0, 1] > 0.98


def test_a_single_node_needs_no_machine() -> None:
    rows = rows_of(4)
    one = TrainingRows(rows.texts[:4], rows.nodes[:4], rows.vectors[:4], rows.corrected[:4])
    assert WordVoter.fit(described(one)[1], one.nodes) is None


def test_what_is_stored_answers_alike() -> None:
    rows = rows_of(10)
    _, own = described(rows)
    voter = WordVoter.fit(own, rows.nodes)
    assert voter is not None
    again = WordVoter.from_arrays(voter.to_arrays())
    np.testing.assert_array_equal(again.margins(own), voter.margins(own))
    np.testing.assert_array_equal(again.nodes, voter.nodes)


@given(arrays(np.float32, 200, elements=st.integers(0, 20).map(float)), st.sets(st.integers(0, 199), min_size=1, max_size=30))
def test_a_machine_sees_the_nearest_and_some_others_but_never_its_own(similar: np.ndarray, own: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_voter, "_NEAREST", 20)
        patch.setattr(word_voter, "_DRAWN", 10)
        nearest, drawn = word_voter._seen(len(own))
        rows = np.array(sorted(own))
        seen = _others(similar, rows, 7)
        assert seen.tolist() == _others(similar, rows, 7).tolist()
    assert len(set(seen.tolist())) == seen.size == min(200 - len(own), nearest + drawn)
    assert not own & set(seen.tolist())
    left = [similar[i] for i in range(200) if i not in own and i not in set(seen.tolist())]
    # What is left out is no nearer than the least near of the nearest.
    assert not left or max(left) <= np.sort(similar[seen])[::-1][nearest - 1]


def test_with_many_nodes_a_machine_sees_a_part_of_the_texts() -> None:
    nodes = np.repeat(np.arange(200), 40)
    texts = tuple(f"word{node} and {i}" for i, node in enumerate(nodes.tolist()))
    rows = TrainingRows(texts, nodes, np.zeros((nodes.size, 4), np.float32), np.ones(nodes.size, np.bool_))
    numbers = CountedTexts(texts).characters.nnz + CountedTexts(texts).words.nnz
    assert 0.1 < training_cost(rows) / (200 * numbers) < 0.25  # 1,540 of 8,000
