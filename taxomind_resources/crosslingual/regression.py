"""Ridge regression of many targets on sparse features, by conjugate gradients.

Minimises |X W - Y|^2 + penalty |W|^2 (Hoerl and Kennard, 1970) through its normal equations, which are never formed: each
step multiplies by X and by its transpose (Hestenes and Stiefel, 1952). The diagonal preconditions, so that rare features
are learned as fast as frequent ones. Few steps are a further, mild shrinkage.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

#: Targets that are solved together; bounds the memory beside the result to five matrices of this width per thread.
_BLOCK_TARGETS: Final = 64
_TINY: Final = 1e-20


def ridge(
    features: sparse.csr_array,
    targets: NDArray[np.float32],
    *,
    penalty: float,
    steps: int,
    threads: int = 2,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float32]:
    """The weights, float32[f, t].

    Args:
        features: float32 sparse [n, f].
        targets: float32[n, t]; targets are independent of each other.
        penalty: above 0.
        steps: of conjugate gradients; fewer when all targets are solved.
        threads: threads that work on different targets.
        progress: is told the share that is done, from these threads.
    """
    weights = np.zeros((features.shape[1], targets.shape[1]), np.float32)
    diagonal = np.bincount(features.indices, features.data.astype(np.float64) ** 2, minlength=features.shape[1]) + penalty
    inverse = (1 / diagonal).astype(np.float32)[:, None]
    blocks = [slice(start, start + _BLOCK_TARGETS) for start in range(0, targets.shape[1], _BLOCK_TARGETS)]
    done: list[int] = []

    def tell() -> None:
        done.append(1)
        if progress is not None:
            progress(min(len(done) / (steps * len(blocks)), 1.0))

    def solve(block: slice) -> None:
        own = np.ascontiguousarray(targets[:, block])
        weights[:, block] = _solved(features, own, inverse, penalty=penalty, steps=steps, tell=tell)

    with ThreadPoolExecutor(threads) as pool:  # the products of scipy run outside the interpreter's lock
        list(pool.map(solve, blocks))
    return weights


def _solved(
    features: sparse.csr_array,
    targets: NDArray[np.float32],
    inverse: NDArray[np.float32],
    *,
    penalty: float,
    steps: int,
    tell: Callable[[], None],
) -> NDArray[np.float32]:
    transposed = features.T
    residual: NDArray[np.float32] = transposed @ targets
    weights = np.zeros_like(residual)
    direction = inverse * residual
    size = _dots(residual, direction)
    first = size.copy()
    for _ in range(steps):
        if (size <= 1e-12 * first).all():
            break
        image = transposed @ (features @ direction)
        image += np.float32(penalty) * direction
        length = size / np.maximum(_dots(direction, image), _TINY)
        weights += length * direction
        residual -= length * image
        np.multiply(inverse, residual, out=image)
        former, size = size, _dots(residual, image)
        direction *= size / np.maximum(former, _TINY)
        direction += image
        tell()
    return weights


def _dots(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Products of equal columns, float32[t]."""
    products: NDArray[np.float32] = np.einsum("ij,ij->j", left, right)
    return products
