"""Groups of texts that do not fit: kept when they hold together, are new, and were not rejected."""

from __future__ import annotations

import numpy as np
import pytest

from taxomind_assets.growth.misfits import Known, Misfits, cluster_rows, middle_of
from taxomind_assets.growth.observations import Observation

DIMENSIONS = 32


def group(axis: int, count: int, words: str, spread: float = 0.3, seed: int = 0):
    """Texts about one thing: vectors around an axis."""
    rng = np.random.default_rng(seed + axis)
    vectors = rng.normal(scale=spread / np.sqrt(DIMENSIONS), size=(count, DIMENSIONS)).astype(np.float32)
    vectors[:, axis] += 1
    rows = [Observation(f"{words}{i}", f"{words} {i}", f"{words} text{axis}{i}", misfit="abstained") for i in range(count)]
    return rows, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def misfits(*groups):
    rows = tuple(row for own, _ in groups for row in own)
    return Misfits(rows, np.concatenate([vectors for _, vectors in groups]).astype(np.float32))


TAX, GARDEN = group(0, 8, "income tax"), group(1, 6, "tomato seedlings")


def names(found, **more):
    labels = {}
    for row in cluster_rows(found, min_size=5, **more):
        labels.setdefault(row.proposed_label, []).append(row)
    return {label: len(rows) for label, rows in labels.items()}


def test_groups_are_named_by_their_words_and_each_text_is_an_observation():
    found = cluster_rows(misfits(TAX, GARDEN), min_size=5)
    assert {row.source for row in found} == {"cluster"}
    assert names(misfits(TAX, GARDEN)) == {"Income tax": 8, "Tomato seedlings": 6}


def test_texts_that_have_little_in_common_are_no_group():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(20, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [Observation(f"{i}", "", f"word{i} other{i}", misfit="abstained") for i in range(20)]
    assert names(Misfits(tuple(rows), vectors)) == {}


@pytest.mark.parametrize("count", [0, 4])
def test_few_texts_are_no_group(count):
    assert names(misfits(group(0, count, "income tax"))) == {}


def test_a_group_like_a_rejected_one_is_left_out_whatever_its_name():
    other = group(0, 7, "fiscal matter", seed=5)
    rejected = {"income/tax": middle_of(TAX[1])}
    assert names(misfits(other, GARDEN), rejected=rejected) == {"Tomato seedlings": 6}


def test_a_group_about_an_existing_node_is_left_out():
    nodes = np.eye(DIMENSIONS, dtype=np.float32)[[1, 5]]
    near = Known(nodes, ((frozenset({"plant"}),), (frozenset({"money"}),)), 0.5)
    assert names(misfits(TAX, GARDEN), known=near) == {"Income tax": 8}
    far = np.eye(DIMENSIONS, dtype=np.float32)[[4, 5]]
    named = Known(far, ((frozenset({"tax"}),), (frozenset({"seed", "tomato"}),)), 0.5)
    assert names(misfits(TAX, GARDEN), known=named) == {"Tomato seedlings": 6}


def test_a_group_takes_the_label_that_somebody_wished_for_its_texts():
    wishes = {row.text_id: "Finance" for row in TAX[0][:2]}
    found = cluster_rows(misfits(TAX, GARDEN), min_size=5, wishes=wishes)
    finance = [row.text_id for row in found if row.proposed_label == "Finance"]
    assert len(finance) == 6
    assert not set(finance) & wishes.keys()
