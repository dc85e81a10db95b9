"""Codes on their way through editions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.taxonomy.crosswalk import Crosswalk, Link, read_crosswalk
from taxomind_assets.taxonomy.revision import Revision, Translation, VersionFile
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

START = datetime(2026, 1, 1, tzinfo=UTC)
OLD = ["a", "b", "c", "d", "e", "gone"]
NEW = ["a1", "a2", "bc", "D", "e", "new"]
LINKS = [Link("a", "a1"), Link("a", "a2"), Link("b", "bc"), Link("c", "bc"), Link("d", "D"), Link("gone", "")]


def revision(number, before, after, links=(), old=OLD, new=NEW, *, follows=None, kind="revise", undoes=None):
    crosswalk = Crosswalk.between(links, old, new) if kind == "revise" else Crosswalk()
    files = (VersionFile(version, "taxonomy.csv", f"content of {version}") for version in (before, after))
    made_at = START + timedelta(days=number)
    follows = number - 1 if follows is None else follows
    return Revision(number, kind, follows, made_at, "me", *files, crosswalk=crosswalk, undoes=undoes)


def test_a_crosswalk_says_what_became_of_each_code():
    crosswalk = Crosswalk.between(LINKS, OLD, NEW)
    assert [crosswalk.relation(code) for code in OLD] == ["split", "merged", "merged", "recoded", "same", "gone"]
    assert [crosswalk.forward(code) for code in ("a", "b", "d", "e", "gone")] == [("a1", "a2"), ("bc",), ("D",), ("e",), ()]
    assert [crosswalk.backward(code) for code in NEW] == [("a",), ("a",), ("b", "c"), ("d",), ("e",), ()]


def test_a_code_that_stays_and_takes_another_in_is_merged_and_comes_apart_again():
    crosswalk = Crosswalk.between([Link("b", "a")], ["a", "b"], ["a"])
    assert crosswalk.relation("a") == crosswalk.relation("b") == "merged"
    assert set(crosswalk.backward("a")) == {"a", "b"}


def test_a_code_that_is_used_for_something_new_has_no_predecessor():
    crosswalk = Crosswalk.between([Link("a", "b")], ["a"], ["a", "b"])
    assert crosswalk.forward("a") == ("b",)
    assert crosswalk.backward("a") == ()


def test_a_crosswalk_that_fits_no_edition_names_every_code_that_is_wrong():
    links = [Link("x", "a1"), Link("a", "y"), Link("b", ""), Link("b", "bc")]
    with pytest.raises(Fault) as caught:
        Crosswalk.between(links, OLD, NEW)
    assert caught.value.code == "invalid_crosswalk"
    assert [detail["codes"] for detail in caught.value.details] == [["x"], ["y"], ["b"]]


@pytest.mark.parametrize("header", ["old_code,new_code,note", "Old;New;Remark", "\ufeffsource\ttarget\tcomment"])
def test_a_file_may_name_its_columns_as_others_do(tmp_path, header):
    mark = next(mark for mark in ",;\t" if mark in header)
    path = tmp_path / "crosswalk.csv"
    path.write_text(f"{header}\n01{mark}1.10{mark}why\n{mark}new{mark}\n{mark}{mark}only a note\n", encoding="utf-8")
    assert read_crosswalk(path, LimitSettings()) == (Link("01", "1.10", "why"), Link("", "new"))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("old_code,other\na,b\n", "missing_column"),
        ("old_code,new_code\n", "invalid_crosswalk"),
        ("old_code,new_code\na,b,c\n", "invalid_crosswalk"),
        (f"old_code,new_code\n{'a' * 300},b\n", "invalid_crosswalk"),
        ("", "unreadable_file"),
    ],
)
def test_half_of_a_crosswalk_is_none(tmp_path, content, code):
    path = tmp_path / "crosswalk.csv"
    path.write_text(content)
    with pytest.raises(Fault) as caught:
        read_crosswalk(path, LimitSettings())
    assert caught.value.code == code


def test_codes_of_a_former_edition_are_translated():
    translation = Translation.of([revision(1, "v1", "v2", LINKS)], "v2")
    assert translation.edition == 1
    assert translation.codes("a", "v1") == ("a1", "a2")
    assert translation.codes("gone", "v1") == ()
    assert translation.codes("a1", "v2") == ("a1",)


def test_without_revisions_codes_are_what_they_are():
    translation = Translation.of([], "v1")
    assert translation.codes("anything", "unknown") == ("anything",)
    assert translation.version_at(START) == "v1"


def test_codes_go_through_several_editions():
    second = revision(2, "v2", "v3", [Link("a1", "bc"), Link("a2", "x")], NEW, ["bc", "x", "D", "e", "new"])
    translation = Translation.of([second, revision(1, "v1", "v2", LINKS)], "v3")
    assert translation.codes("a", "v1") == ("bc", "x")
    assert translation.codes("b", "v1") == ("bc",)
    assert translation.between("bc", 2, 0) == ("a", "b", "c")


def test_to_put_the_former_file_back_restores_every_code():
    log = [revision(1, "v1", "v2", LINKS), revision(2, "v2", "v1", kind="undo", undoes=1)]
    translation = Translation.of(log, "v1")
    assert translation.edition == 0
    assert [translation.codes(code, "v1") for code in OLD] == [(code,) for code in OLD]
    assert translation.codes("a1", "v2") == ("a",)
    assert translation.codes("bc", "v2") == ("b", "c")


def test_a_revision_after_one_that_was_taken_back_starts_from_the_former_edition():
    log = [
        revision(1, "v1", "v2", LINKS),
        revision(2, "v2", "v1", kind="undo", undoes=1),
        revision(3, "v1", "v3", [Link("a", "A")], OLD, ["A", *OLD[1:]], follows=0),
    ]
    translation = Translation.of(log, "v3")
    assert translation.codes("a", "v1") == ("A",)
    assert translation.codes("a2", "v2") == ("A",)
    assert translation.codes("bc", "v2") == ("b", "c")


def test_a_better_crosswalk_between_the_same_versions_counts():
    log = [
        revision(1, "v1", "v2", LINKS),
        revision(2, "v2", "v1", kind="undo", undoes=1),
        revision(3, "v1", "v2", [*LINKS[1:]], follows=0),
    ]
    assert Translation.of(log, "v2").codes("a", "v1") == ("a2",)


def test_a_version_without_a_crosswalk_belongs_to_the_edition_that_it_follows():
    log = [revision(1, "v1", "v2", LINKS)]
    translation = Translation.of(log, "v2+1", {"v1": 0, "v2": 1, "v2+1": 1, "v1+1": 0})
    assert translation.edition == 1
    assert translation.codes("d", "v1+1") == ("D",)
    assert translation.codes("D", "v2") == ("D",)
    assert Translation.of(log, "nobody knows").edition == 1


def test_a_record_without_effect_changes_nothing():
    translation = Translation.of([revision(1, "v1", "v2", LINKS)], "v1")
    assert translation.codes("a", "v1") == ("a",)
    assert translation.version_at(START + timedelta(days=9)) == "v1"


def test_the_log_tells_which_version_was_in_force():
    log = [revision(1, "v1", "v2", LINKS), revision(2, "v2", "v1", kind="undo", undoes=1)]
    translation = Translation.of(log, "v1")
    moments = [START + timedelta(days=day) for day in (0, 1, 1.5, 2, 3)]
    assert [translation.version_at(moment) for moment in moments] == ["v1", "v2", "v2", "v1", "v1"]


def test_a_record_without_effect_is_passed_over_when_the_next_one_has_one():
    log = [revision(1, "v1", "v2", LINKS), revision(2, "v1", "v2", LINKS, follows=0)]
    translation = Translation.of(log, "v2")
    assert [translation.version_at(START + timedelta(days=day)) for day in (1.5, 2.5)] == ["v1", "v2"]
    assert translation.edition == 2


def test_a_code_without_a_version_is_taken_by_its_time_else_by_what_the_taxonomy_has():
    translation = Translation.of([revision(1, "v1", "v2", [Link("a", "b"), Link("b", "a")], ["a", "b"], ["a", "b"])], "v2")
    assert translation.codes_at("a", START, {"a", "b"}) == ("b",)
    assert translation.codes_at("a", START + timedelta(days=2), {"a", "b"}) == ("a",)
    assert translation.codes_at("a", None, {"a", "b"}) == ("a",)
    recoded = Translation.of([revision(1, "v1", "v2", LINKS)], "v2")
    assert recoded.codes_at("d", None, set(NEW)) == ("D",)
    assert recoded.codes_at("gone", None, set(NEW)) == ()


def test_a_record_comes_back_from_its_text():
    record = revision(1, "v1", "v2", LINKS)
    assert Revision.from_text(record.to_text(), "0001.json") == record


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number": "x"}'])
def test_a_damaged_record_is_named(text):
    with pytest.raises(Fault, match=r"0001\.json"):
        Revision.from_text(text, "0001.json")


codes = st.sampled_from("abcdef")


@st.composite
def crosswalks(draw):
    old, new = draw(st.sets(codes, min_size=1)), draw(st.sets(codes, min_size=1))
    pairs = draw(st.lists(st.tuples(st.sampled_from(sorted(old)), st.sampled_from(sorted(new))), max_size=8))
    return Crosswalk.between([Link(*pair) for pair in pairs], old, new), old, new


@given(crosswalks())
def test_both_directions_tell_the_same(found):
    crosswalk, old, new = found
    forward = {(a, b) for a in old for b in crosswalk.forward(a)}
    backward = {(a, b) for b in new for a in crosswalk.backward(b)}
    assert forward == backward
    assert all(b in new for _, b in forward)
    assert crosswalk.gone == {a for a in old if not crosswalk.forward(a)}
    assert crosswalk.new == {b for b in new if not crosswalk.backward(b)}


@given(crosswalks())
def test_one_to_one_codes_come_back_exactly(found):
    crosswalk, old, _ = found
    for code in old:
        if crosswalk.relation(code) in {"same", "recoded"}:
            (target,) = crosswalk.forward(code)
            assert crosswalk.backward(target) == (code,)


@given(crosswalks())
def test_a_crosswalk_comes_back_from_json(found):
    assert Crosswalk.from_json(found[0].to_json()).forward("a") == found[0].forward("a")
