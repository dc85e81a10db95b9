"""Our figures equal those of the public scorer, text by text and measure by measure (needs the benchmark's folder)."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from taxomind_assets.reports.judging import judge
from taxomind_assets.reports.metrics import measure, value_of
from taxomind_assets.reports.targets import KnownText, collect
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

BENCH = os.environ.get("TAXOMIND_BENCH", "")
pytestmark = pytest.mark.skipif(not (BENCH and Path(BENCH, "metrics.py").is_file()), reason="TAXOMIND_BENCH is not set")


@pytest.fixture(scope="module")
def scorer() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The scorer's modules `data` and `metrics`, loaded from their files."""
    loaded = {}
    for name in ("data", "metrics"):
        spec = importlib.util.spec_from_file_location(name, Path(BENCH, f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = loaded[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded[name])
    yield loaded["data"], loaded["metrics"]
    for name in loaded:
        del sys.modules[name]


def _answers(texts: list[Any], paths: dict[str, tuple[str, ...]], seed: int) -> list[dict[str, Any]]:
    """Answers of every outcome, with ties among the confidences and candidates of different length."""
    draw, codes = random.Random(seed), list(paths)
    rows = []
    for item in texts:
        gold = draw.choice(item.codes)
        code = draw.choice([gold, gold, draw.choice(paths[gold]), draw.choice(codes), None])
        confidence = float(np.float32(round(draw.random(), draw.choice([1, 3, 7])))) if code else 0.0
        ranked = dict.fromkeys(draw.choices(codes, k=draw.randrange(20)))
        if draw.random() < 0.7:
            ranked = dict.fromkeys([*list(ranked)[: draw.randrange(12)], gold, *ranked])
        rows.append({"text_id": item.text_id, "code": code, "confidence": confidence, "top_codes": list(ranked)})
    return rows


@pytest.mark.parametrize(("dataset", "language"), [("isco08", "en"), ("ecoicop-pl-products", "pl"), ("us-soc-2018-onet", "en")])
def test_figures_equal_the_public_scorers(scorer: tuple[ModuleType, ModuleType], dataset: str, language: str) -> None:
    data, scores = scorer
    folder = Path(BENCH, "data", dataset)
    reference = data.Taxonomy.load(folder, language)
    texts = data.load_texts(folder, reference, language)[:3000]
    nodes = [
        Node(n.code, n.parent or None, len(reference.paths[n.code]), (NodeText("", n.label, n.definition, tuple(n.examples)),))
        for n in reference.nodes.values()
    ]
    tree = Taxonomy.build(dataset, nodes)
    rows = [row for row in data.read_rows(folder / "labelled.csv") if row["language"] == language]
    known = (
        KnownText("labelled.csv", *(row[name].strip() for name in ("text_id", "text", "language", "code"))) for row in rows
    )
    targets = collect(tree, (text for text in known if text.text and text.code in tree.position)).slice(0, len(texts))
    assert targets["text_id"].to_pylist() == [item.text_id for item in texts]
    assert targets["codes"].to_pylist() == [list(item.codes) for item in texts]

    answers = _answers(texts, reference.paths, seed=1)
    errors = judge(tree, targets, pa.Table.from_pylist(answers))
    assert errors["verbatim"].to_pylist() == [item.verbatim for item in texts]
    judged = [
        scores.Answer(
            scores.choose_gold(reference, item.codes, row["code"] or ""),
            row["code"] or "",
            row["confidence"],
            tuple(row["top_codes"]),
        )
        for item, row in zip(texts, answers, strict=True)
    ]
    assert errors["target_code"].to_pylist() == [answer.gold for answer in judged]
    metrics = measure(tree, errors, slices=False, resamples=0)
    for name, expected in scores.summary(reference, judged).items():
        level = int(name.removeprefix("level_")) if name.startswith("level_") else None
        metric = "level_accuracy" if level else {"right": "exact", "n": "exact"}.get(name, name)
        row = value_of(metrics, metric, level=level)
        assert row is not None, name
        assert row["n" if name == "n" else "value"] == pytest.approx(expected, abs=1e-9), name
