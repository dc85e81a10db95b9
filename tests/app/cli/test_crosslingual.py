"""`taxomind crosslingual train` as a person calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxomind_resources.crosslingual import Student

EXAMPLES = Path(__file__).resolve().parents[3] / "data" / "examples"


@pytest.fixture
def aligned(tmp_path: Path) -> Path:
    """A folder with a table of pairs, and a file that is none."""
    folder = tmp_path / "aligned"
    folder.mkdir()
    words = [("Bäcker", "baker"), ("Lehrerin", "teacher"), ("Pfleger", "nurse"), ("Fahrer", "driver"), ("", "nobody")]
    rows = [f"de,{german},{english},jobs" for german, english in words]
    (folder / "pairs.csv").write_text("\n".join(["language,text,english,source", *rows]), encoding="utf-8")
    (folder / "README.md").write_text("Where they come from.", encoding="utf-8")
    return folder


def test_train_writes_a_student_that_loads(call: Callable[..., Any], fresh: Path, aligned: Path, tmp_path: Path) -> None:
    output = tmp_path / "own [1].npz"
    called = call("crosslingual", "train", "--input", aligned, "--output", output, "--hold-out", "0", "--data", fresh)
    assert called.code == 0, called.err
    student = Student.load(output)
    assert student.spec.languages == ("de",)
    assert "4 pairs of 4 English labels" in called.out
    assert f'crosslingual = "{output.as_posix()}"' in called.out
    assert "1 rows have no" in called.err or "Remark: 1 " in called.err
    assert "learn" in called.err


def test_train_measures_labels_that_it_held_out(call: Callable[..., Any], fresh: Path, tmp_path: Path) -> None:
    files = EXAMPLES / "isco08" / "taxonomy.csv"
    called = call("crosslingual", "train", "-i", files, "-o", tmp_path / "jobs.npz", "--json", "--data", fresh)
    assert called.code == 0, called.err
    found = json.loads(called.out)
    assert found["languages"] == ["de", "en", "es", "fr"]
    assert found["taught_all"]
    assert {score["language"] for score in found["scores"]} == {"de", "es", "fr"}
    assert all(score["hit_10"] > score["encoder_hit_10"] for score in found["scores"])


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--input", "nothing.csv", "--output", "x.npz"], 1, "no such file or folder"),
        (["--input", EXAMPLES / "notes", "--output", "x.npz"], 2, "No node of the taxonomy has both"),
        (["--input", EXAMPLES / "isco08" / "taxonomy.csv", "--output", "x.zip"], 2, "ends in .npz"),
        (["--input", EXAMPLES / "isco08" / "taxonomy.csv", "--output", "."], 2, "ends in .npz"),
        (["--input", EXAMPLES / "isco08" / "taxonomy.csv", "--output", "x.npz", "--hold-out", "1.5"], 2, "hold_out"),
    ],
)
def test_wrong_use_is_said_before_any_work(
    call: Callable[..., Any],
    fresh: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str | Path],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    called = call("crosslingual", "train", *options, "--data", fresh)
    assert (called.code, said in called.err) == (code, True), called.err
    assert not (tmp_path / "x.npz").exists()
