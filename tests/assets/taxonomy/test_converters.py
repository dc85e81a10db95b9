"""Published classifications become taxonomy files and training rows (TX-15)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.text_readers import read_texts
from taxomind_assets.taxonomy.converters import CONVERTERS, convert, convert_isco08, convert_isic4
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_resources.settings import LimitSettings, TextSettings
from tests.assets.taxonomy.classifications import (
    INDUSTRIES,
    OCCUPATIONS,
    Workbook,
    fault_of,
    lines_of,
    row,
    save,
)

LIMITS = LimitSettings()  # type: ignore[call-arg]


@pytest.mark.parametrize("path", ["", "absent.xlsx"])
def test_absent_file_is_refused(tmp_path: Path, path: str) -> None:
    for converter in CONVERTERS.values():
        fault_of("unreadable_file", lambda converter=converter: converter.convert(tmp_path / path))  # type: ignore[misc]


def test_limits_are_kept(workbook: Workbook, structure: Callable[[str], Path]) -> None:
    small = LIMITS.model_copy(update={"max_nodes": 2})
    fault_of("too_large", lambda: convert_isco08(workbook(), small))
    fault_of("too_large", lambda: convert_isic4(structure('"A","x"\n"B","y"\n"C","z"\n'), small))
    bytes_ = LIMITS.model_copy(update={"max_file_bytes": 10})
    fault_of("too_large", lambda: convert_isco08(workbook(), bytes_))


# --- what is written -----------------------------------------------------------------------------------------------------


def test_written_taxonomy_is_read_back_as_it_was(workbook: Workbook, structure: Callable[[str], Path], tmp_path: Path) -> None:
    for converted in (convert_isco08(workbook()), convert_isic4(structure(lines_of(INDUSTRIES)))):
        folder = tmp_path / "new" / converted.taxonomy.key
        written = converted.write(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["taxonomy.csv", "training.csv"]
        file = read_taxonomy(written.taxonomy, converted.taxonomy.key, LIMITS)
        assert file.taxonomy == converted.taxonomy
        assert file.rejected == ()


_CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="_"), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(title=_CELLS, definition=_CELLS, examples=st.lists(_CELLS, max_size=4))
def test_any_text_is_read_back_as_it_was_converted(title: str, definition: str, examples: list[str]) -> None:
    included = "\n".join(f"- {example}" for example in examples)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = save(folder / "isco.xlsx", [row(1, "1", "Managers"), row(2, "11", title, definition, included)])
        converted = convert_isco08(path)
        written = converted.write(folder)
        file = read_taxonomy(written.taxonomy, "isco08", LIMITS)
    assert file.taxonomy == converted.taxonomy
    assert not file.rejected


def test_every_cell_is_quoted_and_training_rows_have_their_columns(workbook: Workbook, tmp_path: Path) -> None:
    written = convert_isco08(workbook()).write(tmp_path)
    assert written.taxonomy.read_text(encoding="utf-8").splitlines()[:2] == [
        '"code","parent_code","level","label","definition","examples","language"',
        '"0","","1","Armed Forces","All jobs in the forces.","","en"',
    ]
    assert '"Admiral","Commissioned Officers","0110","4"' in written.training.read_text(encoding="utf-8").splitlines()
    assert written.training.read_text(encoding="utf-8").startswith('"text","label","code","level"\n')


def test_training_file_is_read_as_labelled_texts(workbook: Workbook, tmp_path: Path) -> None:
    converted = convert_isco08(workbook())
    written = converted.write(tmp_path)
    blocks = list(read_texts(written.training, TextSettings(), LIMITS, labelled=True))  # type: ignore[call-arg]
    found = [row for block in blocks for row in zip(block.text, block.code, strict=True)]
    assert found == [(row.text, row.code) for row in converted.training_rows]


def test_writing_replaces_former_files_and_leaves_nothing_else(workbook: Workbook, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    convert_isco08(workbook()).write(folder)
    first = (folder / "taxonomy.csv").read_bytes()
    convert_isco08(workbook(OCCUPATIONS[:1])).write(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["taxonomy.csv", "training.csv"]
    assert (folder / "taxonomy.csv").read_bytes() != first


def test_folder_that_is_a_file_is_a_storage_fault(workbook: Workbook, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    fault_of("storage_failed", lambda: convert_isco08(workbook()).write(tmp_path / "file"))


# --- names of converters -------------------------------------------------------------------------------------------------


def test_converters_are_found_by_name(workbook: Workbook, structure: Callable[[str], Path]) -> None:
    assert len(convert("isco08", workbook()).taxonomy) == 8
    assert len(convert("isic4", structure(lines_of(INDUSTRIES))).taxonomy) == len(INDUSTRIES)
    assert all(converter.description.endswith(".") for converter in CONVERTERS.values())


@pytest.mark.parametrize(("name", "near"), [("isco", "isco08"), ("ISIC-4", "isic4"), ("", "is"), ("zzz", "is")])
def test_unknown_converter_names_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    fault = fault_of("invalid_input", lambda: convert(name, tmp_path / "x"))
    assert fault.allowed == "isco08, isic4"
    assert near in fault.next_step
