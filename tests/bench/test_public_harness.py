"""Texts, splits and measures equal those of the public harness (needs its folder, named by TAXOMIND_BENCH)."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from taxomind_assets.taxonomy.tree import ROOT
from tests.bench.material import BenchSet, taxonomy_of, texts_of
from tests.bench.measures import Answered, kept, measured
from tests.bench.splits import few_shot, sample, split

BENCH = os.environ.get("TAXOMIND_BENCH", "")
pytestmark = pytest.mark.skipif(not (BENCH and Path(BENCH, "splits.py").is_file()), reason="TAXOMIND_BENCH is not set")
SETS = [("isco08", "en"), ("isco08", "fr"), ("ecoicop-pl-products", "pl"), ("clinc150", "en"), ("us-soc-2018-onet", "en")]


@pytest.fixture(scope="module")
def harness() -> Iterator[SimpleNamespace]:
    """The harness's modules, loaded from their files."""
    loaded = SimpleNamespace()
    names = ("data", "metrics", "splits")
    for name in names:
        spec = importlib.util.spec_from_file_location(name, Path(BENCH, f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        setattr(loaded, name, sys.modules[name])
        spec.loader.exec_module(sys.modules[name])
    yield loaded
    for name in names:
        del sys.modules[name]


@pytest.mark.parametrize(("folder", "language"), SETS)
def test_texts_and_splits_are_the_same(harness, folder, language):
    place = Path(BENCH, "data", folder)
    theirs = harness.data.load_texts(place, harness.data.Taxonomy.load(place, language), language)
    ours = texts_of(BenchSet(place, language))
    assert [(t.text, t.codes, t.verbatim) for t in ours] == [(t.text, t.codes, t.verbatim) for t in theirs]
    for regime in ("few", "full"):
        pool, test = split(ours, regime)
        their_pool, their_test = harness.splits.rehearsal(theirs, regime)
        assert [t.text for t in pool] == [t.text for t in their_pool]
        assert [t.text for t in sample(test, 500)] == [t.text for t in harness.splits.sample(their_test, 500)]
        assert [t.text for t in few_shot(pool, 3)] == [t.text for t in harness.splits.few_shot(their_pool, 3)]


@pytest.mark.parametrize(("folder", "language"), SETS[:3])
def test_measures_are_the_same(harness, folder, language, tmp_path):
    place = Path(BENCH, "data", folder)
    theirs, tree = harness.data.Taxonomy.load(place, language), taxonomy_of(BenchSet(place, language), tmp_path)
    texts, draw = split(texts_of(BenchSet(place, language)), "few")[1], random.Random(0)
    gold = [[tree.position[code] for code in text.codes] for text in texts]
    leaves = np.array([draw.choice([known[0], draw.choice(np.flatnonzero(tree.is_leaf).tolist())]) for known in gold], np.int32)
    stops = np.array([draw.choice([leaf, tree.parents[leaf], ROOT]) for leaf in leaves.tolist()], np.int32)
    confidence = np.round(np.random.default_rng(0).random(len(texts)), 2)

    def summary(nodes: np.ndarray) -> dict[str, float]:
        answers = []
        for text, node, sure in zip(texts, nodes.tolist(), confidence.tolist(), strict=True):
            code = "" if node == ROOT else tree.codes[node]
            answers.append(harness.metrics.Answer(harness.metrics.choose_gold(theirs, text.codes, code), code, sure))
        return harness.metrics.summary(theirs, answers)

    found, expected = measured(tree, gold, Answered(leaves, confidence)), summary(leaves)
    names = {
        "accuracy": "exact",
        "hierarchical_f1": "hF1",
        "cover_90": "cover_90",
        "cover_95": "cover_95",
        "aurc": "aurc",
        "ece": "ece",
    }
    assert {name: found[name] for name in names} == pytest.approx({name: expected[theirs] for name, theirs in names.items()})
    stopped, expected = kept(tree, gold, stops), summary(stops)
    assert stopped["answered"] == pytest.approx(1 - expected["abstained"])
    assert stopped["reached"] == pytest.approx(expected["safe"] / (1 - expected["abstained"]))
    assert (stopped["depth"], stopped["information"]) == pytest.approx((expected["depth"], expected["information"]))
