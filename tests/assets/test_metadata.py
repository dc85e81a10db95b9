"""What the UI shows stays readable whatever the data hold."""

from __future__ import annotations

import pyarrow as pa
import pytest

from taxomind_assets.metadata import bullet_list, preview, same_columns, table_metadata
from taxomind_resources.tables import TABLES


@pytest.mark.parametrize("table", [table.full_name for table in TABLES])
def test_every_column_of_a_table_is_described(table):
    schema = table_metadata(table)["dagster/column_schema"]
    assert schema.columns[0].name == "taxonomy_key"
    assert all(column.description for column in schema.columns)


def test_a_preview_escapes_what_would_break_the_table():
    rows = pa.table({"text": ["a | b\nc <img src=x> `d`"]})
    assert preview(rows, ["text"]).value.splitlines()[2] == "| a \\| b c &lt;img src=x> \\`d\\` |"


def test_a_preview_shows_paths_as_paths_and_cuts_long_cells():
    rows = pa.table({"path": [["1", "11"]], "text": ["x" * 200], "confidence": [0.12345], "code": [None]})
    line = preview(rows, ["path", "text", "confidence", "code"]).value.splitlines()[2]
    assert line.startswith("| 1 > 11 | xxx")
    assert line.endswith("… | 0.123 | - |")
    assert len(line) < 120


def test_a_preview_says_how_much_it_leaves_out():
    assert preview(pa.table({"n": list(range(30))}), ["n"], limit=5).value.endswith("*5 of 30 rows*")


def test_a_preview_of_nothing_says_so():
    assert preview(pa.table({"n": pa.array([], pa.int64())}), ["n"]).value == "*no rows*"


def test_a_long_list_is_cut():
    assert bullet_list([str(i) for i in range(60)]).value.endswith("- ... and 10 more")


def test_a_table_that_is_taken_over_comes_from_the_same_columns():
    lineage = same_columns("raw_taxonomy", "taxonomy.nodes")
    assert lineage["label"] == [("raw_taxonomy", "label")]
