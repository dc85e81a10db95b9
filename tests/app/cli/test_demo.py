"""`taxomind demo`: the main job on the shipped example."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from taxomind_app import demo
from taxomind_resources.faults import Fault

Call = Callable[..., Any]


@pytest.mark.slow
def test_demo_answers_reports_and_is_idempotent(call: Call, fresh: Path) -> None:
    first = call("--data", fresh, "demo")
    assert first.code == 0, first.err
    assert "8322 Car, Taxi and Van Drivers" in first.out
    assert "Plant and Machine" in first.out
    assert "Report (300 texts with a known code)" in first.out
    assert str(fresh / "taxomind.duckdb") in first.out
    assert f"taxomind ui --data {fresh}" in first.out
    for asset in ("raw_taxonomy", "node_index", "classification_results", "error_report"):
        assert asset in first.err
    second = call("--data", fresh, "demo", "--json")
    shown = json.loads(second.out)
    assert shown["assets_made"] == []
    assert shown["report"]["texts"] == 300
    assert {answer["language"] for answer in shown["answers"]} == {"en", "fr", "es", "de"}
    assert (fresh / "taxomind.duckdb").is_file()


def test_example_is_found_beside_the_packages() -> None:
    folder = demo.example_folder()
    assert (folder / "taxonomy.csv").is_file()


def test_example_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "examples" / "isco08"
    for name in ("taxonomy.csv", "texts/survey-answers.csv", "labelled/job-titles.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "site-packages" / "taxomind_app" / "demo.py"))
    monkeypatch.chdir(tmp_path)
    assert demo.example_folder() == folder


def test_missing_example_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "site-packages" / "taxomind_app" / "demo.py"))
    folder = tmp_path / "data" / "examples" / "isco08"
    folder.mkdir(parents=True)
    (folder / "taxonomy.csv").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Fault, match=r"lacks texts/survey-answers.csv, labelled/job-titles.csv") as raised:
        demo.example_folder()
    assert raised.value.code == "unreadable_file"


def test_some_answers_of_each_language_are_shown_in_file_order() -> None:
    results = pa.table(
        {
            "source_file": ["b", "a", "a", "a", "a"],
            "row": [1, 3, 1, 2, 4],
            "language": ["en", "en", "en", "fr", "fr"],
        }
    )
    shown = demo.some_answers(results, 1)
    assert shown.to_pylist() == [
        {"source_file": "a", "row": 1, "language": "en"},
        {"source_file": "a", "row": 2, "language": "fr"},
    ]
