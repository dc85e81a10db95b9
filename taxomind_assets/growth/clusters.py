"""Groups of texts that belong together, and names for them: for one-shot derivation and for the growth detector.

    labels = cluster_texts(vectors)                        # int64[n], 0 = largest group, NOISE = -1
    words = keywords(texts, labels)                        # {0: ["invoice", "late payment", ...], 1: ...}
    names = cluster_names(words)                           # {0: "Invoice, late payment", 1: ...}, no two alike
    typical = typical_texts(vectors, labels, 5)            # {0: [places of the 5 most typical texts], 1: ...}

Everything is deterministic: the same input gives the same groups and names. Texts of several languages fall into one group
when the encoder puts them near each other. No model is loaded here; vectors come from the embedder.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.growth.stop_words import stop_words
from taxomind_assets.views.texts import clean, normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Label of a text that belongs to no group.
NOISE: Final = -1
#: Texts up to which all pairs are compared; above it their distances would fill the memory.
_MOST_PAIRED: Final = 2_000
#: Heights of the tree of groups that are tried.
_CUTS: Final = 40
_SMALLEST_GROUP: Final = (3, 15)
_DIMENSIONS: Final = 20
#: A word that occurs in more than this share of at least so many groups says nothing about any of them.
_COMMON_SHARE: Final = 0.5
_COMMON_GROUPS: Final = 4
_NAME_WORDS: Final = 2
_NAME_CHARACTERS: Final = 40
#: Letters from the beginning that two forms of a word share.
_STEM: Final = 5
#: Weight that a pair of words must have, as a share of that of its words.
_PAIR_WEIGHT: Final = 0.4
_WORD: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
#: Scripts that write no spaces between words; their words are taken as pairs of characters.
_UNSPACED: Final = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


def default_min_size(texts: int) -> int:
    """Smallest group worth a name among so many texts: half of the square root, 3 to 15."""
    low, high = _SMALLEST_GROUP
    return max(low, min(high, round(math.sqrt(texts) / 2)))


def cluster_texts(vectors: NDArray[np.float32], *, min_size: int | None = None) -> NDArray[np.int64]:
    """Group texts by their vectors.

    Up to 2,000 texts: average linkage on cosine distances, cut where the silhouette (Rousseeuw 1987) of the grouped texts,
    times their share, is best, so that no distance has to be known for the encoder. More texts: HDBSCAN (Campello 2013) on 20
    principal components. Groups that are too small become noise.

    Args:
        vectors: float32[n, d], unit rows.
        min_size: fewest texts of a group (default: `default_min_size`).

    Returns:
        int64[n]: group of each text, 0 = the largest; `NOISE` = none. All `NOISE` when there are no two groups and the texts
        are not alike.
    """
    count = len(vectors)
    smallest = default_min_size(count) if min_size is None else max(2, min_size)
    if count < smallest:
        return np.full(count, NOISE, np.int64)
    found = _by_linkage(vectors, smallest) if count <= _MOST_PAIRED else _by_density(vectors, smallest)
    return _largest_first(found)


def keywords(
    texts: Sequence[str], labels: NDArray[np.int64], *, most: int = 5, background: Sequence[str] = ()
) -> dict[int, list[str]]:
    """The words and pairs of words that set each group apart: class-based tf-idf (Grootendorst 2022, arXiv:2203.05794).

    A word counts once per text. Function words of the texts' languages (ten are known), and words of
    most groups, are left out.

    Args:
        texts: n texts.
        labels: int64[n], as of `cluster_texts`.
        most: words per group.
        background: texts of no group that show which words are common. Without it a single group is set against the texts
            that belong to none; several groups are set against each other.

    Returns:
        Words of each group in their most frequent spelling, best first; never empty, for a group without any word its most
        typical beginning of a text is taken.
    """
    groups = sorted({int(label) for label in labels if label != NOISE})
    if not groups:
        return {}
    counts, words = _counted(texts, labels, groups, background)
    weights = _class_weights(counts)[: len(groups)]
    spelling = _spellings(texts)
    chosen = {}
    for row, group in enumerate(groups):
        order = np.argsort(-weights[row], kind="stable").tolist()
        ranked = [(words[i], float(weights[row, i])) for i in order if weights[row, i] > 0]
        chosen[group] = [_spelled(term, spelling) for term in _best_terms(ranked, most)] or [_first_text(texts, labels, group)]
    return chosen


def cluster_names(words: Mapping[int, Sequence[str]]) -> dict[int, str]:
    """A name for each group from its keywords: the best ones, as many as it takes for no two names to be alike."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for group, own in words.items():
        tries = [_title(own[:length]) for length in range(min(_NAME_WORDS, len(own)), len(own) + 1)]
        tries += [f"{_title(own[:_NAME_WORDS])} {number}" for number in range(2, len(words) + 2)]
        names[group] = next(name for name in tries if normalise(name) not in taken)
        taken.add(normalise(names[group]))
    return names


