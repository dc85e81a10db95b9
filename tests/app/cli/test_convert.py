"""`taxomind taxonomy convert` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taxomind_app.cli.convert import EPILOG
from taxomind_app.cli.main import main
from taxomind_assets.taxonomy.converters import CONVERTERS
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_resources.settings import LimitSettings


@pytest.fixture
def structure(tmp_path: Path) -> Path:
    """A UN structure file with one bad row."""
    path = tmp_path / "isic.csv"
    path.write_text('"Code","Description"\n"01","Crops"\n"zz","Nothing"\n"A","Agriculture"\n', encoding="utf-8")
    return path


def test_convert_writes_files_that_can_be_added(structure: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out [1]"
    assert main(["taxonomy", "convert", "isic4", str(structure), "--output", str(output)]) == 0
    printed = capsys.readouterr()
    assert "2 nodes" in printed.out
    assert "out [1]" in printed.out
    assert "Refused: line 3: 'zz'" in printed.err
    found = read_taxonomy(output / "taxonomy.csv", "isic4", LimitSettings())  # type: ignore[call-arg]
    assert found.taxonomy.codes == ["A", "01"]


def test_convert_as_json_lists_every_refused_row(structure: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["taxonomy", "convert", "isic4", str(structure), "-o", str(tmp_path / "out"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["nodes"], result["training_rows"]) == (2, 0)
    assert [(row["line"], row["reason_code"]) for row in result["rejected"]] == [(3, "bad_code")]


def test_unknown_format_is_wrong_use_and_writes_nothing(
    structure: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["taxonomy", "convert", "isic", str(structure), "-o", str(tmp_path / "out")]) == 2
    assert "Did you mean 'isic4'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_refused_file_fails_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.csv"
    path.write_text("Code,Description\n1,Crops\n11,Growing or beverages\n", encoding="utf-8")
    assert main(["taxonomy", "convert", "isic4", str(path), "-o", str(tmp_path / "out")]) == 1
    assert "division 11 or group 011" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_names_every_converter() -> None:
    assert all(f"{name}: " in EPILOG for name in CONVERTERS)
