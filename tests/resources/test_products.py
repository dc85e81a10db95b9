from __future__ import annotations

import threading

import numpy as np
import pytest

from taxomind_resources.products import BATCH, RowProducts


def rows(m: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(m, d)).astype(np.float32)


@pytest.mark.parametrize("m", [0, 1, 7, 3000])
@pytest.mark.parametrize("b", [0, 1, BATCH - 1, BATCH, BATCH + 1])
def test_products_are_those_of_numpy(m: int, b: int) -> None:
    fixed, vectors = rows(m, 32), rows(b, 32, 1)
    found = RowProducts(fixed)(vectors)
    assert found.shape == (m, b)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, fixed @ vectors.T, atol=1e-4)


def test_vectors_that_are_no_plain_block_are_multiplied_as_well() -> None:
    products, vectors = RowProducts(rows(3000, 32)), rows(2 * BATCH, 64, 1)[::2, ::2]
    np.testing.assert_allclose(products(vectors), products.rows @ vectors.T, atol=1e-4)
    np.testing.assert_allclose(products(vectors.astype(np.float64)), products.rows @ vectors.T, atol=1e-4)


def test_a_result_may_be_overwritten_without_harm_to_the_next() -> None:
    products, vectors = RowProducts(rows(3000, 32)), rows(BATCH, 32, 1)
    expected = products(vectors).copy()
    products(vectors)[:] = np.nan
    np.testing.assert_array_equal(products(vectors), expected)
    assert np.isfinite(products.rows).all()


def test_threads_do_not_disturb_each_other() -> None:
    products = RowProducts(rows(3000, 32))
    blocks = [rows(BATCH, 32, seed) for seed in range(12)]
    found: dict[int, np.ndarray] = {}

    def multiply(own: range) -> None:
        for i in own:
            found[i] = products(blocks[i]).copy()

    threads = [threading.Thread(target=multiply, args=(range(start, 12, 3),)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, block in enumerate(blocks):
        np.testing.assert_allclose(found[i], products.rows @ block.T, atol=1e-4)
