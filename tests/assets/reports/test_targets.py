"""TX-82: targets from labelled files, platform exports and learn-style JSON."""

from __future__ import annotations

import pyarrow as pa
import pytest

from taxomind_assets.reports.targets import TARGETS, ColumnMapping, code_text, collect, guess_mapping, read_learning, read_rows
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.faults import Fault
from taxomind_resources.settings import TextSettings


def test_labelled_file_becomes_one_row_per_unique_text_with_all_codes(tree: Taxonomy) -> None:
    rows = pa.table(
        {
            "text_id": ["x", "y", "z", "w"],
            "text": ["Poodle ", "tabby", "TABBY", "ＰＯＯＤＬＥ"],
            "language": ["en", "en", "en", "de"],
            "code": ["aaa", "aab", "ba", "aaa"],
        }
    )
    table = collect(tree, [read_rows(tree, rows, "labels.csv")])
    assert table.schema.equals(TARGETS)
    assert table["text_id"].to_pylist() == ["x", "y", "w"], "one row per text and language"
    assert table["codes"].to_pylist() == [["aaa"], ["aab", "ba"], ["aaa"]]
    assert table["text"].to_pylist() == ["Poodle", "tabby", "ＰＯＯＤＬＥ"]
    assert table["target_path"].to_pylist()[1] == ["a", "aa", "aab"]
    assert table["target_level"].to_pylist() == [3, 3, 3]
    assert table["rows"].to_pylist() == [1, 2, 1]


def test_refused_rows_are_counted_with_their_reason(tree: Taxonomy) -> None:
    rows = [
        {"text": "", "code": "a"},
        {"text": "x", "code": None},
        {"text": "x", "code": "nope"},
        {"text": "x", "code": "-999"},
        {"text": "x", "code": True},
        {"text": "ok", "code": "ab"},
    ]
    found = read_rows(tree, rows, "f")
    assert dict(found.refused) == {"empty_text": 1, "no_code": 2, "unknown_code": 1, "undecided": 1}
    assert [item.text for item in found.texts] == ["ok"]
    assert found.texts[0].text_id == "6", "without an id the row number is the id"
    assert {example["row"] for example in found.examples} == {1, 2, 3, 4, 5}


def test_examples_of_refused_rows_are_bounded(tree: Taxonomy) -> None:
    found = read_rows(tree, [{"text": "x", "code": "?"}] * 500, "f")
    assert found.refused["unknown_code"] == 500
    assert len(found.examples) == 20


def test_platform_export_takes_the_deepest_known_code_and_joins_the_texts(tree: Taxonomy) -> None:
    rows = [
        {"Job": "breeder", "Industry": "pets", "TOY_1": "a", "TOY_2": "aa", "TOY_3": "aaa"},
        {"Job": "keeper", "Industry": None, "TOY_1": "a", "TOY_2": "aa", "TOY_3": "-999"},
        {"Job": "maker", "Industry": "toys", "TOY_1": None, "TOY_2": "ba", "TOY_3": None},
    ]
    mapping = ColumnMapping(text=("job", "industry"), codes=("toy_1", "toy_2", "toy_3"), text_id="id", language=None)
    found = read_rows(tree, rows, "export.csv", mapping)
    assert [item.code for item in found.texts] == ["aaa", "aa", "ba"]
    assert found.upper_code_used == 1
    assert [item.text for item in found.texts] == ["pets\nbreeder", "keeper", "toys\nmaker"], "fields by name, as served"
    first_job = TextSettings(field_order=("job",))
    assert read_rows(tree, rows, "e", mapping, settings=first_job).texts[0].text == "breeder\npets"
    paths = collect(tree, [found])["target_path"].to_pylist()
    assert paths[2] == ["b", "ba"], "missing upper levels come from the tree"


def test_numeric_codes_become_text_without_a_decimal_point() -> None:
    assert [code_text(value) for value in (52, 52.0, "52", " 052 ", None, float("nan"), True)] == [
        "52",
        "52",
        "52",
        "052",
        "",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("columns", "text", "codes"),
    [
        (["Text_ID", "TEXT", "nodeCode"], ("TEXT",), ("nodeCode",)),
        (
            ["field:job", "field:firm", "ISCO_2", "ISCO_1", "ISCO_4", "note_1"],
            ("field:job", "field:firm"),
            ("ISCO_1", "ISCO_2", "ISCO_4"),
        ),
        (["query_text", "target_code", "target_level_1", "target_level_2"], ("query_text",), ("target_code",)),
    ],
)
def test_columns_are_recognised(columns: list[str], text: tuple[str, ...], codes: tuple[str, ...]) -> None:
    mapping = guess_mapping(columns)
    assert (mapping.text, mapping.codes) == (text, codes)


@pytest.mark.parametrize("columns", [["text", "label"], ["code", "label"], []])
def test_unrecognised_columns_are_a_fault(columns: list[str]) -> None:
    with pytest.raises(Fault) as caught:
        guess_mapping(columns)
    assert caught.value.code == "missing_column"


def test_a_mapping_to_absent_columns_is_a_fault(tree: Taxonomy) -> None:
    with pytest.raises(Fault, match="ISCO_9"):
        read_rows(tree, [{"text": "x", "code": "a"}], "f", ColumnMapping(codes=("ISCO_9",)))


def test_learn_style_json_in_any_case(tree: Taxonomy) -> None:
    document = {
        "Sentences": [
            {
                "sentenceId": 7,
                "FIELDS": {"Job": "dogs"},
                "Annotations": [
                    {"Level": 1, "NodeCode": "a"},
                    {"level": 3, "node_code": "aaa"},
                    {"level": 2, "nodeCode": "aa"},
                ],
            },
            {
                "sentence_id": "s",
                "text": "beasts",
                "annotations": [{"level": 2, "nodeCode": "aa"}, {"level": 3, "nodeCode": "-999"}],
            },
            {"sentenceId": "m", "text": "own answer", "source": "AI", "annotations": [{"level": 1, "nodeCode": "a"}]},
            {"sentenceId": "e", "text": "nothing", "annotations": None},
            "no object",
        ]
    }
    found = read_learning(tree, document, "corrections.json")
    assert [(item.text_id, item.text, item.code) for item in found.texts] == [("7", "dogs", "aaa"), ("s", "beasts", "aa")]
    assert dict(found.refused) == {"machine_label": 1, "no_code": 1, "bad_row": 1}
    assert read_learning(tree, document["Sentences"], "bare list").texts == found.texts


@pytest.mark.parametrize("document", [{}, {"sentences": "x"}, 3, None])
def test_a_document_without_sentences_is_a_fault(tree: Taxonomy, document: object) -> None:
    with pytest.raises(Fault) as caught:
        read_learning(tree, document, "f")
    assert caught.value.code == "invalid_input"


def test_ids_stay_unique_across_files(tree: Taxonomy) -> None:
    parts = [read_rows(tree, [{"text": f"text {name}", "code": "a", "text_id": "1"}], "f") for name in "pqr"]
    assert collect(tree, parts)["text_id"].to_pylist() == ["1", "f:1", "f:1#2"]


def test_no_rows_give_an_empty_table(tree: Taxonomy) -> None:
    table = collect(tree, [read_rows(tree, [], "empty")])
    assert len(table) == 0
    assert table.schema.equals(TARGETS)
