"""The flat example: four classes of news, in the order in which models answer (TF-TAX-1)."""

from __future__ import annotations

import csv

from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_resources.settings import LimitSettings
from tests.conftest import EXAMPLES

NEWS = EXAMPLES / "news"


def test_the_classes_are_four_nodes_in_their_order():
    tree = read_taxonomy(NEWS / "taxonomy.csv", "news", LimitSettings()).taxonomy
    assert [(node.code, node.label, node.parent_code) for node in tree.nodes] == [
        ("world", "World", None),
        ("sports", "Sports", None),
        ("business", "Business", None),
        ("scitech", "Sci/Tech", None),
    ]
    assert tree.depth == 1


def test_the_labelled_texts_that_ship_are_of_these_classes():
    (path,) = (NEWS / "labelled").glob("*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert {row["code"] for row in rows} == {"world", "sports", "business", "scitech"}
    assert len({row["text"] for row in rows}) == 24
