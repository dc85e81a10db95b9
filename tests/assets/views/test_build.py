from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.build import build_index, is_multilingual, language_fertility
from taxomind_assets.views.index import NodeIndex
from taxomind_assets.views.texts import VIEWS, node_texts
from taxomind_resources.embedding import Embedder


class Cutting:
    """Words cut into a fixed number of pieces."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces

    def word_pieces(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([self.pieces * len(text.split()) for text in texts], np.int32)


def test_the_embedded_model_knows_english_only(embedder: Embedder) -> None:
    assert not is_multilingual(embedder)


@pytest.mark.parametrize(("pieces", "expected"), [(2, True), (3, True), (4, False)])
def test_a_vocabulary_that_keeps_words_of_many_scripts_is_multilingual(pieces: int, expected: bool) -> None:
    assert is_multilingual(Cutting(pieces)) is expected  # type: ignore[arg-type]


def test_fertility_tells_english_from_other_languages(occupations: NodeIndex) -> None:
    fertility = occupations.languages
    assert set(fertility) == {"en", "fr", "es", "de"}
    assert fertility["en"] < 1.34
    assert min(value for language, value in fertility.items() if language != "en") > 1.8
    assert occupations.trusted_languages == {"en"}


def test_fertility_is_pieces_per_word(embedder: Embedder) -> None:
    tree = Taxonomy.build(
        "t",
        [
            Node("1", None, 1, (NodeText("en", "cook"), NodeText("de", "Köche"))),
            Node("2", None, 1, (NodeText("en", "a judge"),)),
        ],
    )
    assert language_fertility(tree, Cutting(3)) == {"en": 3.0, "de": 3.0}  # type: ignore[arg-type]


def test_every_indexed_text_has_the_vector_of_its_own(occupations: NodeIndex, embedder: Embedder) -> None:
    rows = np.arange(0, len(occupations.texts), 37)
    expected = embedder.embed([occupations.texts[row].text for row in rows], "document")
    cosines = np.sum(occupations.vectors[rows] * occupations.placed(expected), axis=1)
    np.testing.assert_allclose(cosines, 1, atol=2e-3)  # the encoder rounds differently in other batches
    np.testing.assert_allclose(np.linalg.norm(occupations.vectors, axis=1), 1, atol=1e-5)


def test_the_same_content_makes_the_same_index(notes: NodeIndex, index_of: Callable[[Taxonomy], NodeIndex]) -> None:
    again = index_of(notes.tree)
    assert (again.version, again.texts, again.calibration) == (notes.version, notes.texts, notes.calibration)
    np.testing.assert_array_equal(again.vectors, notes.vectors)


def test_a_changed_definition_changes_one_vector(occupations: NodeIndex, embedder: Embedder) -> None:
    tree = occupations.tree
    lawyers = tree.position["2611"]
    first = replace(tree.nodes[lawyers].texts[0], definition="They plead in court.")
    nodes = [replace(node, texts=(first, *node.texts[1:])) if i == lawyers else node for i, node in enumerate(tree.nodes)]
    changed = replace(tree, nodes=tuple(nodes))
    texts = [text for view in VIEWS for text in node_texts(changed)[view]]
    known = {(t.code, t.view, t.text_hash): vector for t, vector in zip(occupations.texts, occupations.vectors, strict=True)}
    new = [text for text in texts if text.language == "en" and (text.code, text.view, text.text_hash) not in known]
    assert [(text.code, text.view) for text in new] == [("2611", "definition")]
    vectors = np.stack(
        [known.get((t.code, t.view, t.text_hash), np.zeros(occupations.vectors.shape[1], np.float32)) for t in texts]
    )
    vectors[texts.index(new[0])] = embedder.embed([new[0].text], "document")[0]
    index = build_index(changed, texts, vectors, embedder)
    assert index.version != occupations.version
    same = [i for i, (a, b) in enumerate(zip(index.texts, occupations.texts, strict=True)) if a == b]
    assert len(same) == len(index.texts) - 1
    np.testing.assert_allclose(index.vectors[same], occupations.vectors[same], atol=1e-6)


def test_a_taxonomy_of_labels_alone_is_indexed(index_of: Callable[[Taxonomy], NodeIndex]) -> None:
    tree = Taxonomy.build("t", [Node("1", None, 1, (NodeText("", "Cooks"),)), Node("11", "1", 2, (NodeText("", "Chefs"),))])
    index = index_of(tree)
    assert [text.view for text in index.texts] == ["label", "label"]
    np.testing.assert_allclose(index.whole_vectors, index.vectors, atol=1e-6)
