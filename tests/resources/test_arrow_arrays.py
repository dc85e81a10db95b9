"""Arrow arrays without pandas are those that pyarrow itself makes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_resources.arrow_arrays import numbers_array, repeated_text, texts_array


@settings(deadline=None)  # the first call of pyarrow's own loads pandas
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_are_those_of_pyarrow(values: list[str | None]) -> None:
    assert texts_array(values).equals(pa.array(values, pa.string()))


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float32, np.float64, np.bool_])
@settings(deadline=None)
@given(values=st.lists(st.integers(0, 100)), nulls=st.integers(0, 2**30))
def test_numbers_and_truth_values_are_those_of_pyarrow(kind: type, values: list[int], nulls: int) -> None:
    numbers = np.array(values, np.int64).astype(kind)
    null = np.array([bool(nulls >> place % 30 & 1) for place in range(numbers.size)], np.bool_)
    assert numbers_array(numbers).equals(pa.array(numbers))
    assert numbers_array(numbers, null=null).equals(pa.array(numbers, mask=null))
    assert numbers_array(numbers[::2]).equals(pa.array(numbers[::2]))


@pytest.mark.parametrize("times", [0, 1, 3])
def test_repeated_text_is_that_of_pyarrow(times: int) -> None:
    assert repeated_text("né", times).equals(pa.array(["né"] * times, pa.string()))


def test_no_pandas_is_loaded() -> None:
    program = (
        "import sys, numpy as np; from taxomind_resources.arrow_arrays import numbers_array, repeated_text, texts_array;"
        "texts_array(['a', None]); repeated_text('a', 2); numbers_array(np.ones(3, bool)); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
