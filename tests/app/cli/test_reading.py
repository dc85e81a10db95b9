"""Commands that read: report, query, settings."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxomind_resources.settings import known_settings

Call = Callable[..., Any]


def test_report_shows_figures_branches_and_files(call: Call, built: Path) -> None:
    called = call("--data", built, "report")
    assert called.code == 0
    assert "Report (4 texts with a known code)" in called.out
    assert "right at level 2" in called.out
    files = [Path(line.strip()) for line in called.out.splitlines() if line.endswith(".png")]
    assert len(files) == 6
    assert all(path.is_file() for path in files)


def test_report_as_json_has_every_slice(call: Call, built: Path) -> None:
    report = json.loads(call("--data", built, "report", "--json").out)
    assert (report["taxonomy"], report["texts"], len(report["figures"])) == ("living", 4, 6)
    exact = next(row for row in report["metrics"]["all"] if row["metric"] == "exact")
    assert exact["n"] == 4
    assert "dataset=labelled" in " ".join(report["metrics"])


def test_report_is_rebuilt_with_the_settings_of_now(call: Call, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def value(metric: str) -> float:
        report = json.loads(call("--data", own, "report", "--json").out)
        return float(next(row["value"] for row in report["metrics"]["all"] if row["metric"] == metric))

    monkeypatch.setenv("TAXOMIND_ROUTING__ACCURACY_TARGET", "0.9999")
    before = value("abstained")
    assert call("--data", own, "report", "--rebuild").code == 0
    assert value("abstained") > before


def test_report_without_labelled_texts_says_where_they_belong(call: Call, built: Path) -> None:
    called = call("--data", built, "report", "--taxonomy", "none")
    assert called.code == 2
    assert "[unknown_taxonomy]" in called.err


def test_query_prints_a_table(call: Call, built: Path) -> None:
    called = call("--data", built, "query", "SELECT code, path FROM taxonomy.nodes WHERE code LIKE 'A%' ORDER BY code")
    assert called.code == 0
    assert [line.split() for line in called.out.splitlines()[2:]] == [["A", "A"], ["AB", "A|AB"], ["AF", "A|AF"]]


def test_query_prints_json_and_csv(call: Call, built: Path) -> None:
    sql = "SELECT code, label, examples FROM taxonomy.nodes WHERE code = 'AB'"
    expected = {"code": "AB", "label": "Birds"}
    (row,) = json.loads(call("--data", built, "query", sql, "--json").out)
    assert row == {**expected, "examples": ["sparrow", "owl", "parrot in a cage"]}
    (line,) = csv.DictReader(call("--data", built, "query", sql, "--csv").out.splitlines())
    assert line == {**expected, "examples": "sparrow|owl|parrot in a cage"}


@pytest.mark.parametrize(
    "sql", ["SELEC 1", "SELECT nothing FROM taxonomy.nodes", "DROP VIEW taxonomy.nodes", "", "COPY (SELECT 1) TO 'x'"]
)
def test_query_that_cannot_be_answered_is_wrong_use(call: Call, built: Path, sql: str) -> None:
    called = call("--data", built, "query", sql)
    assert (called.code, "[invalid_input]" in called.err) == (2, True)


def test_query_has_one_format(call: Call, built: Path) -> None:
    assert call("--data", built, "query", "SELECT 1", "--json", "--csv").code == 2


def test_settings_are_all_listed(call: Call, tmp_path: Path) -> None:
    rows = json.loads(call("--data", tmp_path, "settings", "--json").out)
    assert [row["name"] for row in rows] == known_settings()
    assert all(row["meaning"] for row in rows)
    assert all(row["value"] == row["default"] for row in rows[1:])
    shown = call("--data", tmp_path, "settings").out
    assert all(name in shown for name in known_settings()[1:])


def test_settings_show_where_a_taxonomy_differs(call: Call, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[taxonomy.jobs.routing]\naccuracy_target = 0.95\n")

    def target(*more: str) -> float:
        rows = json.loads(call("--data", tmp_path, "settings", "--json", *more).out)
        return float(next(row["value"] for row in rows if row["name"] == "routing.accuracy_target"))

    assert (target(), target("--taxonomy", "jobs")) == (0.8, 0.95)


def test_secrets_are_not_shown(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXOMIND_EMBEDDING__API_KEY", "sesame")
    called = call("--data", tmp_path, "settings", "--json")
    assert "sesame" not in called.out
    assert "(set)" in called.out


def test_settings_that_cannot_be_used_are_marked_among_all(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text("[routing]\naccuracy_target = 7\nalternatives = 5\ntop_kodes = 3\n")
    monkeypatch.setenv("TAXOMIND_TEXT__FIELD_ORDER", "[1, 2]")
    called = call("--data", tmp_path, "settings", "--json")
    rows = {row["name"]: row for row in json.loads(called.out)}
    assert called.code == 2
    assert "setting" in called.err
    assert set(rows) == {*known_settings(), "routing.top_kodes"}
    assert {name for name, row in rows.items() if row["problem"]} == {
        *("routing.accuracy_target", "routing.top_kodes", "text.field_order")
    }
    assert rows["routing.accuracy_target"]["value"] == rows["routing.accuracy_target"]["default"]
    assert "less than 1" in rows["routing.accuracy_target"]["problem"]
    assert "did you mean 'routing.top_codes'" in rows["routing.top_kodes"]["problem"]
    assert rows["routing.alternatives"]["value"] == 5
    shown = call("--data", tmp_path, "settings")
    assert shown.code == 2
    assert all(name in shown.out for name in known_settings()[1:])
    assert "The default holds." in " ".join(shown.out.split())


def test_settings_of_one_taxonomy_are_marked_too(call: Call, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[taxonomy.jobs.routing]\nstop_rule = 'soon'\n")
    assert call("--data", tmp_path, "settings").code == 0
    called = call("--data", tmp_path, "settings", "--taxonomy", "jobs", "--json")
    assert called.code == 2
    assert [row["name"] for row in json.loads(called.out) if row["problem"]] == ["routing.stop_rule"]


def test_a_group_that_is_no_table_is_marked(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text("routing = 3\n")
    monkeypatch.setenv("TAXOMIND_ROUTING__ALTERNATIVES", "5")
    called = call("--data", tmp_path, "settings", "--json")
    assert called.code == 2
    assert json.loads(called.out)[-1]["name"] == "routing"
