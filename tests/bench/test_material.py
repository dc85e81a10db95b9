"""Sets are found and read as their files say."""

from __future__ import annotations

from tests.bench.conftest import write_set
from tests.bench.material import BenchSet, find_sets, out_of_scope, same_text, taxonomy_of, texts_of


def test_sets_are_languages_of_folders_with_labelled_texts(bench_data):
    assert [one.name for one in find_sets(bench_data)] == ["flat.en", "pets.de", "pets.de+", "pets.en"]


def test_texts_that_are_the_same_count_once_with_all_their_codes(tmp_path):
    rows = [
        ("1", "Pipe ", "en", "11", ""),
        ("2", "ＰＩＰＥ", "en", "12", ""),
        ("3", "pipe", "de", "21", ""),
        ("4", "x", "en", "99", ""),
    ]
    write_set(tmp_path / "pets", rows)
    (text,) = texts_of(BenchSet(tmp_path / "pets", "en"))
    assert text.text == "Pipe"
    assert text.codes == ("11", "12")


def test_a_text_that_is_once_an_official_test_text_stays_one(tmp_path):
    write_set(tmp_path / "pets", [("1", "pipe", "en", "11", "train"), ("2", "Pipe", "en", "11", "test")])
    assert texts_of(BenchSet(tmp_path / "pets", "en"))[0].official_test


def test_texts_that_the_taxonomy_holds_are_verbatim(bench_data):
    verbatim = {text.text for text in texts_of(BenchSet(bench_data / "pets", "en")) if text.verbatim}
    assert verbatim == {"Poodle", "barking pets", "CATS"}


def test_one_word_of_a_definition_is_not_verbatim(tmp_path):
    write_set(tmp_path / "pets", [("1", "barking", "en", "11", ""), ("2", "purring pets", "en", "11", "")])
    assert not any(text.verbatim for text in texts_of(BenchSet(tmp_path / "pets", "en")))


def test_near_copies_share_a_group(tmp_path):
    rows = [
        ("e1-en-0007-0", "farrier", "en", "11", ""),
        ("e1-en-0007-1", "smith", "en", "11", ""),
        ("n-1", "x", "en", "11", ""),
    ]
    write_set(tmp_path / "pets", rows)
    assert [text.groups for text in texts_of(BenchSet(tmp_path / "pets", "en"))] == [("e1-0007",), ("e1-0007",), ()]


def test_the_taxonomy_is_given_in_one_language_or_in_all(bench_data, tmp_path):
    own = taxonomy_of(BenchSet(bench_data / "pets", "de"), tmp_path)
    every = taxonomy_of(BenchSet(bench_data / "pets", "de", all_languages=True), tmp_path)
    assert [[text.language for text in node.texts] for node in own.nodes] == [["de"]] * 6
    assert {text.language for node in every.nodes for text in node.texts} == {"de", "en"}
    assert own.codes == every.codes == ["1", "11", "12", "2", "21", "22"]


def test_examples_reach_the_product_apart(bench_data, tmp_path):
    tree = taxonomy_of(BenchSet(bench_data / "pets", "en"), tmp_path)
    assert tree.nodes[tree.position["12"]].texts[0].examples == ("siamese", "maine coon")


def test_strangers_are_read(bench_data):
    assert len(out_of_scope(bench_data)) == 20


def test_width_case_and_spaces_do_not_make_another_text():
    assert same_text("  ＡＢ\n c") == "ab c"
