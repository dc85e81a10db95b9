"""Aligned labels out of taxonomies and tables of pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxomind_assets.taxonomy.aligned import aligned_files, read_aligned
from taxomind_resources.crosslingual.pairs import AlignedPair
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

LIMITS = LimitSettings()  # type: ignore[call-arg]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_and_other_names_of_a_taxonomy_stand_for_the_english_label(tmp_path: Path) -> None:
    rows = "code,parent_code,label,language,synonyms\n1,,Nurses,en,\n1,,Infirmiers,fr,Soignants\n2,,Bakers,en,\n2,,Bäcker,de,\n"
    found = read_aligned(write(tmp_path / "jobs.csv", rows), LIMITS)
    assert set(found.pairs) == {
        AlignedPair("en", "Nurses", "Nurses", "jobs"),
        AlignedPair("fr", "Infirmiers", "Nurses", "jobs"),
        AlignedPair("fr", "Soignants", "Nurses", "jobs"),
        AlignedPair("en", "Bakers", "Bakers", "jobs"),
        AlignedPair("de", "Bäcker", "Bakers", "jobs"),
    }


def test_a_csv_file_with_the_columns_of_pairs_is_no_taxonomy(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.csv", "code,language,text,english,source\n1,pl,piekarz,baker,mine\n")
    assert read_aligned(path, LIMITS).pairs == [AlignedPair("pl", "piekarz", "baker", "mine")]


def test_a_taxonomy_in_one_language_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "english.csv", "code,parent_code,label,language\n1,,Nurses,en\n2,,Bakers,en\n")
    with pytest.raises(Fault, match=r"english\.csv: No node of the taxonomy") as caught:
        read_aligned(path, LIMITS)
    assert (caught.value.code, caught.value.value) == ("invalid_input", "'en'")


def test_refused_rows_of_a_taxonomy_are_told(tmp_path: Path) -> None:
    rows = "code,parent_code,label,language\n1,,Nurses,en\n1,,Infirmiers,fr\n,,Nobody,en\n"
    remarks = read_aligned(write(tmp_path / "jobs.csv", rows), LIMITS).remarks
    assert any("1 row was refused" in remark for remark in remarks)


def test_a_folder_stands_for_its_files_and_files_count_once(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "README.md", ".hidden.csv"):
        write(tmp_path / name, "x")
    (tmp_path / "below.csv").mkdir()
    files = aligned_files([tmp_path, tmp_path / "b.csv", tmp_path / "README.md"])
    assert [file.name for file in files] == ["a.parquet", "b.csv", "README.md"]


def test_what_is_not_there_or_empty_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        aligned_files([tmp_path / "nothing.csv"])
    assert caught.value.code == "unreadable_file"
    with pytest.raises(Fault, match="no file to learn from"):
        aligned_files([tmp_path])


@pytest.mark.parametrize(("name", "code"), [("broken.parquet", "unreadable_file"), ("notes.docx", "unsupported_format")])
def test_what_is_neither_taxonomy_nor_table_is_a_fault(tmp_path: Path, name: str, code: str) -> None:
    with pytest.raises(Fault) as caught:
        read_aligned(write(tmp_path / name, "neither"), LIMITS)
    assert caught.value.code == code
