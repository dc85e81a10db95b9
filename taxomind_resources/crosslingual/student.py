"""A small table that puts labels and titles of many languages into an English encoder's space.

The encoder reads English texts; the student, taught on labels whose English form is known, predicts where the encoder would
put the English form of a text. Both sides are compared in a centred, reduced copy of the encoder's space (its first
principal components), so `student.vectors(titles) @ student.project(encoder_vectors).T` are cosines.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from taxomind_resources.crosslingual.features import FEATURES_VERSION, MAX_BUCKET_BITS, blocks, check_texts, feature_counts
from taxomind_resources.crosslingual.language import PROFILE_BITS, LanguageProfile
from taxomind_resources.crosslingual.packing import BITS, PackedRows
from taxomind_resources.embedding.vectors import unit_rows
from taxomind_resources.faults import Fault
from taxomind_resources.files import publishing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_resources.embedding.spec import EmbeddingSpec

#: Layout of the file. A file of another layout is refused.
FORMAT_VERSION: Final = 2
SHIPPED: Final = Path(__file__).with_name("student-2.npz")


@dataclass(frozen=True)
class StudentSpec:
    """What a student is and what it fits.

    Attributes:
        encoder_model: name of the encoder whose space it predicts.
        encoder_weights: that encoder's weights digest (`EmbeddingSpec.weights_digest`).
        encoder_dimensions: length of the encoder's vectors.
        languages: languages that it was taught, sorted (`training.taught_languages`).
        dims: length of the student's vectors.
        bucket_bits: the table has 2 to this power rows.
        bits: bits of one value of the table.
        pairs: aligned pairs that it was taught.
        training_digest: 16 hex digits over these pairs.
        features_version: version of the features (`features.FEATURES_VERSION`).
        format_version: layout of the file.
    """

    encoder_model: str
    encoder_weights: str
    encoder_dimensions: int
    languages: tuple[str, ...]
    dims: int
    bucket_bits: int
    bits: int
    pairs: int
    training_digest: str
    features_version: int = FEATURES_VERSION
    format_version: int = FORMAT_VERSION

    @property
    def buckets(self) -> int:
        """Rows of the table."""
        return 1 << self.bucket_bits

    @property
    def version(self) -> str:
        """12 hex digits over all of it."""
        return hashlib.sha256(self.to_text().encode()).hexdigest()[:12]

    def to_text(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    def fits(self, encoder: EmbeddingSpec) -> bool:
        """Whether vectors of this encoder may be handed to `Student.project`."""
        return (self.encoder_weights, self.encoder_dimensions) == (encoder.weights_digest, encoder.dimensions)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> StudentSpec:
        """From the values of `dataclasses.asdict`; unknown names are ignored.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or of another type.
        """
        read = {known.name: _typed(known.name, values[known.name]) for known in fields(cls)}
        return cls(**read)


def _typed(name: str, value: object) -> Any:
    if name == "languages":
        return tuple(str(language) for language in value)  # type: ignore[attr-defined]
    if name in ("encoder_model", "encoder_weights", "training_digest"):
        return str(value)
    return int(value)  # type: ignore[call-overload]


@dataclass(frozen=True, eq=False)
class Student:
    """Texts of many languages to vectors in the encoder's reduced space. Immutable; safe to share between threads.

    Attributes:
        spec: what it is.
        table: one packed row per bucket, [buckets, dims], already times the bucket's weight.
        mean: float32[encoder dimensions], subtracted from the encoder's vectors.
        components: float32[encoder dimensions, dims], orthonormal columns.
        profile: tells English texts, which the encoder reads itself, from others.
    """

    spec: StudentSpec
    table: PackedRows = field(repr=False)
    mean: NDArray[np.float32] = field(repr=False)
    components: NDArray[np.float32] = field(repr=False)
    profile: LanguageProfile = field(repr=False)

    @classmethod
    def load(cls, path: Path | None = None) -> Student:
        """The student in a file; without a path the shipped one, read once per process.

        Raises:
            Fault: `unreadable_file` (no such file, or damaged), `unsupported_format` (another version, or no student),
                `model_unavailable` (the shipped one is not there).
        """
        if path is not None:
            return _read(path)
        if not SHIPPED.is_file():
            raise Fault("model_unavailable", "The weights file of the package is missing.", value=SHIPPED.name)
        return _shipped()

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows, float32[b, dims]; a zero row where no feature of the text is known. The same alone and in any batch.

        Raises:
            Fault: `invalid_input` when `texts` is not a sequence of strings.
        """
        check_texts(texts)
        found = np.zeros((len(texts), self.spec.dims), np.float32)
        for start, block in blocks(texts):
            counts = feature_counts(block, self.spec.bucket_bits)
            # Only the rows that the block needs are unpacked: the whole table in floats would be 32 times the file.
            used, columns = np.unique(counts.indices, return_inverse=True)
            local = type(counts)((np.sqrt(counts.data), columns, counts.indptr), shape=(len(block), used.size))
            found[start : start + len(block)] = local @ self.table.rows(used)
        return unit_rows(found)

    def project(self, encoder_vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The encoder's vectors, float32[n, encoder dimensions], in the student's space: unit rows, float32[n, dims].

        A zero row (the encoder's vector of an empty text) stays zero.

        Raises:
            Fault: `invalid_input` for vectors of another length.
        """
        if encoder_vectors.ndim != 2 or encoder_vectors.shape[1] != self.spec.encoder_dimensions:
            raise Fault(
                "invalid_input",
                "The vectors are not those of the student's encoder.",
                value=encoder_vectors.shape,
                allowed=f"(n, {self.spec.encoder_dimensions}), from {self.spec.encoder_model}",
            )
        return projected(encoder_vectors, self.mean, self.components)

    def blended(
        self, texts: Sequence[str], encoder_vectors: NDArray[np.float32], understood: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """Vectors of node texts for `vectors(queries) @ blended.T`: unit rows, float32[n, dims].

        A text in the encoder's language is the mean of `project` (what it means) and `vectors` (words that are spelt alike
        in several languages): on held-out taxonomies this finds more than either alone. Another text is `vectors` alone.

        Args:
            texts: n node texts.
            encoder_vectors: the encoder's vectors of these texts, float32[n, encoder dimensions].
            understood: bool[n], whether the text is in a language of the encoder; None = all are.

        Raises:
            Fault: `invalid_input` as `vectors` and `project`, or when the lengths differ.
        """
        lengths = {len(texts), len(encoder_vectors), len(texts) if understood is None else len(understood)}
        if len(lengths) > 1:
            raise Fault("invalid_input", "Texts and vectors are not equally many.", value=sorted(lengths))
        own, meaning = self.vectors(texts), self.project(encoder_vectors)
        if understood is not None:
            meaning[~understood] = 0
        return unit_rows(own + meaning)

    def save(self, path: Path) -> Path:
        """Write the student at once; equal students give equal bytes.

        Raises:
            Fault: `storage_failed`.
        """
        spec = self.spec.to_text().encode()
        with publishing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                spec=np.frombuffer(spec, np.uint8),
                codes=self.table.codes,
                steps=self.table.steps,
                mean=self.mean,
                components=self.components,
                language=self.profile.weights,
                language_intercept=np.array([self.profile.intercept], np.float16),
            )
        return path


def projected(vectors: NDArray[np.float32], mean: NDArray[np.float32], components: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors float32[n, e] minus `mean` [e], times `components` [e, dims], as unit rows; zero rows stay zero."""
    reduced = np.asarray((vectors - mean) @ components, np.float32)
    reduced[~vectors.any(axis=1)] = 0
    return unit_rows(reduced)


@lru_cache(maxsize=1)
def _shipped() -> Student:
    return _read(SHIPPED)


def _read(path: Path) -> Student:
    spec, arrays = read_arrays(path)
    _check_shapes(path, arrays, _table_shapes(spec))
    table = PackedRows(arrays["codes"], arrays["steps"], spec.bits)
    return Student(spec, table, arrays["mean"], arrays["components"], profile_of(path, arrays))


def read_arrays(path: Path, only: Collection[str] | None = None) -> tuple[StudentSpec, dict[str, NDArray[Any]]]:
    """What a student's file says about itself, and its arrays; `only` some of them, which is much faster.

    Raises:
        Fault: as `Student.load` with a path.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise _foreign(path, "a single array")
        with file:
            arrays = {name: file[name] for name in file.files if only is None or name in {"spec", *only}}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise Fault("unreadable_file", f"The student's file cannot be read: {error}.", value=str(path)) from error
    try:
        spec = StudentSpec.from_mapping(json.loads(arrays["spec"].tobytes()))
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(path, f"no description ({error})") from error
    if (spec.format_version, spec.features_version) != (FORMAT_VERSION, FEATURES_VERSION):
        raise _foreign(path, f"version {spec.format_version}.{spec.features_version}")
    if spec.bits not in BITS or not 1 <= spec.bucket_bits <= MAX_BUCKET_BITS:
        raise _foreign(path, f"{spec.bits} bits, {spec.bucket_bits} bucket bits")
    for array in arrays.values():
        array.setflags(write=False)
    return spec, arrays


def profile_of(path: Path, arrays: Mapping[str, NDArray[Any]]) -> LanguageProfile:
    """The language profile among the arrays of a file.

    Raises:
        Fault: `unsupported_format`.
    """
    _check_shapes(path, arrays, PROFILE_SHAPES)
    return LanguageProfile(arrays["language"], float(arrays["language_intercept"][0]))


_Shapes: TypeAlias = Mapping[str, tuple[tuple[int, ...], type]]
PROFILE_SHAPES: Final[_Shapes] = {"language": ((1 << PROFILE_BITS,), np.float16), "language_intercept": ((1,), np.float16)}


def _table_shapes(spec: StudentSpec) -> _Shapes:
    return {
        "codes": ((spec.buckets, spec.dims * spec.bits // 8), np.uint8),
        "steps": ((spec.buckets,), np.float16),
        "mean": ((spec.encoder_dimensions,), np.float32),
        "components": ((spec.encoder_dimensions, spec.dims), np.float32),
    }


def _check_shapes(path: Path, arrays: Mapping[str, NDArray[Any]], expected: _Shapes) -> None:
    for name, (shape, kind) in expected.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != kind:
            raise _foreign(path, f"{name}: {'nothing' if array is None else (array.shape, str(array.dtype))}")
        if not np.isfinite(array).all():
            raise _foreign(path, f"{name} with values that are no numbers")


def _foreign(path: Path, found: str) -> Fault:
    return Fault(
        "unsupported_format",
        f"The file is not a student of this version; it holds {found}.",
        value=str(path),
        allowed=f"version {FORMAT_VERSION}.{FEATURES_VERSION}",
        next_step="Train it again: `taxomind crosslingual train`.",
    )
