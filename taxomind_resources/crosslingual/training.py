"""Teach a student: aligned labels in, a small table and an honest measurement out.

For each pair the target is the encoder's vector of the English label, centred and reduced to its first principal
components; ridge regression maps the hashed n-grams of the text to it. Placing other languages in the space of a fixed
encoder is knowledge distillation across languages (Reimers and Gurevych, 2020, "Making monolingual sentence embeddings
multilingual using knowledge distillation"), here with a linear student that a CPU trains in minutes.

What is measured is never what was learned: a tenth of the English labels is kept out in all sources and languages at once.
When the measurement is done, the student is taught on everything, held-out labels included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_resources.crosslingual.features import MAX_BUCKET_BITS, feature_counts
from taxomind_resources.crosslingual.language import LanguageProfile
from taxomind_resources.crosslingual.measuring import HeldOutScore, measure
from taxomind_resources.crosslingual.packing import BITS, PackedRows
from taxomind_resources.crosslingual.pairs import (
    AlignedPair,
    AlignedPairs,
    held_out_labels,
    is_english,
    label_identity,
    read_pairs,
)
from taxomind_resources.crosslingual.regression import ridge
from taxomind_resources.crosslingual.student import Student, StudentSpec, projected
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    from taxomind_resources.embedding.spec import Embedder

DEFAULT_BUCKETS: Final = 1 << 18
DEFAULT_DIMS: Final = 256
DEFAULT_BITS: Final = 1
DEFAULT_STEPS: Final = 16
DEFAULT_PENALTY: Final = 1.0
#: Pairs that are learned at most; more are drawn evenly over languages. 600,000 take some minutes and 3 GB.
DEFAULT_MAX_PAIRS: Final = 600_000

#: Told what is being done and the share of it that is done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class TrainingReport:
    """What training saw and what the student can do.

    Attributes:
        pairs: different pairs handed in.
        skipped: rows without language, text or English text.
        learned: pairs that the student was taught.
        labels: different English labels.
        held_out: labels kept out for the measurement (taught afterwards, see `taught_all`).
        taught_all: whether the student was taught again on all pairs after the measurement.
        scores: one row per source and language; empty without held-out labels.
    """

    pairs: int
    skipped: int
    learned: int
    labels: int
    held_out: int
    taught_all: bool
    scores: tuple[HeldOutScore, ...]


@dataclass(frozen=True)
class TrainedStudent:
    """A student and the report on it."""

    student: Student
    report: TrainingReport


def train(
    pairs: Iterable[Sequence[str]] | Path,
    embedder: Embedder,
    *,
    buckets: int = DEFAULT_BUCKETS,
    dims: int = DEFAULT_DIMS,
    bits: int = DEFAULT_BITS,
    steps: int = DEFAULT_STEPS,
    penalty: float = DEFAULT_PENALTY,
    hold_out: float = 0.1,
    keep_held_out: bool = False,
    max_pairs: int = DEFAULT_MAX_PAIRS,
    seed: int = 0,
    threads: int = 2,
    progress: Progress | None = None,
) -> TrainedStudent:
    """A student of this embedder's space. The same input gives the same student.

    Args:
        pairs: (language, text, english) or (language, text, english, source), for a taxonomy from `pairs_from_taxonomy`;
            or a Parquet or CSV file with these columns.
        embedder: the encoder that the student predicts.
        buckets: rows of the table, a power of two; with `dims` and `bits` it sets the size of the file.
        dims: length of the vectors, at most the encoder's.
        bits: bits of one value: 1, 2 or 4.
        steps: steps of conjugate gradients.
        penalty: of the ridge regression.
        hold_out: share of English labels that the measurement keeps out; 0 = no measurement.
        keep_held_out: give back the measured student instead of teaching one on everything.
        max_pairs: pairs to learn from; of more, an even draw over the languages.
        seed: decides the labels held out and the draw.
        threads: threads of the regression.
        progress: is told what is being done and how far it is.

    Raises:
        Fault: `invalid_input`, what reading the file raises, and what the embedder raises.
    """
    options = _Options(buckets, dims, bits, steps, penalty, threads, hold_out, max_pairs)
    options.check(embedder.spec.dimensions)
    tell = progress or _silent
    tell("read", 0.0)
    collected = AlignedPairs.collect(read_pairs(pairs) if isinstance(pairs, Path) else pairs)
    tell("embed", 0.0)
    teacher = _Teacher(collected, embedder, options, tell)
    held_out = held_out_labels(collected.labels, hold_out, seed)
    kept = np.flatnonzero(~held_out[collected.label_of])
    scores: tuple[HeldOutScore, ...] = ()
    drawn = kept
    if held_out.any():
        if not kept.size:
            raise Fault("invalid_input", "All labels are held out.", value=hold_out, allowed="a smaller share, or more labels")
        drawn = even_draw(collected, kept, max_pairs, seed)
        student = teacher.teach(drawn)
        tell("measure", 0.0)
        scores = measure(student, collected, held_out, teacher.vectors, embedder)
    taught_all = not (held_out.any() and keep_held_out)
    if taught_all:
        drawn = even_draw(collected, np.arange(len(collected.rows)), max_pairs, seed)
        student = teacher.teach(drawn)
    tell("done", 1.0)
    report = TrainingReport(
        pairs=len(collected.rows),
        skipped=collected.skipped,
        learned=int(drawn.size),
        labels=len(collected.labels),
        held_out=int(held_out.sum()),
        taught_all=taught_all,
        scores=scores,
    )
    return TrainedStudent(student, report)


@dataclass(frozen=True)
class _Options:
    buckets: int
    dims: int
    bits: int
    steps: int
    penalty: float
    threads: int
    hold_out: float
    max_pairs: int

    @property
    def bucket_bits(self) -> int:
        return self.buckets.bit_length() - 1

    def check(self, encoder_dimensions: int) -> None:
        """Refuse what is out of range.

        Raises:
            Fault: `invalid_input` names the first option that is wrong.
        """
        is_table = self.bucket_bits in range(1, MAX_BUCKET_BITS + 1) and self.buckets == 1 << self.bucket_bits
        wrong = (
            ("buckets", not is_table, f"powers of two from 2 to {1 << MAX_BUCKET_BITS}"),
            ("bits", self.bits not in BITS, "1, 2 or 4"),
            ("dims", self.dims not in range(8, encoder_dimensions + 1, 8), f"multiples of 8 up to {encoder_dimensions}"),
            ("steps", self.steps < 1, "1 and more"),
            ("penalty", not 0 < self.penalty < float("inf"), "above 0"),
            ("threads", self.threads < 1, "1 and more"),
            ("hold_out", not 0 <= self.hold_out < 1, "0 to below 1"),
            ("max_pairs", self.max_pairs < 1, "1 and more"),
        )
        for name, is_wrong, allowed in wrong:
            if is_wrong:
                raise Fault("invalid_input", f"`{name}` is out of range.", value=getattr(self, name), allowed=allowed)


class _Teacher:
    """Teaches students from parts of the same pairs."""

    def __init__(self, pairs: AlignedPairs, embedder: Embedder, options: _Options, tell: Progress) -> None:
        self._pairs = pairs
        self._encoder = embedder.spec
        self._options = options
        self._tell = tell
        #: float32[labels, encoder dimensions]
        self.vectors = embedder.embed(list(pairs.labels), "document")

    def teach(self, rows: NDArray[np.int64]) -> Student:
        """A student taught on these rows of the pairs."""
        options = self._options
        pairs = [self._pairs.rows[row] for row in rows.tolist()]
        labels, label_of = np.unique(self._pairs.label_of[rows], return_inverse=True)
        mean, components = _principal_components(self.vectors[labels], options.dims)
        targets = projected(self.vectors[labels], mean, components)
        # The same text with the same meaning in several languages or sources is one equation.
        first = _first_of_each([pair.text for pair in pairs], label_of)
        self._tell("features", 0.0)
        counts = feature_counts([pairs[row].text for row in first.tolist()], options.bucket_bits)
        features, importance = weighted(counts)
        weights = ridge(
            features,
            targets[label_of[first]],
            penalty=options.penalty,
            steps=options.steps,
            threads=options.threads,
            progress=lambda share: self._tell("learn", share),
        )
        weights *= importance[:, None]
        spec = StudentSpec(
            encoder_model=self._encoder.model,
            encoder_weights=self._encoder.weights_digest,
            encoder_dimensions=self._encoder.dimensions,
            languages=taught_languages(pairs),
            dims=options.dims,
            bucket_bits=options.bucket_bits,
            bits=options.bits,
            pairs=len(pairs),
            training_digest=AlignedPairs(pairs, (), rows, 0).digest(),
        )
        return Student(spec, PackedRows.pack(weights, options.bits), mean, components, LanguageProfile.fit(pairs))


def weighted(counts: sparse.csr_array) -> tuple[sparse.csr_array, NDArray[np.float32]]:
    """Square roots of counts times smoothed idf, rows of unit length; and the idf, float32[buckets], 0 where never seen.

    The student leaves the length of a row out: it does not change the direction of the vector.
    """
    buckets = counts.shape[1]
    frequency = np.bincount(counts.indices, minlength=buckets)
    idf = np.where(frequency > 0, np.log((1 + counts.shape[0]) / (1 + frequency)) + 1, 0).astype(np.float32)
    values = np.sqrt(counts.data) * idf[counts.indices]
    sizes = np.diff(counts.indptr)
    rows = np.repeat(np.arange(counts.shape[0]), sizes)
    lengths = np.sqrt(np.bincount(rows, values.astype(np.float64) ** 2, minlength=counts.shape[0]))
    values /= np.repeat(np.maximum(lengths, 1e-9), sizes).astype(np.float32)
    return type(counts)((values, counts.indices, counts.indptr), shape=counts.shape), idf


def taught_languages(pairs: Sequence[AlignedPair]) -> tuple[str, ...]:
    """English, and the languages that are translated: those where at least half of the texts are not their English label."""
    total: Counter[str] = Counter()
    translated: Counter[str] = Counter()
    for pair in pairs:
        total[pair.language] += 1
        translated[pair.language] += is_english(pair.language) or label_identity(pair.text) != label_identity(pair.english)
    return tuple(sorted(language for language in total if 2 * translated[language] >= total[language]))


def even_draw(pairs: AlignedPairs, rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most `most` of these rows, ascending: languages with few pairs whole, the others as many as each other."""
    if rows.size <= most:
        return rows
    shuffled = rows[np.random.default_rng(seed).permutation(rows.size)]
    _, language = np.unique(np.array([pairs.rows[row].language for row in shuffled.tolist()]), return_inverse=True)
    sizes = np.bincount(language)
    quota = _even_quota(sizes, most)
    order = np.argsort(language, kind="stable")
    place = np.arange(rows.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(shuffled[order[place < quota]])


def _even_quota(sizes: NDArray[np.int64], most: int) -> int:
    """The largest number of pairs per language that keeps the sum within `most`."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(sizes, middle).sum()) <= most:
            low = middle
        else:
            high = middle - 1
    return low


def _first_of_each(texts: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the first occurrence of each different (text, label), ascending."""
    first: dict[tuple[str, int], int] = {}
    for row, key in enumerate(zip(texts, labels.tolist(), strict=True)):
        first.setdefault(key, row)
    return np.fromiter(first.values(), np.int64, len(first))


def _principal_components(vectors: NDArray[np.float32], dims: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean, float32[e], and first principal components, float32[e, dims], each with its largest entry positive."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - mean
    _, components = np.linalg.eigh(centred.T @ centred)
    components = components[:, ::-1][:, :dims]
    largest = np.abs(components).argmax(axis=0)
    components = components * np.sign(components[largest, np.arange(dims)])
    return mean.astype(np.float32), components.astype(np.float32)


def _silent(_what: str, _share: float) -> None:
    """Progress that nobody asked for."""
