"""The reference pages say what the code says."""

from __future__ import annotations

import duckdb
import pytest

from taxomind_resources.tables import TABLES, VIEWS
from tests.docs import generate


@pytest.mark.parametrize("name", generate.NAMES)
def test_file_is_what_the_code_says(name):
    assert (generate.DOCS / name).read_text(encoding="utf-8") == generate.generated(name), "run `make docs`"


def test_check_names_a_page_that_differs_and_writes_nothing(tmp_path, monkeypatch, capsys):
    for name in generate.NAMES:
        (tmp_path / name).write_text(generate.generated(name), encoding="utf-8")
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    assert generate.main(["--check"]) == 0
    (tmp_path / "errors.md").write_text(f"# My words\n\n{generate.MARKER}old\n", encoding="utf-8")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/errors.md differs\n"
    assert (tmp_path / "errors.md").read_text(encoding="utf-8").endswith("old\n")
    assert generate.main([]) == 0
    written = (tmp_path / "errors.md").read_text(encoding="utf-8")
    assert written.startswith("# My words")
    assert "`storage_failed`" in written


@pytest.mark.slow
def test_types_of_columns_are_those_of_the_duckdb_views(built):
    with duckdb.connect(str(built / "taxomind.duckdb"), read_only=True) as connection:
        for table in (*TABLES, *VIEWS):
            described = connection.execute(f"DESCRIBE {table.full_name}").fetchall()
            shown = {name: type_.replace('"', "") for name, type_, *_ in described}
            stated = {column.name: generate.sql_type(column.type) for column in table.columns}
            assert shown == {"taxonomy_key": "VARCHAR", **stated}, table.full_name
