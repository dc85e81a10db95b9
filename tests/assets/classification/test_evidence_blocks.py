"""Evidence that grows: however corrections come, the arrangement is that of all of them at once, up to rounding."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification import evidence_blocks, evidence_words
from taxomind_assets.classification.evidence_blocks import block_starts
from taxomind_assets.classification.evidence_rows import EvidenceRows
from taxomind_assets.classification.evidence_view import EvidenceView
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.views.index import unit_rows

WORDS = ["till", "operator", "of", "the", "shop", "nurse", "in", "a", "ward", "tax", "law", "school"]
QUERIES = ["till operator", "a nurse in the ward", "tax law of the school", "xyz"]
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)


@pytest.fixture(scope="module")
def scorer(tree_of, random_index):
    return Scorer(random_index(tree_of([0, 1, 1, 2, 0, 5, 5, 3])))


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Blocks and pending rows so small that a few corrections fill and join them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_blocks, "SMALLEST_BLOCK", 3)
        patch.setattr("taxomind_assets.classification.evidence_view.SMALLEST_BLOCK", 3)
        patch.setattr(evidence_words, "_PENDING", 4)
        yield


def vectors_of(texts, dimensions):
    rows = [np.random.default_rng(sum(map(ord, text))).normal(size=dimensions) for text in texts]
    return unit_rows(np.array(rows, np.float32).reshape(len(texts), dimensions))


def features(scorer, view):
    vectors = vectors_of(QUERIES, scorer.index.vectors.shape[1])
    query = scorer.query(vectors, QUERIES)
    found = scorer.with_evidence(view).features(query)
    return {name: block.dense(len(scorer.tree)) for name, block in found.items() if name.startswith("evidence_")}


@settings(max_examples=60, deadline=None)
@given(
    told=st.lists(st.tuples(TEXT, st.sampled_from(["n0", "n1", "n2", "n3", "n6", "n7"])), min_size=1, max_size=40),
    steps=st.lists(st.integers(1, 6), min_size=40, max_size=40),
    first=st.integers(0, 10),
    asked=st.booleans(),
)
def test_learning_in_steps_is_learning_at_once(scorer, told, steps, first, asked):
    dimensions = scorer.index.vectors.shape[1]
    texts, codes = zip(*told, strict=True)
    vectors = vectors_of(texts, dimensions)
    whole = EvidenceView(scorer.base, EvidenceRows.of(Evidence.of(texts, codes, vectors), scorer.tree.position))
    done = min(first, len(told))
    start = Evidence.of(texts[:done], codes[:done], vectors[:done])
    grown = EvidenceView(scorer.base, EvidenceRows.of(start, scorer.tree.position))
    for step in steps:
        if asked and done:  # n-grams are counted when they are first asked for, and carried on from then
            features(scorer, grown)
        part = slice(done, min(done + step, len(told)))
        if part.start < part.stop:
            grown = grown.with_more(texts[part], codes[part], vectors[part])
        done = part.stop
    assert grown.version == whole.version
    expected = features(scorer, whole)
    for name, values in features(scorer, grown).items():
        np.testing.assert_allclose(values, expected[name], atol=2e-5, err_msg=name)


def test_branches_of_the_same_evidence_do_not_see_each_other(scorer):
    position, dimensions = scorer.tree.position, scorer.index.vectors.shape[1]

    def rows(view, texts):
        return view.with_more(texts, ["n1"] * len(texts), vectors_of(texts, dimensions))

    stem = rows(EvidenceView(scorer.base, EvidenceRows.of(Evidence.none(dimensions), position)), ["till", "shop"])
    left, right = rows(stem, ["nurse"]), rows(stem, ["ward"])
    assert left.rows.texts == ("till", "shop", "nurse")
    assert right.rows.texts == ("till", "shop", "ward")
    assert right.rows.rows_of("nurse") == stem.rows.rows_of("nurse") == ()
    assert left.rows.rows_of("NURSE") == (2,)
    assert left.version != right.version


@given(st.lists(st.integers(1, 9), min_size=1, max_size=200))
def test_blocks_are_few_and_cover_all_rows(steps):
    starts, size, arranged = [], 0, 0
    for step in steps:
        before = list(starts)
        if starts and size - starts[-1] >= evidence_blocks.SMALLEST_BLOCK:
            before.append(size)
        size += step
        starts = block_starts(before, size)
        arranged += size - starts[-1]
        lengths = np.diff([*starts, size])
        assert starts[0] == 0
        assert (lengths > 0).all()
        assert all(a >= 2 * b for a, b in pairwise(lengths) if b >= evidence_blocks.SMALLEST_BLOCK)
    assert len(starts) <= np.log2(size) + 2
    # Each row is arranged anew a few times by its small block, and once more whenever its block at least grows by half.
    assert arranged <= size * (np.log(size + 1) / np.log(1.5) + 9)
