from __future__ import annotations

import threading

import numpy as np
import pytest

from taxomind_resources.products import BATCH, RowProducts, has_bfloat16


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


def unit(m: int, seed: int = 0) -> np.ndarray:
    vectors = rows(m, 128, seed)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_vector_has_the_same_products_alone_and_among_others(bfloat16: bool) -> None:
    products, vectors = RowProducts(unit(3000), bfloat16=bfloat16), unit(2 * BATCH + 5, 1)
    together = products(vectors).copy()
    for size in (1, 7, BATCH):
        parts = [products(vectors[start : start + size]).copy() for start in range(0, len(vectors), size)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), together)
    np.testing.assert_array_equal(products(np.ascontiguousarray(vectors[::-1])), together[:, ::-1])


def test_products_in_bfloat16_err_little() -> None:
    fixed = unit(3000)
    vectors = np.concatenate((fixed[:40], unit(60, 1)))  # some that are rows themselves, whose errors are the largest
    found, exact = RowProducts(fixed, bfloat16=True)(vectors), fixed @ vectors.T
    assert np.abs(found - exact).max() < 0.004
    assert np.sqrt(np.square(found - exact).mean()) < 0.0005
    assert has_bfloat16() == bool(np.abs(found - exact).max() > 1e-5)


def test_few_rows_are_multiplied_without_rounding() -> None:
    fixed = unit(9)
    np.testing.assert_array_equal(RowProducts(fixed, bfloat16=True)(fixed), fixed @ fixed.T)
