"""The shipped example data is what the README says it is."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from taxomind_assets.classification.text_readers import read_texts
from taxomind_assets.taxonomy.readers import TaxonomyFile, read_taxonomy
from taxomind_assets.views.texts import normalise
from taxomind_resources.settings import LimitSettings, TextSettings

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "examples"
LANGUAGES = ["en", "fr", "es", "de"]
#: A copy of the published ISCO-08: a folder named by the variable, or beside the repository.
PUBLISHED = Path(os.environ.get("TAXOMIND_BENCH_DATA", EXAMPLES.parents[2] / "shared" / "bench" / "data")) / "isco08"


@pytest.fixture(scope="module")
def isco() -> TaxonomyFile:
    return read_taxonomy(EXAMPLES / "isco08" / "taxonomy.csv", "isco08", LimitSettings())


def labelled(name: str) -> list[tuple[str, str, str]]:
    """(text, language, code) of all labelled texts of an example."""
    rows = []
    for path in sorted((EXAMPLES / name / "labelled").iterdir()):
        for block in read_texts(path, TextSettings(), LimitSettings(), labelled=True):
            assert not block.rejected
            rows += list(zip(block.text, block.language, block.code, strict=True))
    return rows


def test_isco_08_is_whole(isco):
    tree = isco.taxonomy
    assert not isco.rejected
    assert not isco.warnings
    assert Counter(node.level for node in tree.nodes) == {1: 10, 2: 43, 3: 130, 4: 436}
    assert int(tree.is_leaf.sum()) == 436
    assert sorted(tree.languages) == sorted(LANGUAGES)
    assert tree.languages[0] == "en"


def test_every_isco_node_has_titles_a_definition_and_six_examples(isco):
    for node in isco.taxonomy.nodes:
        assert {text.language for text in node.texts if text.label} == set(LANGUAGES), node.code
        english = node.texts[0]
        assert len(english.definition.split()) >= 10, node.code
        assert len({normalise(example) for example in english.examples}) >= 6, node.code


def test_an_english_example_title_stands_under_one_unit_group_only(isco):
    owners = Counter(
        normalise(example)
        for node in isco.taxonomy.nodes
        if node.level == 4
        for example in set(map(normalise, node.texts[0].examples))
    )
    assert [title for title, count in owners.items() if count > 1] == []


def test_the_labelled_job_titles_are_new_to_the_taxonomy(isco):
    rows = labelled("isco08")
    assert Counter(language for _, language, _ in rows) == dict.fromkeys(LANGUAGES, 75)
    codes = isco.taxonomy.position
    assert all(code in codes and isco.taxonomy.is_leaf[codes[code]] for _, _, code in rows)
    examples = {normalise(example) for node in isco.taxonomy.nodes for text in node.texts for example in text.examples}
    assert [text for text, _, _ in rows if normalise(text) in examples] == []
    assert len({normalise(text) for text, _, _ in rows}) == 300


@pytest.mark.parametrize(("name", "codes"), [("news", 4), ("notes", 5)])
def test_the_small_examples_are_flat_and_have_texts(name, codes):
    read = read_taxonomy(EXAMPLES / name / "taxonomy.csv", name, LimitSettings())
    assert not read.rejected
    assert len(read.taxonomy) == codes
    assert read.taxonomy.depth == 1
    assert all(code in read.taxonomy.position for _, _, code in labelled(name))
    texts = [
        text
        for path in (EXAMPLES / name / "texts").iterdir()
        for block in read_texts(path, TextSettings(), LimitSettings())
        for text in block.text
    ]
    assert len(texts) >= 15


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs a copy of the published ISCO-08 (TAXOMIND_BENCH_DATA)")
def test_isco_codes_parents_and_titles_are_the_published_ones(isco):
    with (PUBLISHED / "taxonomy.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    published = {(row["code"], row["language"]): (row["parent_code"], row["label"]) for row in rows}
    for node in isco.taxonomy.nodes:
        for text in node.texts:
            assert published[node.code, text.language] == (node.parent_code or "", text.label)
    assert len({code for code, _ in published}) == len(isco.taxonomy)
    official = {normalise(row["definition"]) for row in rows if row["definition"]}
    assert not official & {normalise(node.texts[0].definition) for node in isco.taxonomy.nodes}
