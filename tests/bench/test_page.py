"""The page of the docs."""

from __future__ import annotations

import re

from tests.bench.page import MARKER, PAGE, about, page
from tests.bench.peers import PEERS
from tests.bench.run import OWN
from tests.bench.tables import Table
from tests.bench.task import REGIMES


def test_the_words_stay_and_the_tables_are_replaced():
    table = Table("T", "", ["a"], [["x"]])
    first = page(f"# Head\n\n{MARKER}old", [table], [about("an-encoder", 100)])
    assert first.startswith(f"# Head\n\n{MARKER}## Results\n\nEncoder an-encoder; at most 100 test texts of a set; taxomind ")
    assert first.endswith("### T\n\n| a |\n| --- |\n| x |\n")
    assert page(first, [table], [about("an-encoder", 100)]) == first


def test_the_page_explains_every_way_and_regime():
    words = PAGE.read_text(encoding="utf-8").partition(MARKER)[0]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", words.partition("## Ways")[2].partition("\n## ")[0], re.MULTILINE)
    assert rows[1:] == [OWN, *PEERS]
    assert all(regime in words or regime in {"k=3", "k=5"} for regime in REGIMES)
