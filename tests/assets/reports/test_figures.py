"""The figures are pictures of the stated size, also in the odd cases."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from taxomind_assets.reports import figures, style
from taxomind_assets.reports.branches import branch_shares
from taxomind_assets.reports.judging import judge
from taxomind_assets.reports.metrics import calibration_bins, coverage_curve, measure
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

Maker = Callable[..., pa.Table]


def _picture(png: bytes) -> Image.Image:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    picture = Image.open(io.BytesIO(png))
    picture.load()
    assert picture.width == style.WIDTH_PIXELS
    return picture


def _colours(png: bytes) -> set[tuple[int, ...]]:
    return {colour for _, colour in _picture(png).convert("RGB").getcolors(1 << 20) or []}


def _all(tree: Taxonomy, errors: pa.Table) -> dict[str, bytes]:
    metrics, calibration = measure(tree, errors, resamples=20), calibration_bins(errors)
    return {
        "coverage": figures.coverage_accuracy(coverage_curve(errors), metrics),
        "answers": figures.reliability(calibration),
        "leaves": figures.reliability(calibration, "leaf"),
        "levels": figures.accuracy_by_level(metrics),
        "outcomes": figures.outcome_shares(metrics),
        "branches": figures.wrong_branches(tree, errors),
    }


@pytest.fixture(scope="module")
def many(tree: Taxonomy, targets: Maker, results: Maker) -> pa.Table:
    """300 texts in two languages: every outcome, spread confidences."""
    generator = np.random.default_rng(0)
    golds = generator.choice(["aaa", "aab", "ab", "ba", "aa"], 300).tolist()
    codes = [gold if generator.random() < 0.6 else generator.choice(["aaa", "aa", "b", "ba", None]) for gold in golds]
    confidence = generator.random(300)
    columns = {"confidence": confidence, "leaf_confidence": confidence, "top_codes": [[code or "ba"] for code in codes]}
    given = targets(golds, language=["en", "fr"] * 150)
    return judge(tree, given, results(codes, **columns))


def test_every_figure_is_a_png_of_the_stated_size(tree: Taxonomy, many: pa.Table) -> None:
    drawn = _all(tree, many)
    for name in ("coverage", "answers", "leaves", "levels"):
        assert _picture(drawn[name]).height == style.HEIGHT_PIXELS
    assert len(set(drawn.values())) == len(drawn)
    assert all(len(png) < 80_000 for png in drawn.values()), "small enough for metadata"


def test_figures_are_light_and_show_their_colours(tree: Taxonomy, many: pa.Table) -> None:
    drawn = _all(tree, many)
    for png in drawn.values():
        assert np.asarray(_picture(png).convert("L")).mean() > 150
    shown = _colours(drawn["outcomes"])
    near = [min(np.abs(np.subtract(_rgb(colour), other)).max() for other in shown) for colour in style.OUTCOME_COLOURS.values()]
    assert max(near) <= 12, "each outcome has its colour (up to the palette's rounding)"


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


@pytest.mark.parametrize(
    ("golds", "codes"),
    [([], []), (["aaa"], ["aaa"]), (["aaa", "b", "ab"], [None, None, None]), (["aaa"] * 5, ["ba"] * 5)],
    ids=["no texts", "one text", "all abstained", "one class, all wrong"],
)
def test_odd_reports_still_give_figures(tree: Taxonomy, judged: Maker, golds: list[str], codes: list[str | None]) -> None:
    for png in _all(tree, judged(golds, codes, confidence=[0.5] * len(golds))).values():
        _picture(png)


def test_many_branches_and_languages_stay_within_the_picture() -> None:
    codes = [f"Branch-{i:02d}-with-a-long-code" for i in range(40)]
    nodes = [Node(code, None, 1, (NodeText("", f"{code} and an even longer label that nobody can read"),)) for code in codes]
    tree = Taxonomy.build("wide", nodes)
    n = 400
    targets = pa.table(
        {
            "text_id": [str(i) for i in range(n)],
            "text": [f"t {i}" for i in range(n)],
            "language": [f"l{i % 9}" for i in range(n)],
            "codes": [[codes[i % 40]] for i in range(n)],
        }
    )
    results = pa.table(
        {"text_id": targets["text_id"], "code": [codes[(i // 3) % 40] for i in range(n)], "confidence": [0.4] * n}
    )
    errors = judge(tree, targets, results)
    shares, sizes, rows, columns = branch_shares(tree, errors, 16)
    assert shares.shape == (16, 18)
    assert np.allclose(shares.sum(axis=1), 1)
    assert (len(rows), columns[-2:], int(sizes.sum())) == (16, ["other", "none"], 160)
    for png in _all(tree, errors).values():
        _picture(png)


def test_branch_shares_count_by_top_node(tree: Taxonomy, judged: Maker) -> None:
    errors = judged(["aaa", "aab", "ab", "ba"], ["ab", "ba", None, "b"])
    shares, sizes, rows, columns = branch_shares(tree, errors, 16)
    assert (rows, columns) == (["a", "b"], ["a", "b", "none"])
    assert np.allclose(shares, [[1 / 3, 1 / 3, 1 / 3], [0, 1, 0]])
    assert sizes.tolist() == [3, 1]


def test_markdown_image_carries_the_picture() -> None:
    text = figures.as_markdown_image(b"\x89PNG bytes", "accuracy [by]\nlevel")
    match = re.fullmatch(r"!\[accuracy by level\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", text)
    assert match is not None
    assert base64.b64decode(match[1]) == b"\x89PNG bytes"


def test_drawing_leaves_the_callers_matplotlib_alone(tree: Taxonomy, many: pa.Table) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figures.wrong_branches(tree, many)
    assert dict(mpl.rcParams) == before


def test_importing_the_report_modules_loads_nothing_heavy() -> None:
    modules = ", ".join(f"taxomind_assets.reports.{name}" for name in ("figures", "metrics", "judging", "targets", "summary"))
    heavy = "{'matplotlib', 'scipy', 'sklearn', 'pandas', 'torch', 'dagster', 'duckdb', 'lancedb'}"
    program = f"import sys\nimport {modules}\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_few_texts_have_no_coverage_curve(tree: Taxonomy, judged: Maker) -> None:
    errors = judged(["aaa"] * 49, ["aaa"] * 49)
    png = figures.coverage_accuracy(coverage_curve(errors), measure(tree, errors, resamples=20))
    assert png == style.message(
        "What accuracy costs in coverage", "n = 49: the curve needs at least 50 texts with known codes."
    )


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.6, 1.005), (0.83, 1.005), (0.9, 1.005), (0.97, 1.005)])
def test_per_cent_ticks_are_whole_steps(low: float, high: float) -> None:
    with style.canvas("", "") as drawn:
        axes = drawn.figure.subplots()
        axes.set_ylim(low, high)
        style.per_cent_axis(axes, "y")
        ticks = 100 * np.asarray(axes.get_yticks())
    np.testing.assert_allclose(ticks, np.round(ticks), atol=1e-6)
    assert np.ptp(np.diff(ticks)) < 1e-6
    assert len(ticks) >= 3
