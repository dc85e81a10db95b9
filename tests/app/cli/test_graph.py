"""What the progress lines of a run say."""

from __future__ import annotations

import pytest

from taxomind_app.cli.graph import _counted


@pytest.mark.parametrize(
    ("rows", "unit", "shown"),
    [
        (1, "calibrations", "1 calibration"),
        (0, "calibrations", "0 calibrations"),
        (1, "texts judged", "1 text judged"),
        (1200, "texts judged", "1,200 texts judged"),
    ],
)
def test_a_number_agrees_with_its_unit(rows: int, unit: str, shown: str) -> None:
    assert _counted(rows, unit) == shown
