"""The files that docs/inputs.md shows are read as it says."""

from __future__ import annotations

import pytest

from taxomind_assets.classification.text_readers import read_items, read_texts
from taxomind_assets.classification.text_rows import ROLES
from taxomind_assets.learning.rows import ROLES as CORRECTION_ROLES
from taxomind_assets.learning.rows import CorrectionRows, CorrectionText
from taxomind_assets.taxonomy.columns import field_of, plain_name
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_resources.inbox import SUFFIXES
from taxomind_resources.settings import LimitSettings, Settings, TextSettings
from tests.docs.markdown import ROOT, Page

INPUTS = Page(ROOT / "docs" / "inputs.md")
TAXONOMY_COLUMNS, TEXT_COLUMNS, CORRECTION_COLUMNS = INPUTS.tables()


def first_with(language: str, start: str) -> str:
    (block,) = [block for block in INPUTS.blocks(language) if block.startswith(start)]
    return block


@pytest.mark.parametrize(
    ("suffix", "block"),
    [("csv", first_with("csv", "code")), ("json", INPUTS.blocks("json")[0]), ("ttl", INPUTS.blocks("ttl")[0])],
    ids=["csv", "json", "ttl"],
)
def test_taxonomies_shown_are_read_without_any_refusal(tmp_path, suffix, block):
    path = tmp_path / f"taxonomy.{suffix}"
    path.write_text(block, encoding="utf-8")
    found = read_taxonomy(path, "pets", LimitSettings())
    assert found.taxonomy.codes == ["a", "dog"]
    assert not found.rejected
    assert "puppy" in found.taxonomy.nodes[1].texts[0].examples


@pytest.mark.parametrize(
    ("suffix", "block"), [("csv", first_with("csv", "text_id")), ("jsonl", INPUTS.blocks("jsonl")[0])], ids=["csv", "jsonl"]
)
def test_texts_shown_become_one_text_each(tmp_path, suffix, block):
    path = tmp_path / f"texts.{suffix}"
    path.write_text(block, encoding="utf-8")
    (found,) = read_texts(path, TextSettings(), LimitSettings())
    assert not found.rejected
    assert found.text_id[0] == "17"
    assert "veterinary nurse" in found.text[0]
    assert "small animal clinic" in found.text[0]


def test_names_of_taxonomy_columns_are_known():
    for name, others, _ in TAXONOMY_COLUMNS[1:]:
        own = name.strip("`")
        assert field_of(own) == own
        assert {field_of(other.strip(" `")) for other in others.split(",") if other} <= {own, "positive_examples"}


def test_names_of_text_columns_are_known():
    for name, others, _ in TEXT_COLUMNS[1:]:
        own = name.strip("`")
        if not own.startswith("field:"):
            assert {plain_name(other.strip(" `")) for other in (own, *others.split(",")) if other} <= set(ROLES[own])


def test_corrections_shown_are_read_without_any_refusal(tmp_path):
    for suffix, block in (("csv", first_with("csv", "correction_id")), ("jsonl", INPUTS.blocks("jsonl")[1])):
        path = tmp_path / f"corrections.{suffix}"
        path.write_text(block, encoding="utf-8")
        items = list(read_items(path, CorrectionRows(path.name, Settings()), LimitSettings()))
        found = [item.correction for item in items if isinstance(item, CorrectionText)]
        assert len(found) == len(items)
        if suffix == "csv":
            assert [(row.correction_id, row.action) for row in found] == [
                ("c1", "correct"),
                ("c2", "confirm"),
                ("c1", "withdraw"),
            ]
        else:
            assert [(row.correction_id, row.text, row.codes) for row in found] == [("s-4", "sells things", ("5", "52"))]


def test_names_of_correction_columns_are_known():
    known = {name for names in (*CORRECTION_ROLES.values(), *ROLES.values()) for name in names}
    for names, others, _ in CORRECTION_COLUMNS[1:]:
        plain = [name.strip(" `") for cell in (names, others) for name in cell.replace(" or ", ",").split(",")]
        own = [plain_name(name) for name in plain if name and not name.startswith("field:") and "per level" not in name]
        assert set(own) <= known


def test_suffixes_are_those_that_the_inbox_takes():
    for kind in ("taxonomy", "texts", "labelled", "corrections"):
        (line,) = [line for line in INPUTS.blocks("")[0].splitlines() if f"/{kind}" in line]
        assert set(SUFFIXES[kind]) == {
            word.strip(",;") for word in line.replace("taxonomy.csv", " .csv").split() if word[0] == "."
        }
