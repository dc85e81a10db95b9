from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from taxomind_assets.reports import summary
from taxomind_assets.reports.metrics import compare, measure
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.faults import Fault

Maker = Callable[..., pa.Table]


@pytest.fixture
def errors(judged: Maker) -> pa.Table:
    golds = ["aaa", "aaa", "aab", "ab", "ba", "ba", "aaa", "aa"]
    codes = ["ba", "b", "aaa", "ab", "b", "aaa", None, "aaa"]
    return judged(golds, codes, confidence=[0.9, 0.7, 0.95, 0.6, 0.5, 0.4, 0.0, 0.3])


def test_headline_shows_per_cents_numbers_and_intervals(tree: Taxonomy, errors: pa.Table) -> None:
    rows = {row["measure"]: row for row in summary.headline(measure(tree, errors))}
    assert rows["right"]["value"] == "12.5%"
    assert rows["right"]["n"] == "8"
    assert rows["right"]["95% interval"].endswith("%")
    assert rows["best leaf right"] == {"measure": "best leaf right", "value": "-", "95% interval": "-", "n": "0"}
    assert rows["right at level 1"]["value"] == "50.0%"
    assert "." in rows["calibration error of the answers"]["value"]
    assert "%" not in rows["calibration error of the answers"]["value"]


def test_worst_branches_are_those_that_lose_most_texts(tree: Taxonomy, errors: pa.Table) -> None:
    rows = summary.worst_branches(tree, errors).to_pylist()
    assert [(row["code"], row["texts"], row["lost"], row["taken_for"], row["taken_for_texts"]) for row in rows] == [
        ("a", 6, 2, "b", 2),
        ("b", 2, 1, "a", 1),
    ]
    assert rows[0]["lost_low"] < rows[0]["lost_share"] < rows[0]["lost_high"]
    assert rows[0]["right"] == pytest.approx(3 / 6)
    deeper = summary.worst_branches(tree, errors, depth=2).to_pylist()
    assert [(row["code"], row["texts"], row["lost"]) for row in deeper] == [("aa", 5, 2), ("ba", 2, 1)], (
        "b stops early, above ba"
    )
    assert deeper[0]["taken_for"] == "ba"


def test_divergences_count_the_forks_per_level(tree: Taxonomy, errors: pa.Table) -> None:
    rows = summary.divergences(tree, errors).to_pylist()
    assert [(row["level"], row["texts"], row["mixed_up"]) for row in rows] == [(1, 3, 2), (3, 1, 1)]
    assert (rows[0]["correct_child"], rows[0]["chosen_child"]) == ("a Animals", "b Toys")
    assert sum(row["share"] for row in rows) == pytest.approx(1)


def test_sample_errors_are_mistakes_only(errors: pa.Table) -> None:
    surest = summary.sample_errors(errors, size=3)
    assert surest["confidence"].to_pylist() == pytest.approx([0.95, 0.9, 0.7])
    drawn = summary.sample_errors(errors, size=3, order="random", seed=4)
    assert drawn.equals(summary.sample_errors(errors, size=3, order="random", seed=4))
    everything = summary.sample_errors(errors, size=99, order="random")
    assert set(everything["outcome"].to_pylist()) == {"wrong_branch", "over"}
    assert len(everything) == 5
    with pytest.raises(Fault):
        summary.sample_errors(errors, order="alphabetic")  # type: ignore[arg-type]


def test_reports_as_markdown_and_text(tree: Taxonomy, errors: pa.Table) -> None:
    metrics = measure(tree, errors)
    markdown = summary.as_markdown(tree, errors, metrics)
    assert markdown.startswith("### Headline figures\n\n| measure | value |")
    assert "### Branches that lose most texts" in markdown
    assert "| a Animals | 6 | 2 (33%) | b Toys (2) |" in markdown
    text = summary.as_text(tree, errors, metrics)
    assert text.startswith("8 texts with a known code\n  measure ")
    assert all(line == line.rstrip() for line in text.splitlines())
    empty = errors.slice(0, 0)
    assert summary.as_markdown(tree, empty, measure(tree, empty)) == "No text with a known code was judged."
    assert summary.as_text(tree, empty, measure(tree, empty)) == "No text with a known code was judged."


def test_reports_without_mistakes_say_none(tree: Taxonomy, judged: Maker) -> None:
    right = judged(["aaa", "ba"], ["aaa", "ba"], confidence=[0.9, 0.8])
    assert summary.as_text(tree, right, measure(tree, right)).count("None.") == 2


def test_side_by_side_marks_the_best_and_the_clear_differences(tree: Taxonomy, judged: Maker) -> None:
    golds = ["aaa", "aab"] * 100
    table = compare(tree, {"old": judged(golds, ["aaa"] * 200), "new": judged(golds, golds)})
    row = next(row for row in summary.side_by_side(table) if row["measure"] == "exact")
    assert row == {"measure": "exact", "n": "200", "old": "50.0%", "new": "100.0% * +"}


def test_markdown_cells_are_escaped() -> None:
    table = summary.markdown_table([{"text": "a|b\n<img> [x](y) `c` *d*"}])
    assert table.splitlines()[2] == "| a\\|b &lt;img> \\[x](y) \\`c\\` \\*d\\* |"
    assert len(table.splitlines()) == 3


def test_text_columns_line_up_with_wide_characters() -> None:
    lines = summary.text_table(
        [{"text": "教師", "n": "1"}, {"text": "chef", "n": "2"}, {"text": "e\u0301te", "n": "3"}]
    ).splitlines()
    assert lines == ["  text  n", "  教師  1", "  chef  2", "  e\u0301te   3"]
    assert summary.text_table([{"text": "x" * 100}]).splitlines()[1] == "  " + "x" * 57 + "..."
    assert summary.text_table([]) == summary.markdown_table([]) == ""
