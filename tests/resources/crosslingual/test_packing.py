from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taxomind_resources.crosslingual.packing import PackedRows
from taxomind_resources.faults import Fault


@pytest.mark.parametrize(("bits", "most"), [(1, 0.37), (2, 0.13), (4, 0.02)])
def test_packing_loses_what_a_good_quantiser_loses(bits: int, most: float) -> None:
    """Max, 1960: least mean squared errors of normal values are 0.363, 0.119 and 0.0115 of their variance."""
    rows = np.random.default_rng(0).standard_normal((300, 256)).astype(np.float32)
    rows *= np.geomspace(1e-2, 1e2, 300)[:, None]
    packed = PackedRows.pack(rows, bits)
    error = np.mean((packed.rows(np.arange(300)) - rows) ** 2, axis=1) / np.mean(rows**2, axis=1)
    assert packed.codes.shape == (300, 256 * bits // 8)
    assert error.mean() < most


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_values_on_the_levels_come_back_exactly(bits: int) -> None:
    half = 1 << (bits - 1)
    levels = np.arange(-half, half, dtype=np.float32) + 0.5
    rows = np.tile(levels, (5, 32 // levels.size)) * np.array([1, 2, 0.25, 0, 8], np.float32)[:, None]
    packed = PackedRows.pack(np.asarray(rows, np.float32), bits)
    again = PackedRows.pack(packed.rows(np.arange(5)), bits)
    assert (packed.rows(np.arange(5)) == again.rows(np.arange(5))).all()
    if bits != 4:  # with sixteen equally frequent levels the best step is another one
        assert (packed.rows(np.arange(5)) == rows).all()


@given(arrays(np.float32, (4, 8), elements=st.floats(-8, 8, width=16)), st.sampled_from([1, 2, 4]))
def test_rows_are_finite_zero_rows_stay_zero_and_any_order_can_be_asked(rows: np.ndarray, bits: int) -> None:
    packed = PackedRows.pack(rows, bits)
    found = packed.rows(np.array([3, 0, 0, 2, 1]))
    assert np.isfinite(found).all()
    assert (found[1] == found[2]).all()
    assert not found[[4]][:, :].any() or rows[1].any()
    assert (PackedRows.pack(rows[::-1], bits).codes == packed.codes[::-1]).all()


@pytest.mark.parametrize(("width", "bits"), [(8, 3), (8, 8), (6, 1), (3, 4)])
def test_what_does_not_fill_bytes_is_refused(width: int, bits: int) -> None:
    with pytest.raises(Fault, match="invalid_input"):
        PackedRows.pack(np.ones((2, width), np.float32), bits)
