"""Groups of texts that do not fit: kept when they hold together, are new, and were not rejected."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from taxomind_assets.growth.misfits import Known, Misfits, cluster_rows, drawn_by_wishes, middle_of
from taxomind_assets.growth.observations import Observation
from taxomind_assets.growth.unexplained import Answered

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


def looked_at(*groups, sure=0.3, known=()):
    """Texts as they are looked at: `known` are axes that references lie at."""
    found = misfits(*groups)
    count = len(found.rows)
    references = np.eye(DIMENSIONS, dtype=np.float32)[list(known)]
    answered = Answered(found.vectors, np.zeros((count, 1), np.int64), np.full((count, 1), sure, np.float32), references)
    return Misfits(found.rows, found.vectors, 0, answered)


def drawn(found, wishes):
    """What wishes draw; a text's vector is that of the group that it names."""
    vectors = {row.text: vector for row, vector in zip(found.rows, found.vectors, strict=True)}
    embedder = SimpleNamespace(embed=lambda texts, role: np.array([vectors[text] for text in texts]))
    index = SimpleNamespace(encoded=lambda vectors: vectors)
    return drawn_by_wishes(found, wishes, embedder, index)


def wish(rows, label="Finance"):
    return {"finance": [Observation(row.text_id, row.title, row.text, proposed_label=label, source="user") for row in rows]}


def test_two_wishes_draw_in_the_texts_near_them_and_no_others():
    found = drawn(looked_at(TAX, GARDEN), wish(TAX[0][:2]))
    assert {row.text_id for row in found} == {row.text_id for row in TAX[0][2:]}
    assert {(row.proposed_label, row.source) for row in found} == {("Finance", "cluster")}


def test_one_wish_draws_nothing():
    assert drawn(looked_at(TAX, GARDEN), wish(TAX[0][:1])) == []


def test_what_a_node_explains_as_well_or_is_answered_surely_is_not_drawn():
    assert drawn(looked_at(TAX, GARDEN, known=[0]), wish(TAX[0][:2])) == []
    assert drawn(looked_at(TAX, GARDEN, sure=0.95), wish(TAX[0][:2])) == []
