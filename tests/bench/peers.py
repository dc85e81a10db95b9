"""Other ways to code texts, on the same texts, splits and node texts, in the same process.

Nobody's parameters were tuned. Each way gets whatever node texts help it: labels, examples and definitions as further rows.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.taxonomy.tree import ROOT
from taxomind_assets.views.texts import clean
from tests.bench.material import same_text
from tests.bench.measures import Answered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.bench.material import Text
    from tests.bench.task import Task

#: Text rows times classes above which a way takes too long on two cores (`full` of naics-2012 with node texts has 2 x 10^7).
_FLAT_LIMIT: Final = 60_000_000
_DENSE_LIMIT: Final = 4_000_000
#: How much a vector of the encoder counts beside tf-idf of unit length.
_VECTOR_WEIGHT: Final = 0.7


class NotFeasibleError(Exception):
    """This way cannot be run here; the text says why."""


@dataclass(frozen=True)
class Rows:
    """What a way learns from: b texts and the leaf of each."""

    texts: list[str]
    leaves: NDArray[np.int64]

    @classmethod
    def of(
        cls, task: Task, named: Iterable[tuple[int, str]], pool: Sequence[Text], form: Callable[[str], str] = same_text
    ) -> Rows:
        """Node texts and labelled texts in a form; a text with several leaves stands there once for each."""
        is_leaf, position = task.tree.is_leaf, task.tree.position
        labelled = [(position[code], text.text) for text in pool for code in text.codes]
        rows = list(dict.fromkeys((leaf, form(text)) for leaf, text in [*named, *labelled] if is_leaf[leaf]))
        return cls([text for _, text in rows], np.array([leaf for leaf, _ in rows], np.int64))


def label_neighbour(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Answered:
    """Nearest label or labelled text by cosine of the same encoder (as ClassifAI does)."""
    rows = Rows.of(task, task.leaf_labels, pool, form=clean)
    vectors = task.vectors(rows.texts)
    queries = task.vectors([clean(text.text) for text in tests])
    return _nearest(lambda: queries @ vectors.T, rows, len(tests))


def character_neighbour(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Answered:
    """Nearest label, example or labelled text by cosine of character tf-idf."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    rows = Rows.of(task, task.leaf_names, pool)
    start = time.process_time()
    model = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, dtype=np.float32)
    known = model.fit_transform(rows.texts).T.tocsr()
    fit_s = time.process_time() - start
    queries = [same_text(text.text) for text in tests]
    answered = _nearest(lambda: (model.transform(queries) @ known).toarray(), rows, len(tests))
    return _with_fit(answered, fit_s)


def flat_svm(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Answered:
    """Linear support vector machine over the leaves on character and word tf-idf."""
    return _flat(task, pool, tests, with_vectors=False)


def flat_svm_with_vectors(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Answered:
    """The same with the encoder's vector beside tf-idf."""
    return _flat(task, pool, tests, with_vectors=True)


def hiclass(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Answered:
    """HiClass: one linear support vector machine for each parent node, walked down from the top, on the same tf-idf."""
    if importlib.util.find_spec("hiclass") is None:
        raise NotFeasibleError("HiClass is not installed: pip install 'taxomind[bench]'")
    from hiclass import LocalClassifierPerParentNode
    from sklearn.svm import LinearSVC

    rows = Rows.of(task, task.leaf_texts, pool)
    start = time.process_time()
    features = _tfidf()
    known = features.fit_transform(rows.texts)
    model = LocalClassifierPerParentNode(local_classifier=LinearSVC())
    with _few_rows_allowed():
        model.fit(known, _paths(task, rows.leaves))
    fit_s, start = time.process_time() - start, time.process_time()
    answers = model.predict(features.transform([same_text(text.text) for text in tests])).reshape(len(tests), -1)
    predict_us = 1e6 * (time.process_time() - start) / max(len(tests), 1)
    deepest = [next((code for code in reversed(path) if code), "") for path in answers.tolist()]
    leaves = np.array([task.tree.position.get(code, ROOT) for code in deepest], np.int32)
    return Answered(leaves, fit_s=fit_s, predict_us=predict_us)


def _paths(task: Task, leaves: NDArray[np.int64]) -> NDArray[Any]:
    """str[b, depth]: the codes down to each leaf, '' below it."""
    codes = np.array([*task.tree.codes, ""])
    return codes[task.tree.paths[leaves]]


def _flat(task: Task, pool: Sequence[Text], tests: Sequence[Text], *, with_vectors: bool) -> Answered:
    from sklearn.svm import LinearSVC

    rows = Rows.of(task, task.leaf_texts, pool)
    classes = np.unique(rows.leaves)
    limit = _DENSE_LIMIT if with_vectors else _FLAT_LIMIT
    if classes.size < 2 or rows.leaves.size * classes.size > limit:
        raise NotFeasibleError(f"{rows.leaves.size:,} rows x {classes.size:,} classes take too long")
    queries = [same_text(text.text) for text in tests]
    vectors = [task.vectors(texts) if with_vectors else None for texts in (rows.texts, queries)]
    start = time.process_time()
    features = _tfidf()
    with _few_rows_allowed():
        model = LinearSVC().fit(_joined(features.fit_transform(rows.texts), vectors[0]), rows.leaves)
    fit_s, start = time.process_time() - start, time.process_time()
    margins = model.decision_function(_joined(features.transform(queries), vectors[1]))
    if classes.size == 2:
        margins = np.column_stack((-margins, margins))
    predict_us = 1e6 * (time.process_time() - start) / max(len(tests), 1)
    order = _best(margins)
    answered = Answered(classes[order].astype(np.int32), _lead(margins), probability=False, predict_us=predict_us)
    return _with_fit(answered, fit_s)


@contextmanager
def _few_rows_allowed() -> Iterator[None]:
    """Keep scikit-learn from wondering about classes of one text: without labelled texts that is the task."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        yield


def _tfidf() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    return FeatureUnion(
        [
            ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)),
            ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")),
        ]
    )


def _joined(features: Any, vectors: NDArray[np.float32] | None) -> Any:
    from scipy.sparse import csr_array, hstack

    if vectors is None:
        return features
    return hstack([features, csr_array(_VECTOR_WEIGHT * vectors.astype(np.float64))], format="csr")


def _nearest(similarities: Callable[[], NDArray[np.float32]], rows: Rows, tests: int) -> Answered:
    """Answers by the nearest row; the similarity is the confidence."""
    start = time.process_time()
    similar = similarities()
    order = _best(similar)
    predict_us = 1e6 * (time.process_time() - start) / max(tests, 1)
    confidence = similar[np.arange(tests), order].astype(np.float64)
    return Answered(rows.leaves[order].astype(np.int32), confidence, probability=False, predict_us=predict_us)


def _best(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Place of the largest score of each row; of equals the first."""
    return np.asarray(scores.argmax(axis=1), np.int64)


def _lead(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the largest margin is above the second, which ranks better than the margin itself."""
    second, first = np.partition(margins, -2, axis=1)[:, -2:].T
    return np.asarray(first - second, np.float64)


def _with_fit(answered: Answered, fit_s: float) -> Answered:
    return replace(answered, fit_s=fit_s)


#: Every way by its name; the product comes first in the tables.
PEERS: Final[dict[str, Callable[[Task, Sequence[Text], Sequence[Text]], Answered]]] = {
    "label kNN": label_neighbour,
    "char tf-idf 1-NN": character_neighbour,
    "LinearSVC flat": flat_svm,
    "LinearSVC + vectors": flat_svm_with_vectors,
    "HiClass LCPPN": hiclass,
}
