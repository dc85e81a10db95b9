"""Views of the cross-lingual student: texts in languages that the encoder does not read, next to node texts in any language.

The student puts a text where the encoder would put its English form (`taxomind_resources.crosslingual`), so one space holds
node texts in English and in other languages. Trusted texts are not touched; the student's table is read, and the node texts are
put into its space, when the first other text comes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.added_views import Block, KnownBlocks
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.classification.row_maxima import RowMaxima
from taxomind_assets.views.index import unit_rows
from taxomind_assets.views.texts import node_texts
from taxomind_resources.faults import Fault
from taxomind_resources.products import BATCH, RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.classification.queries import Query
    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.crosslingual.lazy import LazyStudent
    from taxomind_resources.crosslingual.student import Student

TEXT: Final = "crosslingual_text"
WHOLE: Final = "crosslingual_whole"
PATH: Final = "crosslingual_path"
OWN_TEXT: Final = "crosslingual_own_text"
VIEWS: Final = (TEXT, WHOLE, PATH, OWN_TEXT)

# Chosen on job titles and product names in eight languages at once; the sums are the scales at which the texts of these sets
# are most likely. With English node texts they are nearer to a text than labels in its own language are.
#: Where node texts in a trusted language exist. The encoder's own vector would add 0.3 points of 33 (eight sets) and double
#: the cost of a text: most of it is embedding, which is spared where nothing reads the vector.
_WITH_TRUSTED: Final = {TEXT: 9.0, WHOLE: 3.6, OWN_TEXT: 2.25, "text_characters": 3.6}
#: Where all node texts are in other languages.
_WITHOUT_TRUSTED: Final = {TEXT: 6.0, PATH: 3.0, "text_characters": 3.0, "path_characters": 3.0, "best_text": 1.5}
_REPLACED: Final = ("best_text", "text_characters", "whole_characters", "path_characters")


class CrosslingualViews:
    """An added view (`added_views.AddedView`). Its features, cosines in the student's space, for texts that are not trusted:

    - `crosslingual_text`: the nearest of the node's texts that take part in the index (those in a trusted language, if any);
    - `crosslingual_whole`: those texts as one, where some are in a trusted language;
    - `crosslingual_path`: the labels from the top node down, where none is;
    - `crosslingual_own_text`: the nearest of the node's labels and examples in other languages than the index's.

    Args:
        index: the node index.
        lazy: a student of the index's encoder.
    """

    def __init__(self, index: NodeIndex, lazy: LazyStudent) -> None:
        self._index = index
        self._lazy = lazy
        shipped = _WITH_TRUSTED if index.trusted_languages else _WITHOUT_TRUSTED
        self.weights = FusionWeights({**dict.fromkeys(_REPLACED, 0.0), **shipped}, {})
        self.agreement: Mapping[str, float] = {name: 1.0 for name in shipped if name in VIEWS}
        self.bounds: Mapping[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._nodes: _Nodes | None = None

    @property
    def version(self) -> str:
        """Version of the student."""
        return self._lazy.spec.version

    def blocks(self, query: Query, known: KnownBlocks) -> dict[str, Block]:
        """See `added_views.AddedView.blocks`; empty when all texts are trusted."""
        columns = np.flatnonzero(query.trusted < 1)
        if not columns.size:
            return {}
        texts = [query.texts[column] for column in columns.tolist()]
        found = self._read_nodes().similarities(self._query_vectors(texts, query.vectors[columns]))
        return {name: Block(_spread(values, columns, len(query))) for name, values in found.items()}

    def _query_vectors(self, texts: Sequence[str], placed: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit rows float32[u, d]. Where English texts meet node texts in other languages, their own vectors help."""
        vectors = self._lazy.student.vectors(texts)
        if self._index.trusted_languages:
            return vectors
        english = 1 / (1 + np.exp(-self._lazy.profile.english(texts)))
        return unit_rows(
            vectors + english[:, None].astype(np.float32) * self._read_nodes().project(self._index.encoded(placed))
        )

    def _read_nodes(self) -> _Nodes:
        with self._lock:
            if self._nodes is None:
                self._nodes = _Nodes(self._index, self._lazy.student)
            return self._nodes


class _Nodes:
    """All n nodes in the student's space: their texts in the index, one mixture of these, and their other texts."""

    def __init__(self, index: NodeIndex, student: Student) -> None:
        understood = np.array([text.language in index.trusted_languages for text in index.texts], np.bool_)
        vectors = student.blended([text.text for text in index.texts], index.encoded(index.vectors), understood)
        kept = np.flatnonzero(np.array([text.view != "negative" for text in index.texts], np.bool_))
        others, owners = _other_texts(index)
        self._nodes = len(index.tree)
        self._texts = RowMaxima.of(index.owners[kept])
        self._mixture = WHOLE if index.trusted_languages else PATH
        self._others = RowMaxima.of(owners)
        mixture = index.whole_mixture if index.trusted_languages else index.path_mixture
        parts = (
            vectors[kept][self._texts.order],
            unit_rows(np.asarray(mixture @ vectors, np.float32)),
            student.vectors(others)[self._others.order],
        )
        self._ends = np.cumsum([len(part) for part in parts])
        self._products = RowProducts(np.concatenate(parts), bfloat16=True)
        self._mean = student.mean
        self._components = RowProducts(student.components.T)

    def project(self, encoded: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `Student.project`; a row depends on no other row."""
        reduced = self._components(encoded - self._mean).T
        return unit_rows(np.where(np.any(encoded, axis=1, keepdims=True), reduced, np.float32(0)))

    def similarities(self, queries: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Every feature, float32[n, u] each; 0 for nodes without such texts."""
        names = (TEXT, self._mixture, *((OWN_TEXT,) if self._others.groups.size else ()))
        found = {name: np.zeros((self._nodes, len(queries)), np.float32) for name in names}
        for start in range(0, len(queries), BATCH):
            columns = slice(start, start + BATCH)
            texts, mixture, others = np.split(self._products(queries[columns]), self._ends[:-1])
            found[TEXT][self._texts.groups, columns] = self._texts(texts)
            found[self._mixture][:, columns] = mixture
            if OWN_TEXT in found:
                found[OWN_TEXT][self._others.groups, columns] = self._others(others)
        return found


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


def _spread(values: NDArray[np.float32], columns: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """float32[n, size] with `values` in `columns`, 0 elsewhere."""
    if columns.size == size:
        return values
    spread = np.zeros((values.shape[0], size), np.float32)
    spread[:, columns] = values
    return spread


def check_student(classifier: Classifier) -> None:
    """Refuse probabilities that were fitted beside another student.

    Raises:
        Fault: `index_stale`.
    """
    own = classifier.student.spec.version if classifier.student else ""
    fitted = classifier.calibration.student
    if own != fitted:
        raise Fault(
            "index_stale",
            "The index was made with another cross-lingual student than the configured one.",
            value=f"scoring.crosslingual = {classifier.settings.scoring.crosslingual!r} ({own or 'none'})",
            allowed=f"{fitted or 'none'}, as the index was made",
        )