def typical_texts(vectors: NDArray[np.float32], labels: NDArray[np.int64], most: int) -> dict[int, list[int]]:
    """Places of the texts nearest to the middle of each group, nearest first."""
    found = {}
    for group in sorted({int(label) for label in labels if label != NOISE}):
        places = np.flatnonzero(labels == group)
        nearness = vectors[places] @ vectors[places].mean(axis=0)
        found[group] = places[np.argsort(-nearness, kind="stable")[:most]].tolist()
    return found


def _by_linkage(vectors: NDArray[np.float32], smallest: int) -> NDArray[np.int64]:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist, squareform

    distances = np.nan_to_num(np.maximum(pdist(vectors.astype(np.float64), "cosine"), 0.0), nan=1.0)
    tree = linkage(distances, "average")
    square = squareform(distances)
    best, best_score = np.full(len(vectors), NOISE, np.int64), 0.0
    for height in np.unique(np.quantile(tree[:, 2], np.linspace(0.3, 1, _CUTS))):
        labels = _without_small(fcluster(tree, height, "distance").astype(np.int64), smallest)
        score = _separation(square, labels)
        if score > best_score:
            best, best_score = labels, score
    return best if best_score > 0 else _one_group(vectors)


def _separation(square: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Silhouette of the grouped texts times their share; 0 when there are no two groups."""
    from sklearn.metrics import silhouette_score

    kept = np.flatnonzero(labels != NOISE)
    groups = np.unique(labels[kept]).size
    if not 2 <= groups < kept.size:
        return 0.0
    return float(silhouette_score(square[np.ix_(kept, kept)], labels[kept], metric="precomputed")) * kept.size / labels.size


def _one_group(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """All texts as one group when they are alike: their mean is longer than half a unit."""
    alike = float(np.linalg.norm(vectors.mean(axis=0))) > 0.5
    return np.full(len(vectors), 0 if alike else NOISE, np.int64)


def _by_density(vectors: NDArray[np.float32], smallest: int) -> NDArray[np.int64]:
    from sklearn.cluster import HDBSCAN
    from sklearn.decomposition import PCA

    dimensions = min(_DIMENSIONS, vectors.shape[1])
    reduced = PCA(dimensions, svd_solver="covariance_eigh").fit_transform(vectors.astype(np.float64))
    reduced /= np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-9)
    model = HDBSCAN(min_cluster_size=smallest, min_samples=max(2, smallest // 2), cluster_selection_method="leaf", copy=True)
    return np.asarray(model.fit_predict(reduced), np.int64)


def _without_small(labels: NDArray[np.int64], smallest: int) -> NDArray[np.int64]:
    _, places, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return np.where(sizes[places] >= smallest, places, NOISE).astype(np.int64)


def _largest_first(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, numbered by size; among equals the one with the first text comes first."""
    groups, first, sizes = np.unique(labels[labels != NOISE], return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    renumbered = np.full(labels.size, NOISE, np.int64)
    for number, place in enumerate(order.tolist()):
        renumbered[labels == groups[place]] = number
    return renumbered


def _counted(
    texts: Sequence[str], labels: NDArray[np.int64], groups: Sequence[int], background: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """(texts that hold a word, float64[groups + 1, words]; the words).

    The last row is the background, for a single group also what belongs to no group.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import CountVectorizer

    row_of = {group: row for row, group in enumerate(groups)}
    if len(groups) > 1:
        # What belongs to no group is often about the same things as a group: it must not make their words common.
        kept = np.flatnonzero(labels != NOISE)
        texts, labels = [texts[place] for place in kept.tolist()], labels[kept]
    rows = np.array([*(row_of.get(int(label), len(groups)) for label in labels), *([len(groups)] * len(background))])
    common = stop_words({word for text in (*texts, *background) for word in _words(normalise(text))})
    vectorizer = CountVectorizer(analyzer=partial(_terms, common=common), binary=True)
    try:
        found = vectorizer.fit_transform([*texts, *background])
    except ValueError:  # no text has a word
        return np.zeros((len(groups) + 1, 0)), []
    member = sparse.csr_array((np.ones(rows.size), (rows, np.arange(rows.size))), shape=(len(groups) + 1, rows.size))
    counts = np.asarray((member @ found).todense(), np.float64)
    return _telling(counts, np.bincount(rows, minlength=len(groups) + 1)), list(vectorizer.get_feature_names_out())


def _telling(counts: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Counts without words of most groups and, in groups of three texts or more, without words of a single text."""
    groups = len(counts) - 1
    common = (counts[:groups] > 0).sum(axis=0) > max(_COMMON_SHARE * groups, _COMMON_GROUPS - 1)
    counts = np.where(common[None, :], 0.0, counts)
    several = (counts >= 2) | (sizes[:, None] < 3)
    lonely = np.where(several, counts, 0.0)
    # A group all of whose words occur once keeps them.
    return np.where(lonely.sum(axis=1, keepdims=True) > 0, lonely, counts)


def _class_weights(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """tf of a class times log(1 + mean words of a class / frequency of the word)."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    frequency = counts.sum(axis=0)
    rarity = np.log1p(totals.mean() / np.maximum(frequency, 1.0)) if counts.size else frequency
    weights: NDArray[np.float64] = shares * rarity
    return weights


def _best_terms(ranked: Sequence[tuple[str, float]], most: int) -> list[str]:
    """The best terms, no two of which share a word or a form of it. A pair of about their weight takes the place of its words.

    Args:
        ranked: (term, weight), best first.
        most: terms wanted.
    """
    kept: list[tuple[str, float]] = []
    for term, weight in ranked[: most * 8]:
        alike = [other for other in kept if _share_a_word(term, other[0])]
        if not alike:
            kept += [(term, weight)] if len(kept) < most else []
        elif all(other in term.split() and weight >= _PAIR_WEIGHT * own for other, own in alike):
            kept = [(term, own[1]) if own == alike[0] else own for own in kept if own == alike[0] or own not in alike]
    return [term for term, _ in kept]


def _share_a_word(first: str, second: str) -> bool:
    return any(_are_forms(one, other) for one in first.split() for other in second.split())


def _are_forms(first: str, second: str) -> bool:
    """Whether two words are the same but for their ends (`reservation`, `reservations`)."""
    common = next(
        (i for i, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), min(len(first), len(second))
    )
    return first == second or (common >= _STEM and common >= min(len(first), len(second)) - 1)


def _terms(text: str, common: frozenset[str]) -> Iterator[str]:
    """Words of a text that are not common, and pairs of neighbours among them, without case."""
    words = [word for word in _words(normalise(text)) if not word.isdigit() and (len(word) > 1 or _UNSPACED.search(word))]
    yield from (word for word in words if _is_telling(word, common))
    for first, second in pairwise(words):
        if _is_telling(first, common) and _is_telling(second, common) and not _UNSPACED.search(first + second):
            yield f"{first} {second}"


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        if not _UNSPACED.search(word):
            yield word
            continue
        for run in _UNSPACED.findall(word):
            yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))


def _is_telling(word: str, common: frozenset[str]) -> bool:
    return word not in common and (len(word) > 2 or _UNSPACED.search(word) is not None)


def _first_text(texts: Sequence[str], labels: NDArray[np.int64], group: int) -> str:
    return clean(texts[int(np.flatnonzero(labels == group)[0])])[:_NAME_CHARACTERS]


def _spellings(texts: Sequence[str]) -> dict[str, str]:
    """Word without case -> its most frequent spelling."""
    seen: dict[str, Counter[str]] = {}
    for text in texts:
        for word in _WORD.findall(clean(text)):
            seen.setdefault(normalise(word), Counter())[word] += 1
    return {folded: spellings.most_common(1)[0][0] for folded, spellings in seen.items()}


def _spelled(term: str, spelling: Mapping[str, str]) -> str:
    return " ".join(spelling.get(word, word) for word in term.split())


def _title(words: Sequence[str]) -> str:
    text = ", ".join(words)
    return text[:1].upper() + text[1:]
