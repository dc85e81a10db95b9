"""Views of the cross-lingual student: texts in languages that the encoder does not read, next to node texts in any language.

The student puts a text where the encoder would put its English form (`taxomind_resources.crosslingual`), so one space holds
node texts in English and in other languages. Trusted texts are not touched; the student's table is read, and the node texts are
put into its space, when the first other text comes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.added_views import Block, KnownBlocks
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.classification.row_maxima import RowMaxima
from taxomind_assets.views.index import unit_rows
from taxomind_assets.views.texts import node_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.queries import Query
    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.crosslingual.lazy import LazyStudent
    from taxomind_resources.crosslingual.student import Student

TEXT: Final = "crosslingual_text"
WHOLE: Final = "crosslingual_whole"
PATH: Final = "crosslingual_path"
OWN_TEXT: Final = "crosslingual_own_text"
VIEWS: Final = (TEXT, WHOLE, PATH, OWN_TEXT)

#: Where node texts in a trusted language exist.
_WITH_TRUSTED: Final = {TEXT: 8.0, WHOLE: 4.0, OWN_TEXT: 2.0, "text_characters": 2.0, "best_text": 1.6}
#: Where all node texts are in other languages.
_WITHOUT_TRUSTED: Final = {TEXT: 8.0, PATH: 4.0, "text_characters": 4.0, "path_characters": 4.0, "best_text": 2.0}
_REPLACED: Final = ("best_text", "text_characters", "whole_characters", "path_characters")


class CrosslingualViews:
    """An added view (`added_views.AddedView`). Its features, cosines in the student's space, for texts that are not trusted:

    - `crosslingual_text`: the nearest of the node's texts that take part in the index (those in a trusted language, if any);
    - `crosslingual_whole`, `crosslingual_path`: those texts as one, and the labels from the top node down;
    - `crosslingual_own_text`: the nearest of its other texts.

    Args:
        index: the node index.
        lazy: a student of the index's encoder.
    """

    agreement: Mapping[str, float] = dict.fromkeys(VIEWS, 1.0)

    def __init__(self, index: NodeIndex, lazy: LazyStudent) -> None:
        self._index = index
        self._lazy = lazy
        shipped = _WITH_TRUSTED if index.trusted_languages else _WITHOUT_TRUSTED
        self.weights = FusionWeights({**dict.fromkeys(_REPLACED, 0.0), **shipped}, {})
        self._lock = threading.Lock()
        self._nodes: _NodeVectors | None = None

    @property
    def version(self) -> str:
        """Version of the student."""
        return self._lazy.spec.version

    def blocks(self, query: Query, known: KnownBlocks) -> dict[str, Block]:
        """See `added_views.AddedView.blocks`; empty when all texts are trusted."""
        columns = np.flatnonzero(query.trusted < 1)
        if not columns.size:
            return {}
        nodes = self._node_vectors()
        texts = [query.texts[column] for column in columns.tolist()]
        vectors = self._query_vectors(texts, query.vectors[columns])
        found = nodes.similarities(vectors)
        return {name: Block(_spread(values, columns, len(query))) for name, values in found.items()}

    def _query_vectors(self, texts: Sequence[str], encoded: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit rows float32[u, d]: the student's vectors, and as far as a text is English the encoder's as well."""
        student = self._lazy.student
        english = 1 / (1 + np.exp(-self._lazy.profile.english(texts)))
        return unit_rows(student.vectors(texts) + english[:, None].astype(np.float32) * student.project(encoded))

    def _node_vectors(self) -> _NodeVectors:
        with self._lock:
            if self._nodes is None:
                self._nodes = _NodeVectors.of(self._index, self._lazy.student)
            return self._nodes


@dataclass(frozen=True)
class _Texts:
    """Vectors of node texts, float32[m, d], arranged for maxima by node."""

    vectors: NDArray[np.float32]
    maxima: RowMaxima

    @classmethod
    def of(cls, vectors: NDArray[np.float32], owners: NDArray[np.int32]) -> _Texts:
        maxima = RowMaxima.of(owners)
        return cls(vectors[maxima.order], maxima)

    def nearest(self, queries: NDArray[np.float32], n: int) -> NDArray[np.float32]:
        """Best cosine of each of n nodes, float32[n, u]; 0 for nodes without texts."""
        best = np.zeros((n, len(queries)), np.float32)
        best[self.maxima.groups] = self.maxima(self.vectors @ queries.T)
        return best


@dataclass(frozen=True)
class _NodeVectors:
    """All nodes in the student's space."""

    nodes: int
    indexed: _Texts
    whole: NDArray[np.float32]
    path: NDArray[np.float32]
    others: _Texts

    @classmethod
    def of(cls, index: NodeIndex, student: Student) -> _NodeVectors:
        understood = np.array([text.language in index.trusted_languages for text in index.texts], np.bool_)
        vectors = student.blended([text.text for text in index.texts], index.vectors, understood)
        kept = np.flatnonzero(np.array([text.view != "negative" for text in index.texts], np.bool_))
        others, owners = _other_texts(index)
        return cls(
            len(index.tree),
            _Texts.of(vectors[kept], index.owners[kept]),
            _mixed(index.whole_mixture, vectors),
            _mixed(index.path_mixture, vectors),
            _Texts.of(student.vectors(others), owners),
        )

    def similarities(self, queries: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Every feature, float32[n, u] each."""
        found = {
            TEXT: self.indexed.nearest(queries, self.nodes),
            WHOLE: self.whole @ queries.T,
            PATH: self.path @ queries.T,
        }
        return found | ({OWN_TEXT: self.others.nearest(queries, self.nodes)} if len(self.others.vectors) else {})


def _other_texts(index: NodeIndex) -> tuple[list[str], NDArray[np.int32]]:
    """Labels and examples that take no part in the index, and the node of each, ascending."""
    taken = {(text.code, text.view, text.text_hash) for text in index.texts}
    position = index.tree.position
    views = node_texts(index.tree)
    rest = [
        (position[text.code], text.text)
        for text in (*views["label"], *views["example"])
        if text.view != "negative" and (text.code, text.view, text.text_hash) not in taken
    ]
    rest.sort(key=lambda pair: pair[0])
    return [text for _, text in rest], np.array([node for node, _ in rest], np.int32)


def _mixed(mixture: sparse.csr_array, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return unit_rows(np.asarray(mixture @ vectors, np.float32))


def _spread(values: NDArray[np.float32], columns: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """float32[n, size] with `values` in `columns`, 0 elsewhere."""
    if columns.size == size:
        return values
    spread = np.zeros((values.shape[0], size), np.float32)
    spread[:, columns] = values
    return spread
