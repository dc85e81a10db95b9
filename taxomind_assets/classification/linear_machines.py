"""Linear support vector machines that share their features (Fan et al., 2008, "LIBLINEAR"), each with a side of its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from taxomind_assets.views.postings import summed_postings
from taxomind_resources.products import RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.voter_features import Described

#: Penalty of a machine's errors, and how exactly and how long it is trained (more changes no accuracy, measured).
_PENALTY: Final = 1.0
_TOLERANCE: Final = 0.1
_PASSES: Final = 10
#: Coefficients of words under this size are dropped: they are most of them, and decide nothing.
_SMALLEST: Final = 0.02


@dataclass(frozen=True)
class LinearMachines:
    """c machines.

    Attributes:
        of_words: coefficients of words, float32 sparse [v, c].
        of_principal: coefficients of what is principal in vectors, float32[c, k].
        intercepts: float32[c].
    """

    of_words: sparse.csr_array
    of_principal: NDArray[np.float32]
    intercepts: NDArray[np.float32]

    @classmethod
    def stacked(cls, trained: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], words: int) -> LinearMachines:
        """One object of what `train` gave; `words` = v."""
        of_words = sparse.vstack([_large(coefficients[:, :words]) for coefficients, _ in trained]).T
        of_principal = np.concatenate([coefficients[:, words:] for coefficients, _ in trained])
        intercepts = np.concatenate([own for _, own in trained])
        return cls(sparse.csr_array(of_words), np.ascontiguousarray(of_principal, np.float32), intercepts.astype(np.float32))

    def margins(self, texts: Described) -> NDArray[np.float32]:
        """How far each text lies on the side of each machine, float32[c, b]."""
        found = summed_postings(texts.words, self._postings) + self.intercepts
        margins: NDArray[np.float32] = self._products(texts.principal) + found.T.astype(np.float32)
        return margins

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The numbers by name."""
        return {
            "coefficients": self.of_words.data,
            "coefficient_columns": self.of_words.indices.astype(np.int32),
            "coefficient_ends": self.of_words.indptr.astype(np.int64),
            "of_principal": self.of_principal,
            "intercepts": self.intercepts,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> LinearMachines:
        """The inverse of `to_arrays`."""
        parts = arrays["coefficients"], arrays["coefficient_columns"], arrays["coefficient_ends"]
        intercepts = np.asarray(arrays["intercepts"])
        shape = arrays["coefficient_ends"].size - 1, intercepts.size
        return cls(sparse.csr_array(parts, shape=shape), np.asarray(arrays["of_principal"]), intercepts)

    @cached_property
    def _products(self) -> RowProducts:
        """A text's product depends on no other text of its block."""
        return RowProducts(self.of_principal)

    @cached_property
    def _postings(self) -> sparse.csr_array:
        """The coefficients with 32-bit places."""
        own = self.of_words
        parts = (own.data, own.indices.astype(np.int32), own.indptr.astype(np.int32))
        return sparse.csr_array(parts, shape=own.shape)


@contextmanager
def few_passes() -> Iterator[None]:
    """Nobody is told that machines could be trained longer: it would change no answer."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def train(data: sparse.csr_matrix, sides: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A machine for each side against all others, or one alone for side 1 of two.

    Args:
        data: sparse [r, f], 32-bit places.
        sides: int64[r], 0 to g - 1; each is there, and there are two at least.

    Returns:
        float64[c, f] coefficients and float64[c] intercepts; c = g, or 1 when g is 2.
    """
    from sklearn.svm import LinearSVC

    # The order in which it visits rows is drawn from a fixed seed.
    found: Any = LinearSVC(C=_PENALTY, tol=_TOLERANCE, max_iter=_PASSES, random_state=0).fit(data, sides)
    return found.coef_, found.intercept_


def _large(coefficients: NDArray[np.float64]) -> sparse.csr_array:
    """Those that are not small, float32 sparse."""
    return sparse.csr_array(np.where(np.abs(coefficients) < _SMALLEST, 0, coefficients).astype(np.float32))
