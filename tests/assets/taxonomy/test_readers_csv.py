"""Taxonomies as CSV: what is accepted, what is refused row by row, and what refuses the whole file."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from taxomind_assets.taxonomy.readers import read_taxonomy, rejected_file
from taxomind_assets.taxonomy.records import content_version
from taxomind_assets.taxonomy.tree import NodeText
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings
from tests.assets.taxonomy.reading import HEADER, LIMITS, Read, kinds, refused, warned


def test_csv_with_our_columns(read: Read) -> None:
    file = read(
        "code,parent_code,level,label,definition,examples,aliases,negative_examples,positive_examples,language\n"
        '5,,1,"Services, Sales",Sell things.,"head of shop\nfloor manager",sellers|vendors,butcher,runs a shop,en\n'
        "52,5,2,Sales Workers,,,,,,en\n"
    )
    top, below = file.taxonomy.nodes
    assert top.texts == (
        NodeText(
            "en",
            "Services, Sales",
            "Sell things.",
            ("head of shop", "floor manager", "runs a shop"),
            ("sellers", "vendors"),
            ("butcher",),
        ),
    )
    assert (below.code, below.parent_code, below.level) == ("52", "5", 2)
    assert file.rejected == ()
    assert file.taxonomy.version == content_version(file.taxonomy)


def test_csv_with_the_older_columns(read: Read) -> None:
    old = read(
        '"id","taxonomyKey","code","level","parentCode","label","definition","examples","isLeaf"\n'
        '"9","ISCO","01","1","","A","d","x","false"\n"8","ISCO","011","2","01","B","d","","true"\n'
    )
    new = read("code,parent_code,level,label,definition,examples\n01,,1,A,d,x\n011,01,2,B,d,\n")
    assert old.taxonomy == new.taxonomy
    assert old.warnings == new.warnings == ()


@pytest.mark.parametrize("header", ["CODE,Parent Code,LABEL", "nodeCode,PARENT-CODE,title", "code,parentcode,Label"])
def test_column_names_are_compared_without_case_and_separators(read: Read, header: str) -> None:
    assert read(f"{header}\n1,,A\n2,1,B\n").taxonomy.codes == ["1", "2"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_csv_dialects_and_byte_order_mark(read: Read, delimiter: str, line_end: str) -> None:
    rows = [["code", "parent_code", "label"], ["1", "", '"A, B; C\tD"'], ["2", "1", "Bär"]]
    text = line_end.join(delimiter.join(row) for row in rows)
    taxonomy = read(b"\xef\xbb\xbf" + text.encode()).taxonomy
    assert [node.label for node in taxonomy.nodes] == ["A, B; C D", "Bär"]


def test_examples_are_split_by_line_else_by_bar(read: Read) -> None:
    file = read(HEADER + '1,,1,A,,"either | or\r\nsecond\n\nsecond",en\n2,,1,B,,one| two ||one,en\n')
    assert [node.texts[0].examples for node in file.taxonomy.nodes] == [("either | or", "second"), ("one", "two")]


def test_rows_of_one_code_in_other_languages_are_translations(read: Read) -> None:
    file = read(HEADER + "1,,1,Eins,,,de\n1,,1,One,,,en\n2,1,2,Two,,,en\n2,1,,Zwei,,,DE\n3,,1,Tres,,,es\n")
    assert [node.label for node in file.taxonomy.nodes] == ["One", "Two", "Tres"]
    assert [text.language for text in file.taxonomy.nodes[1].texts] == ["en", "de"]
    assert file.taxonomy.languages == ["en", "es", "de"]
    assert warned(file, "1 node without a label in the main language 'en': 3")


def test_the_main_language_is_the_one_with_most_codes(read: Read) -> None:
    assert read(HEADER + "1,,,One,,,en\n1,,,Un,,,fr\n2,,,Deux,,,fr\n").taxonomy.languages[0] == "fr"
    assert read(HEADER + "1,,,Un,,,fr\n1,,,One,,,en\n").taxonomy.languages[0] == "en"
    assert read(HEADER + "1,,,Un,,,fr\n1,,,Eins,,,de\n").taxonomy.languages[0] == "fr"


def test_language_tags_are_spelled_in_one_way(read: Read) -> None:
    file = read(HEADER + "1,,,a,,,PT_br\n1,,,b,,,zh-hans-cn\n1,,,c,,,\n1,,,d,,,not a tag\n")
    assert {text.language for text in file.taxonomy.nodes[0].texts} == {"pt-BR", "zh-Hans-CN", ""}
    assert [row.reason_code for row in file.rejected] == ["bad_language"]


def test_levels_are_derived_where_absent_and_kept_where_stated(read: Read) -> None:
    file = read("code,parent_code,level,label\n1,,,A\n11,1,,B\n111,11,5,C\n1111,111,,D\n")
    assert file.taxonomy.levels.tolist() == [1, 2, 5, 6]
    assert warned(file, "Levels are skipped above 1 node: 111.")


def test_na_is_the_root_only_when_no_node_has_that_code(read: Read) -> None:
    file = read("code,parent_code,label\n1,NA,A\n2,n/a,B\n3,1,C\n")
    assert [node.parent_code for node in file.taxonomy.nodes] == [None, "1", None]
    assert warned(file, "became top nodes: 1, 2")
    namibia = read("code,parent_code,label\nNA,,NA\nWDH,NA,Windhoek\n").taxonomy
    assert namibia.nodes[1].parent_code == "NA"
    assert namibia.nodes[0].label == "NA"


def test_a_wrong_leaf_flag_is_overruled_with_a_warning(read: Read) -> None:
    file = read("code,parentCode,label,isLeaf\n1,,A,true\n11,1,B,FALSE\n12,1,C,true\n13,1,D,\n")
    assert file.taxonomy.is_leaf.tolist() == [False, True, True, True]
    assert warned(file, "wrong isLeaf (a leaf is a node without children): 1, 11")


def test_unknown_columns_and_missing_definitions_give_one_warning_each(read: Read) -> None:
    file = read("code,parent_code,label,colour,definition,weight\n1,,A,red,,3\n2,,B,blue,text,4\n")
    assert file.warnings == ("Columns that are not read: colour, weight.", "1 node without a definition: 1.")


def test_rows_bad_by_themselves_are_refused_and_the_rest_goes_on(read: Read) -> None:
    file = read(
        "code,parent_code,level,label,definition\n"
        "1,,1,A,d\n"
        ",,1,no code,d\n"
        "2,,1,,d\n"
        '3,,one,"two\nlines",d\n'
        "4,,1,B\n"
        "5,,0,zero,d\n"
        '6,,1,"quote" here,d\n'
        "7,,1,C\x01,d\n"
        "8\x02,,1,D,d\n"
        f"9,,1,E,{'x' * 20_001}\n"
        f"{'c' * 257},,1,F,d\n"
        "-99,,1,unknown,d\n"
        ",,,,\n"
        "\n"
        "10,,1,G,d,,\n"
        "11,,1,H,d,surplus\n"
    )
    assert file.taxonomy.codes == ["1", "10"]
    assert [(row.line, row.reason_code) for row in file.rejected] == [
        (3, "empty_code"),
        (4, "empty_label"),
        (5, "bad_level"),
        (7, "wrong_column_count"),
        (8, "bad_level"),
        (9, "malformed_row"),
        (10, "control_characters"),
        (11, "bad_code"),
        (12, "cell_too_long"),
        (13, "bad_code"),
        (14, "undecided_code"),
        (18, "wrong_column_count"),
    ]
    assert all(row.source_file == "taxonomy.csv" and row.reason and len(row.raw) <= 2000 for row in file.rejected)
    assert json.loads(file.rejected[0].raw)["label"] == "no code"
    assert warned(file, "1 node dropped whose code means 'could not decide'")


def test_a_stray_quote_costs_one_row(read: Read) -> None:
    file = read('code,parent_code,label\n1,,"A\n2,,B\n3,,C\n')
    assert file.taxonomy.codes == ["2", "3"]
    assert [(row.line, row.reason_code) for row in file.rejected] == [(2, "malformed_row")]


# --- the tree as a whole -----------------------------------------------------------------------------------------------


def test_one_fault_lists_every_problem_of_the_tree(read: Read) -> None:
    fault = refused(
        read,
        "code,parent_code,level,label\n1,,1,A\n1,,1,again\n2,9,2,orphan\n3,3,1,self\n"
        "4,5,1,ring\n5,4,1,ring\n6,1,1,same level\n",
    )
    assert kinds(fault) == {
        "duplicate_code": ["1"],
        "missing_parent": ["2"],
        "self_parent": ["3"],
        "cycle": ["4"],
        "level_not_below_parent": ["4", "5", "6"],
    }
    assert "1 (first in line 2, line 3)" in fault.render()
    assert fault.next_step
    rows = rejected_file(Path("taxonomy.csv"), fault)
    assert [row.line for row in rows] == [3, 4, 5, 6, 6]
    assert {row.reason_code for row in rows} == {"file_refused"}


def test_languages_of_one_node_may_not_contradict_each_other(read: Read) -> None:
    fault = refused(read, "code,parent_code,level,label,language\n1,,1,A,en\n2,1,2,B,en\n2,3,4,B,fr\n3,,1,C,en\n")
    assert kinds(fault) == {"conflicting_parent": ["2"], "conflicting_level": ["2"]}


def test_a_parent_that_was_refused_by_itself_is_named(read: Read) -> None:
    fault = refused(read, "code,parent_code,level,label\n1,,x,A\n2,1,,B\n")
    assert set(kinds(fault)) == {"missing_parent", "row_refused"}
    assert "The level is 'x'" in fault.render()


def test_too_many_nodes(read: Read) -> None:
    limits = LimitSettings(max_nodes=2)  # type: ignore[call-arg]
    assert len(read("code,parent_code,label,language\n1,,A,en\n2,,B,en\n1,,C,fr\n", limits=limits).taxonomy) == 2
    fault = refused(read, "code,parent_code,label\n1,,A\n2,,B\n3,,C\n", "too_large", limits=limits)
    assert "limits.max_nodes" in fault.render()


def test_a_chain_of_100_000_nodes_is_refused_without_a_hang(read: Read) -> None:
    rows = "".join(f"{i},{i - 1 if i else ''},n\n" for i in range(100_000))
    assert kinds(refused(read, "code,parent_code,label\n" + rows)) == {"too_deep": ["64"]}


# --- files that cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "unreadable_file", "empty"),
        (b"\xef\xbb\xbf \n\n", "unreadable_file", "empty"),
        (b"code,parent_code,label\n", "invalid_taxonomy", "no nodes"),
        (b"code,name of node\n1,A\n", "missing_column", "'label'"),
        (b"code,label,parentId\n1,A,\n", "missing_column", "'parent_code'"),
        (b"code,parent_code,label,code\n1,,A,2\n", "unreadable_file", "'code' twice"),
        (b"code,parent_code,label\n1,,caf\xe9\n", "unreadable_file", "byte 29 (line 2) is 0xe9"),
        (b"\xef\xbb\xbfcode,parent_code,label\n1,,caf\xe9\n", "unreadable_file", "byte 32 (line 2) is 0xe9"),
        (b"code,parent_code,label\n1,,caf\xc3", "unreadable_file", "byte 29"),
        (b"c\x00o\x00d\x00e\x00,\x00", "unreadable_file", "NUL byte at byte 1"),
        ("code,parent_code,label\n".encode("utf-16"), "unsupported_format", "UTF-16"),
        (b"PK\x03\x04rest", "unsupported_format", "Excel"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "unsupported_format", "HTML"),
        (b"  <html>code,parent_code,label", "unsupported_format", "HTML"),
        (b"code,parent_code,label" + b",x" * 1_000_000 + b"\n", "too_large", "columns"),
        (b'"code,parent_code,label\n1,,A\n', "unreadable_file", "header"),
    ],
)
def test_files_that_are_no_csv(read: Read, content: bytes, code: str, says: str) -> None:
    assert says in refused(read, content, code).render()


def test_a_line_of_a_million_cells_is_refused_alone(read: Read) -> None:
    file = read("code,parent_code,label\n1,,A\n" + "x," * 1_000_000 + "\n2,,B\n")
    assert file.taxonomy.codes == ["1", "2"]
    assert [(row.line, row.reason_code) for row in file.rejected] == [(3, "wrong_column_count")]


def test_a_line_without_an_end_is_refused_alone(read: Read) -> None:
    file = read("code,parent_code,label\n1,,A\n2,," + "x" * 17_000_000 + "\n3,,B\n")
    assert file.taxonomy.codes == ["1", "3"]
    assert [(row.line, row.reason_code) for row in file.rejected] == [(3, "malformed_row")]


def test_a_bad_byte_is_found_far_inside_the_file(read: Read) -> None:
    head = b"code,parent_code,label\n" + b"".join(b"%d,,%s\n" % (i, b"\xc3\xa9" * 20) for i in range(60_000))
    fault = refused(read, head + b"x,,\xff\n", "unreadable_file")
    assert f"byte {len(head) + 3} (line 60002) is 0xff" in fault.render()


def test_a_file_over_the_limit_or_missing_or_no_file(read: Read, tmp_path: Path) -> None:
    refused(read, "code,parent_code,label\n1,,A\n", "too_large", limits=LimitSettings(max_file_bytes=10))  # type: ignore[call-arg]
    for path in (tmp_path / "none.csv", tmp_path, tmp_path / "nul\0.csv"):
        with pytest.raises(Fault, match="unreadable_file"):
            read_taxonomy(path, "key", LIMITS)


def test_every_row_refused_refuses_the_file_and_says_why(read: Read) -> None:
    fault = refused(read, "code,parent_code,label\n,,A\n1,,\n")
    assert fault.details[0]["lines"] == [2, 3]
    assert "has no label" in fault.render()


def test_a_bad_key_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="invalid_key"):
        read_taxonomy(tmp_path / "none.csv", "../key", LIMITS)


def test_the_garbage_collector_is_on_again_afterwards(read: Read) -> None:
    refused(read, "code,parent_code,label\n1,9,A\n")
    assert gc.isenabled()
