"""TX-82: which columns hold what, and known texts as one table of unique texts."""

from __future__ import annotations

import pytest

from taxomind_assets.reports.targets import TARGETS, KnownText, collect, guess_mapping
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.settings import ReportSettings


def known(text: str, code: str, text_id: str = "1", language: str = "en", dataset: str = "f") -> KnownText:
    return KnownText(dataset, text_id, text, language, code)


def test_texts_become_one_row_per_unique_text_and_language_with_all_codes(tree: Taxonomy) -> None:
    texts = [
        known("Poodle", "aaa", "x"),
        known("tabby", "aab", "y"),
        known("TABBY ", "ba", "z"),
        known("ＰＯＯＤＬＥ", "aaa", "w", "de"),
    ]
    table = collect(tree, iter(texts))
    assert table.schema.equals(TARGETS)
    assert table["text_id"].to_pylist() == ["x", "y", "w"]
    assert table["codes"].to_pylist() == [["aaa"], ["aab", "ba"], ["aaa"]]
    assert table["target_path"].to_pylist()[1] == ["a", "aa", "aab"]
    assert table["target_level"].to_pylist() == [3, 3, 3]
    assert table["rows"].to_pylist() == [1, 2, 1]


def test_a_code_above_another_one_of_the_same_text_is_left_out(tree: Taxonomy) -> None:
    table = collect(tree, [known("tabby", code) for code in ("a", "aa", "aab", "ba", "b")])
    assert table["codes"].to_pylist() == [["aab", "ba"]]
    assert table["target_code"].to_pylist() == ["aab"]
    assert table["rows"].to_pylist() == [5]


def test_ids_stay_unique_across_files(tree: Taxonomy) -> None:
    assert collect(tree, [known(f"text {name}", "a") for name in "pqr"])["text_id"].to_pylist() == ["1", "f:1", "f:1#2"]


def test_no_texts_give_an_empty_table(tree: Taxonomy) -> None:
    table = collect(tree, [])
    assert len(table) == 0
    assert table.schema.equals(TARGETS)


@pytest.mark.parametrize(
    ("columns", "text", "codes", "as_fields"),
    [
        (["Text_ID", "TEXT", "nodeCode"], ("TEXT",), ("nodeCode",), False),
        (["text", "field:job", "code"], ("field:job", "text"), ("code",), True),
        (["field:job", "ISCO_2", "ISCO_1", "ISCO_4", "note_1"], ("field:job",), ("ISCO_1", "ISCO_2", "ISCO_4"), True),
        (["query_text", "target_code", "target_level_1", "target_level_2"], ("query_text",), ("target_code",), False),
        (["job", "firm", "code", "label", "Target-Level", "split", "source"], ("job", "firm"), ("code",), True),
        (["job", "ISCO_1", "ISCO_1_label"], (), ("ISCO_1",), False),
        (["text", "remark"], ("text",), (), False),
    ],
)
def test_columns_are_recognised(columns: list[str], text: tuple[str, ...], codes: tuple[str, ...], as_fields: bool) -> None:
    mapping = guess_mapping(columns)
    assert (mapping.text, mapping.codes, mapping.as_fields) == (text, codes, as_fields)


def test_ids_and_languages_are_recognised_too() -> None:
    mapping = guess_mapping(["Lang", "Sentence ID", "text", "code"])
    assert (mapping.text_id, mapping.language) == ("Sentence ID", "Lang")


def test_settings_name_columns_for_the_files_that_have_them() -> None:
    wanted = ReportSettings(text_columns=("Job Title", "employer"), code_columns=("answer",))
    mapping = guess_mapping(["job_title", "Employer", "Answer", "text", "code"], wanted)
    assert (mapping.text, mapping.codes, mapping.as_fields) == (("job_title", "Employer"), ("Answer",), True)
    plain = guess_mapping(["text", "code", "employer"], wanted)
    assert (plain.text, plain.codes) == (("text",), ("code",)), "a file without them is read as ever"
