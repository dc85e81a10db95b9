"""Published taxonomies, where they are at hand: `TAXOMIND_BENCH_DATA` names the folder that holds `<name>/taxonomy.csv`."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_assets.taxonomy.records import taxonomy_from_table, taxonomy_to_table
from taxomind_resources.settings import LimitSettings

FOLDER = Path(os.environ.get("TAXOMIND_BENCH_DATA", "."))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TAXOMIND_BENCH_DATA" not in os.environ, reason="TAXOMIND_BENCH_DATA is not set"),
]

#: name -> (nodes, longest path, main language), as the publishers state them
PUBLISHED = {
    "agnews": (4, 1, "en"),
    "ecoicop-pl-products": (75, 4, "en"),
    "google-product": (5595, 7, "en"),
    "isco08": (619, 4, "en"),
    "naics-2012": (2209, 5, "en"),
    "rome-v3": (656, 3, "fr"),
    "shopify-product": (10595, 8, "en"),
    "unspsc-7": (20789, 4, "en"),
    "us-soc-2018-onet": (2463, 5, "en"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_taxonomy_is_read_whole(name: str) -> None:
    path = FOLDER / name / "taxonomy.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    file = read_taxonomy(path, "key", LimitSettings())  # type: ignore[call-arg]
    tree = file.taxonomy
    assert file.rejected == ()
    assert (len(tree), tree.depth, tree.languages[0]) == PUBLISHED[name]
    assert taxonomy_from_table(taxonomy_to_table(tree), "key") == tree
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = {(row["code"], row["language"]): row for row in csv.DictReader(handle)}
    assert len(rows) == sum(len(node.texts) for node in tree.nodes)
    for node in tree.nodes:
        for text in node.texts:
            row = rows[node.code, text.language]
            assert (node.parent_code or "", str(node.level)) == (row["parent_code"], row["level"])
            assert text.label == " ".join(row["label"].split())
            assert text.definition == row["definition"].strip()
